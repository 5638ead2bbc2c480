# SPDX-License-Identifier: Apache-2.0
"""Frozen values whose classes cost little to declare, for what a short command imports.

To import ``dataclasses`` takes 10 ms of a processor, and each class of its makes half of one more,
where a question about the files of a tree is answered in 40 from the start of its process. A class
made here takes some 20 us: its methods are written when they are first called.

A record is a frozen dataclass with slots in all else, and ``dataclasses`` takes it for one: what
that has for instances (``replace``, ``fields``) serves. It is nobody's base. Where a short command
imports it, its module has annotations that are not evaluated. The daemon, which has a hundred such
classes, declares its own with it, too; a dataclass of the library's is what may change, what has a
base, and what ``fields`` is asked about at each start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import replace
    from functools import cached_property as kept
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Change nothing: it is for those who check types."""
        return lambda decorated: decorated


__all__ = ["field", "kept", "record", "replace"]

_NONE = object()


class _Field:
    """What is said of a field beside its name."""

    __slots__ = ("compare", "default", "make")

    def __init__(self, default: object, make: Callable[[], object] | None, compare: bool) -> None:
        self.default = default
        self.make = make
        self.compare = compare


_PLAIN = _Field(_NONE, None, compare=True)


def field(
    *, default: Any = _NONE, default_factory: Callable[[], Any] | None = None, compare: bool = True
) -> Any:
    """Return the default of a field: a value, or what makes one for each instance.

    A field that does not ``compare`` counts for nothing when records are compared.
    """
    return _Field(default, default_factory, compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: Any = None, /, *, kw_only: bool = False, eq: bool = True, slots: bool = True
) -> Any:
    """Make the annotated fields of a class those of a frozen value, as ``dataclass`` does.

    With ``kw_only`` they are given by their names alone. Without ``eq`` an instance equals itself
    and nothing else. Without ``slots`` it has a ``__dict__``, for properties that are ``kept``.
    """
    if cls is None:
        return lambda each: _Declaration(each, kw_only).made(eq, slots)
    return _Declaration(cls, kw_only).made(eq, slots)


