# SPDX-License-Identifier: Apache-2.0
"""What is asked of a kernel's types: where a field is, how large something is, what is taken.

The kernel's own names are asked for: ``field("dentry", "d_lockref.count")``. Types may refer to
each other in any way, and lie: every walk has an end.
"""

from functools import cached_property
from typing import NamedTuple

from kmodd.kernelimage.btf.reading import Btf
from kmodd.kernelimage.btf.types import BtfKind, FunctionType, Member, Variable

DEPTH_MAX = 64
"""Types that one may be of, one within another: pointers, qualifiers, arrays, structures."""

PARTS_MAX = 1024
"""Nameless structures and unions in one structure at most (page has 15)."""

SIZE_MAX = 1 << 40
"""Bytes of a type at most."""

_QUALIFIERS = frozenset(
    {
        BtfKind.TYPEDEF,
        BtfKind.VOLATILE,
        BtfKind.CONST,
        BtfKind.RESTRICT,
        BtfKind.TYPE_TAG,
    }
)
_SIZED = frozenset(
    {
        BtfKind.INT,
        BtfKind.STRUCT,
        BtfKind.UNION,
        BtfKind.ENUM,
        BtfKind.ENUM64,
        BtfKind.FLOAT,
        BtfKind.DATASEC,
    }
)
_STRUCTURES = (BtfKind.STRUCT, BtfKind.UNION)
_LONG = ("long unsigned int", "unsigned long", "long int")


class Field(NamedTuple):
    """Where a field is in a structure, in bits; ``bit_size`` is its size, bit field or not."""

    bit_offset: int
    bit_size: int
    type: int

    @property
    def offset(self) -> int:
        """The byte that it begins in."""
        return self.bit_offset // 8

    @property
    def size(self) -> int:
        """Its bytes, a bit field's rounded up."""
        return (self.bit_size + 7) // 8


class Layouts:
    """The types of a kernel, to be asked. Answers are None for what this kernel does not have.

    What is there but is not in order raises KernelImageError.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf

    @cached_property
    def pointer_size(self) -> int:
        """Bytes of a pointer: as many as of a long."""
        for name in _LONG:
            number = self.btf.find(name, BtfKind.INT)
            if number is not None and self.btf.extent(number) in (4, 8):
                return self.btf.extent(number)
        raise self.btf.error("there is no long to tell how large a pointer is")

    def resolve(self, number: int) -> int:
        """Return the type without typedefs and qualifiers."""
        for _ in range(DEPTH_MAX):
            if self.btf.kind(number) not in _QUALIFIERS:
                return number
            number = self.btf.target(number)
        raise self.btf.error(f"type {number} is of itself")

    def size_of(self, number: int) -> int:
        """Return a type's bytes, 0 for void and for what is only declared."""
        factor = 1
        for _ in range(DEPTH_MAX):
            number = self.resolve(number)
            kind = self.btf.kind(number)
            if kind is not BtfKind.ARRAY:
                size = self._plain_size(number, kind) * factor
                if size > SIZE_MAX:
                    break
                return size
            number, count = self.btf.array(number)
            factor = min(factor * count, SIZE_MAX + 1)
        raise self.btf.error(f"type {number} has no end")

    def structure(self, name: str) -> int | None:
        """Return the structure or union of that name, also by a typedef's."""
        found = self.btf.find(name, *_STRUCTURES)
        if found is None and (typedef := self.btf.find(name, BtfKind.TYPEDEF)) is not None:
            target = self.resolve(typedef)
            found = target if self.btf.kind(target) in _STRUCTURES else None
        return found

    def structure_size(self, name: str) -> int | None:
        """Return the bytes of the structure of that name."""
        found = self.structure(name)
        return None if found is None else self.btf.extent(found)

    def field(self, structure: str, path: str) -> Field | None:
        """Return where a field is: ``path`` has the names from outside in, with dots between."""
        number = self.structure(structure)
        if number is None:
            return None
        names = path.split(".")
        found = self._member(number, names[0])
        for name in names[1:]:
            if found is None:
                return None
            inner = self._member(self.resolve(found.type), name)
            found = inner and inner._replace(bit_offset=found.bit_offset + inner.bit_offset)
        return found

    def fields(self, structure: str) -> dict[str, Field]:
        """Return the fields of a structure by name, those of its nameless parts as its own."""
        number = self.structure(structure)
        found: dict[str, Field] = {}
        waiting = [] if number is None else [(number, 0)]
        for _ in range(PARTS_MAX):
            if not waiting:
                return found
            part, base = waiting.pop()
            for member in self.btf.members(part):
                place, inner = base + member.bit_offset, self.resolve(member.type)
                if member.name:
                    field = Field(place, self._bits(member), member.type)
                    found.setdefault(member.name, field)
                elif self.btf.kind(inner) in _STRUCTURES:
                    waiting.append((inner, place))
        raise self.btf.error(f"{structure} has more than {PARTS_MAX} nameless parts")

    def enumerator(self, name: str) -> int | None:
        """Return the value of a name of an enum."""
        return self._enumerators.get(name)

    def value(self, enum: str, name: str) -> int | None:
        """Return the value of a name of the enum of that name."""
        number = self.btf.find(enum, BtfKind.ENUM, BtfKind.ENUM64)
        if number is None:
            return None
        found = (each.value for each in self.btf.enumerators(number) if each.name == name)
        return next(found, None)

    def prototype(self, function: str) -> FunctionType | None:
        """Return what a function takes and returns."""
        number = self.btf.find(function, BtfKind.FUNC)
        return None if number is None else self.btf.prototype(self.btf.target(number))

    def variables(self, section: str) -> dict[str, Variable]:
        """Return the variables of a section by name."""
        number = self.btf.find(section, BtfKind.DATASEC)
        if number is None:
            return {}
        return {variable.name: variable for variable in self.btf.variables(number)}

    @cached_property
    def _enumerators(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for kind in (BtfKind.ENUM, BtfKind.ENUM64):
            for number in self.btf.all_of(kind):
                for each in self.btf.enumerators(number):
                    found.setdefault(each.name, each.value)
        return found

    def _plain_size(self, number: int, kind: BtfKind) -> int:
        if kind is BtfKind.PTR:
            return self.pointer_size
        return self.btf.extent(number) if kind in _SIZED else 0

    def _member(self, number: int, name: str) -> Field | None:
        """Return the field of that name; nameless parts are looked into, each type once."""
        waiting, seen = [(number, 0)], set[int]()
        while waiting:
            number, base = waiting.pop(0)
            if number in seen or self.btf.kind(number) not in _STRUCTURES:
                continue
            seen.add(number)
            for member in self.btf.members(number):
                place = base + member.bit_offset
                if member.name == name:
                    return Field(place, self._bits(member), member.type)
                if not member.name:
                    waiting.append((self.resolve(member.type), place))
        return None

    def _bits(self, member: Member) -> int:
        return member.bit_size or 8 * self.size_of(member.type)
