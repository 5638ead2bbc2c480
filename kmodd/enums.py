# SPDX-License-Identifier: Apache-2.0
"""Enumerations that cost little to declare (see kmodd.records).

To import ``enum`` takes 4 ms of a processor, and its classes 20 us more a member. What is used of
them behaves here as it does there: a member is the only one of its value, and is had by that or by
its name; a class is iterated in the order of its lines.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import Enum, IntEnum, IntFlag
    from typing import Any

__all__ = ["Enum", "IntEnum", "IntFlag"]


class _EnumType(type):
    """The class of enumerations: what they hold but for methods and what begins with ``_``."""

    __members__: dict[str, Any]
    _by_value: dict[object, Any]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        made: Any = super().__new__(cls, name, bases, namespace)
        made.__members__, made._by_value = {}, {}
        for key, value in namespace.items():
            if key[0] != "_" and not hasattr(value, "__get__"):
                made.__members__[key] = made._by_value[value] = made._member(key, value)
                setattr(made, key, made.__members__[key])
        return made

    def __call__(cls, value: object) -> Any:
        """Return the member of that value; raises ValueError where there is none."""
        found = cls._by_value.get(value)
        return cls._unnamed(value) if found is None else found

    def __getitem__(cls, name: str) -> Any:
        return cls.__members__[name]

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls.__members__.values())

    def __contains__(cls, member: object) -> bool:
        return isinstance(member, cls)

    def __len__(cls) -> int:
        return len(cls.__members__)

    def _unnamed(cls, value: object) -> Any:
        raise ValueError(f"{value!r} is not a valid {cls.__name__}")

    def _member(cls, name: str | None, value: Any) -> Any:
        member = int.__new__(cls, value) if issubclass(cls, int) else object.__new__(cls)
        member.__dict__.update(name=name, value=value)
        return member


class _Enum(metaclass=_EnumType):
    """What has one of a few values (``enum.Enum``)."""

    name: str
    value: Any

    def __setattr__(self, name: str, _: object) -> None:
        raise AttributeError(f"{self!r} has no {name} to be set")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.value,)


class _IntEnum(int, _Enum):
    """A number with a name (``enum.IntEnum``)."""

    __str__ = int.__repr__


class _FlagType(_EnumType):
    """The class of sets of bits, of which any number is one."""

    def _unnamed(cls, value: object) -> Any:
        return cls._member(None, value)


class _IntFlag(int, _Enum, metaclass=_FlagType):
    """A set of bits, those of one with a name or of several (``enum.IntFlag``)."""

    __str__ = int.__repr__

    def __or__(self, other: int) -> Any:
        return type(self)(int(self) | int(other))


if not TYPE_CHECKING:
    Enum, IntEnum, IntFlag = _Enum, _IntEnum, _IntFlag
