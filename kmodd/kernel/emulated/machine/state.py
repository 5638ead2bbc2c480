# SPDX-License-Identifier: Apache-2.0
"""What the families of kernel functions know of one machine, each in a type of its own."""

from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
Kept = TypeVar("Kept")


class KeptByAddress(Generic[Kept]):
    """What is kept here of structures in modules' memory: it is forgotten with that memory."""

    def __init__(self) -> None:
        self.by_address: dict[int, Kept] = {}

    def forget(self, start: int, end: int) -> None:
        """Forget the structures that begin there."""
        for address in [each for each in self.by_address if start <= each < end]:
            del self.by_address[address]


class States:
    """One value of each type that was asked for; for who holds the machine."""

    def __init__(self) -> None:
        self._values: dict[type[Any], Any] = {}
        self._kept: list[KeptByAddress[Any]] = []

    def of(self, kind: type[Value]) -> Value:
        """Return the value of type ``kind``, which is made without arguments at the first time."""
        value: Value | None = self._values.get(kind)
        if value is None:
            value = self._values[kind] = kind()
            if isinstance(value, KeptByAddress):
                self._kept.append(value)
        return value

    def forget_memory(self, start: int, end: int) -> None:
        """Forget what is kept of structures in memory that is given back."""
        for each in self._kept:
            if each.by_address:
                each.forget(start, end)
