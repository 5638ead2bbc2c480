# SPDX-License-Identifier: Apache-2.0
"""Tuples with names for their items whose classes cost little to declare (see kmodd.records).

To import ``typing`` takes 6 ms of a processor, and each named tuple of its makes half of one more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NamedTuple

    _item_at: Callable[[int, str], property]
else:
    from _collections import _tuplegetter as _item_at

__all__ = ["NamedTuple"]


class _TupleType(type):
    """Makes the classes that name NamedTuple for their base, which are tuples and no more."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, namespace)
        fields = tuple(namespace["__annotations__"])
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        made: dict[str, Any] = {
            "__slots__": (),
            "__match_args__": fields,
            "_fields": fields,
            "_field_defaults": defaults,
            "__new__": _first_of_its_class,
            "__repr__": _repr,
            "__getnewargs__": _plain,
            "_make": classmethod(_make),
            "_replace": _replace,
            "_asdict": _asdict,
        }
        for at, field in enumerate(fields):
            made[field] = _item_at(at, f"Item {at} of the tuple.")
        return type(name, (tuple,), made | namespace)


class _NamedTuple(metaclass=_TupleType):
    """The base that is named where the annotated fields of a class are the items of a tuple.

    It is ``typing.NamedTuple`` in all that is used of it; its module has annotations that are not
    evaluated.
    """


def _first_of_its_class(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Write the class's own ``__new__``, and make an instance with that."""
    fields, defaults = cls._fields, cls._field_defaults
    known = {f"_default_{field}": value for field, value in defaults.items()}
    known["_new"] = tuple.__new__
    parameters = (f"{each}=_default_{each}" if each in defaults else each for each in fields)
    items = "".join(f"{field}, " for field in fields)
    exec(
        f"def __new__(_cls, {', '.join(parameters)}):\n    return _new(_cls, ({items}))\n",
        known,
    )
    cls.__new__ = staticmethod(known["__new__"])
    return cls.__new__(cls, *args, **kwargs)


def _make(cls: Any, values: Iterable[object]) -> Any:
    made = tuple.__new__(cls, values)
    if len(made) != len(cls._fields):
        raise TypeError(f"{cls.__name__} has {len(cls._fields)} items, not {len(made)}")
    return made


def _replace(self: Any, /, **changes: object) -> Any:
    made = self._make(map(changes.pop, self._fields, self))
    if changes:
        raise TypeError(f"{type(self).__name__} has no {', '.join(changes)}")
    return made


def _plain(self: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(self)


def _asdict(self: Any) -> dict[str, object]:
    return dict(zip(self._fields, self, strict=True))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in _asdict(self).items())
    return f"{type(self).__name__}({shown})"


if not TYPE_CHECKING:
    NamedTuple = _NamedTuple
