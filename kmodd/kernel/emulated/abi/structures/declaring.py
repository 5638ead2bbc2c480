# SPDX-License-Identifier: Apache-2.0
"""How a structure is declared: by the kernel's own names of it and of what is looked at in it.

Enums are declared in the same way, with the names of theirs that are looked at.

    class _Work(Structure, of="work_struct"):
        function = at(24, "func")

``WORK.function`` is then the offset in bytes. The number is that of Linux 6.1 on x86-64 as Debian
builds it; on any other kernel, what its image says takes its place (``adopt``) before anything is
run. Of several names the first that a kernel has counts: fields are renamed, and moved into others.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from kmodd.kernelimage.questions import Answers, LayoutQuestion


class MissingFieldError(Exception):
    """A field that is asked for, and that this kernel does not have, or has elsewhere."""


class DeclaredField(NamedTuple):
    """An attribute, what a kernel is asked for it, and what Debian's 6.1 answers, if it does."""

    name: str
    question: LayoutQuestion
    number: int | None
    is_enumerator: bool


class _Declared:
    """A field's declaration. A structure has the number in its own dictionary, which goes before
    this; where it has none, the kernel does not have the field.
    """

    def __init__(self, number: int | None, names: tuple[str, ...], kind: str, of: str = "") -> None:
        self.number = number
        self.of = of
        self.is_enumerator = kind == "enumerator"
        self._kind = kind
        self._names = names

    def __set_name__(self, owner: type, name: str) -> None:
        if self._kind != "structure":
            self._names = self._names or (name,)

    def __get__(self, instance: "Structure | None", owner: type) -> "_Declared":
        if instance is None:
            return self
        structure = self.of or " or ".join(instance.structures)
        what = " or ".join(self._names) or "such structure"
        raise MissingFieldError(f"struct {structure} has no {what} here")

    def question(self, structures: tuple[str, ...]) -> LayoutQuestion:
        """Return what a kernel is to be asked."""
        is_size = self._kind in ("size", "structure")
        return LayoutQuestion(structures, self._names, is_size=is_size)


def at(number: int, *names: str, of: str = "") -> Any:
    """Declare a field of which the offset is looked at, in bytes.

    ``names`` are the kernel's, from outside in with dots between; the attribute's own if there are
    none. It is in another structure where ``of`` names one, which has this one at its beginning.
    """
    return _Declared(number, names, "offset", of)


def since_6_1(*names: str) -> Any:
    """Declare a field that 6.1 does not have."""
    return _Declared(None, names, "offset")


def bytes_of(number: int, *names: str) -> Any:
    """Declare a field of which the size is looked at, in bytes."""
    return _Declared(number, names, "size")


def whole(number: int | None) -> Any:
    """Declare that the size of the structure is looked at, in bytes; None where 6.1 lacks it."""
    return _Declared(number, (), "structure")


def enumerator(number: int, *names: str) -> Any:
    """Declare a name of an enum; what is no enum's is a macro, and the number is that of 6.1."""
    return _Declared(number, names, "enumerator")


class Structure:
    """Where the fields of one of the kernel's structures are."""

    structures: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, of: str | tuple[str, ...]) -> None:
        cls.structures = (of,) if isinstance(of, str) else of

    def __init__(self) -> None:
        self.adopt(None)

    def adopt(self, answers: Answers | None) -> None:
        """Take over what a kernel says, or else the numbers of 6.1; what it does not have is
        missing from then on.
        """
        for name, question, number, is_enumerator in self.declared():
            default = number if is_enumerator else None
            found = number if answers is None else answers.get(question, default)
            self.__dict__.pop(name, None)
            if found is not None:
                self.__dict__[name] = found

    def has(self, *names: str) -> bool:
        """Tell whether this kernel has these fields."""
        return all(name in self.__dict__ for name in names)

    def require(self, *names: str) -> None:
        """Raise MissingFieldError where this kernel lacks one of these fields."""
        for name in names:
            getattr(self, name)

    @classmethod
    def declared(cls) -> Iterator[DeclaredField]:
        """Yield each attribute, what a kernel is asked for it, and the answer of 6.1."""
        for name, each in vars(cls).items():
            if isinstance(each, _Declared):
                structures = (each.of,) if each.of else cls.structures
                yield DeclaredField(
                    name, each.question(structures), each.number, each.is_enumerator
                )