class _Declaration:
    """The fields of a class, and the methods that are written from them."""

    __slots__ = ("_cls", "_kw_only", "fields")

    def __init__(self, cls: type, kw_only: bool) -> None:
        self._cls = cls
        self._kw_only = kw_only
        self.fields: dict[str, _Field] = {}
        for name in cls.__annotations__:
            default = cls.__dict__.get(name, _NONE)
            if default is _NONE:
                self.fields[name] = _PLAIN
            elif isinstance(default, _Field):
                self.fields[name] = default
            else:
                self.fields[name] = _Field(default, None, compare=True)

    def made(self, eq: bool, slots: bool) -> type:
        """Return the class with these fields, made anew."""
        cls = self._cls
        names = tuple(self.fields)
        given = {key: value for key, value in cls.__dict__.items() if key not in self.fields}
        for key in ("__dict__", "__weakref__"):
            given.pop(key, None)
        methods: dict[str, Any] = {
            "__match_args__": () if self._kw_only else names,
            "__dataclass_fields__": _DataclassFields(self),
            "__init__": self._later("__init__", self._init),
            "__repr__": _repr,
            "__setattr__": _refuse,
            "__delattr__": _refuse,
            "__reduce__": _reduce,
        }
        if slots:
            methods["__slots__"] = names
        if eq:
            methods["__eq__"] = self._later("__eq__", self._eq)
            methods["__hash__"] = self._later("__hash__", self._hash)
        self._cls = type(cls)(cls.__name__, cls.__bases__, methods | given)
        return self._cls

    def _later(self, name: str, write: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """Return a method that puts the one that is written in its own place when it is called."""

        def method(*args: Any, **kwargs: Any) -> Any:
            written = write()
            setattr(self._cls, name, written)
            return written(*args, **kwargs)

        return method

    def _init(self) -> Callable[..., None]:
        """Write ``__init__``."""
        parameters = ["self", "*"] if self._kw_only else ["self"]
        lines = []
        known: dict[str, Any] = {"_none": _NONE, "_set": object.__setattr__}
        for name, each in self.fields.items():
            value = name
            if each.make is not None:
                known[f"_make_{name}"] = each.make
                value = f"_make_{name}() if {name} is _none else {name}"
                parameters.append(f"{name}=_none")
            elif each.default is not _NONE:
                known[f"_default_{name}"] = each.default
                parameters.append(f"{name}=_default_{name}")
            else:
                parameters.append(name)
            slot = self._cls.__dict__.get(name)
            if slot is None:
                lines.append(f"_set(self, {name!r}, {value})")
            else:  # a slot's own way in takes two thirds of the time
                known[f"_set_{name}"] = slot.__set__
                lines.append(f"_set_{name}(self, {value})")
        return self._written(f"__init__({', '.join(parameters)})", lines or ["pass"], known)

    def _eq(self) -> Callable[..., bool]:
        """Write ``__eq__``."""
        lines = [
            "if other.__class__ is self.__class__:",
            f"    return {self._values('self')} == {self._values('other')}",
            "return NotImplemented",
        ]
        return self._written("__eq__(self, other)", lines, {})

    def _hash(self) -> Callable[..., int]:
        """Write ``__hash__``."""
        return self._written("__hash__(self)", [f"return hash({self._values('self')})"], {})

    def _values(self, instance: str) -> str:
        """Return the source of the tuple of an instance's values that are compared."""
        compared = [f"{instance}.{name}" for name, each in self.fields.items() if each.compare]
        return f"({', '.join(compared)},)" if compared else "()"

    def _written(self, head: str, lines: list[str], known: dict[str, Any]) -> Callable[..., Any]:
        """Return the function with that head and these lines, which know these globals."""
        source = f"def {head}:\n" + "".join(f"    {line}\n" for line in lines)
        exec(source, known)
        function: Callable[..., Any] = known[head.partition("(")[0]]
        function.__qualname__ = f"{self._cls.__qualname__}.{function.__name__}"
        return function


class _DataclassFields:
    """Gives a class what ``dataclasses`` looks for, once it does."""

    __slots__ = ("_declaration",)

    def __init__(self, declaration: _Declaration) -> None:
        self._declaration = declaration

    def __get__(self, _: object, cls: type) -> object:
        import dataclasses

        fields: list[tuple[str, Any, Any]] = []
        for name, each in self._declaration.fields.items():
            said: dict[str, Any] = {"compare": each.compare}
            if each.make is not None:
                said["default_factory"] = each.make
            elif each.default is not _NONE:
                said["default"] = each.default
            fields.append((name, cls.__annotations__[name], dataclasses.field(**said)))
        twin = dataclasses.make_dataclass(cls.__name__, fields, kw_only=True)
        found = twin.__dict__["__dataclass_fields__"]
        type.__setattr__(cls, "__dataclass_fields__", found)
        return found


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__annotations__)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: object, name: str, *_: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} is frozen")


def _reduce(self: Any) -> tuple[object, ...]:
    """Tell pickle and copy how to make the same again."""
    return _again, (type(self), [getattr(self, name) for name in type(self).__annotations__])


def _again(cls: type, values: list[object]) -> object:
    made: object = object.__new__(cls)
    for name, value in zip(cls.__annotations__, values, strict=True):
        object.__setattr__(made, name, value)
    return made


class _Kept:
    """A property that is found on the first question and kept, as functools.cached_property is.

    For instances with a ``__dict__``; two threads that ask at once may both find it.
    """

    def __init__(self, find: Callable[[Any], Any]) -> None:
        self._find = find
        self.__doc__ = find.__doc__

    def __get__(self, instance: Any, _: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._find.__name__] = self._find(instance)
        return value


def _changed(instance: Any, /, **changes: object) -> Any:
    """Return the record with those changes; raises TypeError for a field that it does not have."""
    values = {name: getattr(instance, name) for name in type(instance).__annotations__}
    return type(instance)(**values | changes)


if not TYPE_CHECKING:
    kept, replace = _Kept, _changed
