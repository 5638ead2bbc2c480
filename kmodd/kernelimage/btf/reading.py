# SPDX-License-Identifier: Apache-2.0
"""The bytes of a ``.BTF`` section (Documentation/bpf/btf.rst; include/uapi/linux/btf.h).

They are walked once, 80,000 types of a kernel in 0.1 s; a type is looked into when it is asked for.
A module's own types go on where its kernel's end (split BTF): its numbers and its strings, too.
"""

import struct
from array import array
from collections.abc import Collection, Iterator

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf.types import (
    Array,
    BtfKind,
    Enumerator,
    FunctionType,
    Member,
    Parameter,
    Variable,
)

TYPES_MAX = 1 << 22
"""Types at most; Debian's kernels have 83,000 to 127,000."""

NAME_MAX = 1024
"""Bytes of a name at most."""

BTF_BEGINNING = struct.pack("<HBBII", 0xEB9F, 1, 0, 24, 0)
"""What all types of a kernel begin with that is little endian: magic, version 1, no flags, a header
of 24 bytes, types right behind it."""

_MAGIC = 0xEB9F
_VERSION = 1
_HEADER = "HBBIIIII"
_HEADER_SIZE = 24
_TYPE_SIZE = 12
_KIND_FLAG = 0x80000000
_SIGNED = 1
"""What is said of a number that can be below zero (BTF_INT_SIGNED)."""

# How many bytes stand behind a type: so many for each of its vlen parts, so many once.
_EACH = {
    BtfKind.STRUCT: 12,
    BtfKind.UNION: 12,
    BtfKind.ENUM: 8,
    BtfKind.FUNC_PROTO: 8,
    BtfKind.DATASEC: 12,
    BtfKind.ENUM64: 12,
}
_ONCE = {BtfKind.INT: 4, BtfKind.ARRAY: 12, BtfKind.VAR: 4, BtfKind.DECL_TAG: 4}


class Btf:
    """The types of one kernel, or of one module on top of its kernel's ``base``.

    Types are numbers from 1 on; 0 is void. Every question raises KernelImageError for a number of
    no type, and where what stands there is not in order.
    """

    def __init__(self, data: bytes, path: str, base: "Btf | None" = None) -> None:
        """Raises KernelImageError where ``data`` is not BTF; ``path`` names it there."""
        self.path = path
        self._base = base
        if len(data) < _HEADER_SIZE:
            raise self.error("too short for its header")
        self.order = "<" if data[:2] == _MAGIC.to_bytes(2, "little") else ">"
        header = struct.unpack_from(self.order + _HEADER, data)
        magic, version, _flags, length, types, types_size, strings, strings_size = header
        if magic != _MAGIC or version != _VERSION:
            raise self.error(f"magic {magic:#x}, version {version}")
        if length < _HEADER_SIZE or length + max(types + types_size, strings + strings_size) > len(
            data
        ):
            raise self.error("its parts reach past its end")
        self._types = data[length + types : length + types + types_size]
        self._strings = data[length + strings : length + strings + strings_size]
        self._first = base.count if base else 1
        self._strings_first = base.strings_size if base else 0
        self._type = struct.Struct(self.order + "III")
        self._offsets = array("I")
        self._by_name: dict[int, list[int]] = {}
        self._walk()

    @property
    def count(self) -> int:
        """The first number that is no type's."""
        return self._first + len(self._offsets)

    @property
    def strings_size(self) -> int:
        """Bytes of the strings, those of the base among them."""
        return self._strings_first + len(self._strings)

    def error(self, why: str) -> KernelImageError:
        """Return the error that says ``why`` these types are wrong."""
        return KernelImageError(self.path, f".BTF: {why}")

    def kind(self, number: int) -> BtfKind:
        """Return what the type is."""
        if not number:
            return BtfKind.VOID
        return BtfKind(self._entry(number)[1] >> 24 & 0x1F)

    def name(self, number: int) -> str:
        """Return the type's name, "" where it has none."""
        return self.string(self._entry(number)[0]) if number else ""

    def extent(self, number: int) -> int:
        """Return the bytes of a number, an enum, a structure or a union, as the type says."""
        return self._entry(number)[2]

    def is_signed(self, number: int) -> bool:
        """Tell whether a number or an enum can be below zero."""
        if self.kind(number) is BtfKind.INT:
            (encoding,) = struct.unpack_from(f"{self.order}I", *self._behind(number))
            return bool(encoding >> 24 & _SIGNED)
        return bool(self._entry(number)[1] & _KIND_FLAG)

    def target(self, number: int) -> int:
        """Return what a pointer, a typedef, a qualifier, a function or a variable is of."""
        return self._entry(number)[2]

    def find(self, name: str, *kinds: BtfKind) -> int | None:
        """Return the first type of that name and of one of ``kinds``, if there is one."""
        return next(self.find_all(name, *kinds), None)

    def find_all(self, name: str, *kinds: BtfKind) -> Iterator[int]:
        """Yield all of them: files of a kernel may each have another structure of that name."""
        if self._base is not None:
            yield from self._base.find_all(name, *kinds)
        # Names are stored once each; a linker of types may let one end in another's tail.
        key = name.encode("utf-8", "surrogateescape") + b"\0"
        position = self._strings.find(key)
        while position >= 0:
            for number in self._by_name.get(position + self._strings_first, ()):
                if self.kind(number) in kinds:
                    yield number
            position = self._strings.find(key, position + 1)

    def all_of(self, kind: BtfKind) -> Iterator[int]:
        """Yield every type of that kind."""
        if self._base is not None:
            yield from self._base.all_of(kind)
        for number in range(self._first, self.count):
            if self.kind(number) is kind:
                yield number

    def named(self, names: Collection[str] | None, kind: BtfKind) -> Iterator[tuple[str, int]]:
        """Yield the types of that kind that have one of these names, with it, or all with a name.

        Not the base's, nor one whose name ends in another's tail.
        """
        wanted = {name.encode("utf-8", "surrogateescape") for name in names or ()}
        offset = self._strings_first
        for string in self._strings.split(b"\0"):
            if string in wanted or (names is None and string):
                for number in self._by_name.get(offset, ()):
                    if self.kind(number) is kind:
                        yield string.decode("utf-8", "surrogateescape"), number
            offset += len(string) + 1

    def members(self, number: int) -> tuple[Member, ...]:
        """Return the members of a structure or union, in its order."""
        has_bit_fields = bool(self._entry(number)[1] & _KIND_FLAG)
        return tuple(
            Member(
                self.string(name),
                kind,
                place & 0xFFFFFF if has_bit_fields else place,
                place >> 24 if has_bit_fields else 0,
            )
            for name, kind, place in self._parts(number, "III", BtfKind.STRUCT, BtfKind.UNION)
        )

    def enumerators(self, number: int) -> tuple[Enumerator, ...]:
        """Return the names of an enum, with their values."""
        is_signed = bool(self._entry(number)[1] & _KIND_FLAG)
        if self.kind(number) is BtfKind.ENUM:
            parts = self._parts(number, "Ii" if is_signed else "II", BtfKind.ENUM)
            return tuple(Enumerator(self.string(name), value) for name, value in parts)
        found = []
        for name, low, high in self._parts(number, "III", BtfKind.ENUM64):
            value = high << 32 | low
            if is_signed and value >> 63:
                value -= 1 << 64
            found.append(Enumerator(self.string(name), value))
        return tuple(found)

    def prototype(self, number: int) -> FunctionType:
        """Return what functions of a prototype take and return."""
        parts = [
            Parameter(self.string(name), kind)
            for name, kind in self._parts(number, "II", BtfKind.FUNC_PROTO)
        ]
        # One that takes more than it names has a last parameter of neither name nor type.
        is_variadic = bool(parts) and parts[-1] == ("", 0)
        named = parts[:-1] if is_variadic else parts
        return FunctionType(self.target(number), tuple(named), is_variadic)

    def parameter_types(self, number: int) -> list[int]:
        """Return what functions of a prototype take, but for the names; 0 at the end for more."""
        return [kind for _, kind in self._parts(number, "II", BtfKind.FUNC_PROTO)]

    def variables(self, number: int) -> tuple[Variable, ...]:
        """Return the variables of a section (DATASEC)."""
        return tuple(
            Variable(self.name(variable), self.target(variable), offset, size)
            for variable, offset, size in self._parts(number, "III", BtfKind.DATASEC)
        )

    def array(self, number: int) -> Array:
        """Return what an array is of."""
        if self.kind(number) is not BtfKind.ARRAY:
            raise self.error(f"type {number} is no array")
        of, _index, count = struct.unpack_from(f"{self.order}III", *self._behind(number))
        return Array(of, count)

    def string(self, offset: int) -> str:
        """Return the string at ``offset``."""
        if self._base is not None and offset < self._strings_first:
            return self._base.string(offset)
        start = offset - self._strings_first
        end = self._strings.find(b"\0", start, start + NAME_MAX)
        if end < 0:
            raise self.error(f"no string ends behind {offset}")
        return self._strings[start:end].decode("utf-8", "surrogateescape")

    def _entry(self, number: int) -> tuple[int, int, int]:
        """Return the three words that each type begins with."""
        if self._base is not None and 0 < number < self._first:
            return self._base._entry(number)  # of its own class
        index = number - self._first
        if not 0 <= index < len(self._offsets):
            raise self.error(f"there is no type {number}")
        name, info, rest = self._type.unpack_from(self._types, self._offsets[index])
        return name, info, rest

    def _behind(self, number: int) -> tuple[bytes, int]:
        """Return the bytes that what stands behind a type is in, and where it begins."""
        if self._base is not None and number < self._first:
            return self._base._behind(number)  # of its own class
        return self._types, self._offsets[number - self._first] + _TYPE_SIZE

    def _parts(self, number: int, layout: str, *kinds: BtfKind) -> Iterator[tuple[int, ...]]:
        """Yield what stands behind a type, part for part."""
        kind = self.kind(number)
        if kind not in kinds:
            raise self.error(f"type {number} is {kind.name}, not {kinds[0].name}")
        count = self._entry(number)[1] & 0xFFFF
        part = struct.Struct(self.order + layout)
        data, start = self._behind(number)
        return part.iter_unpack(data[start : start + count * part.size])

    def _walk(self) -> None:
        """Note where each type begins; raises KernelImageError where they do not fill their part.

        What stands behind a type is within its part from then on.
        """
        each = [_EACH.get(BtfKind(kind), 0) if kind in _KINDS else -1 for kind in range(32)]
        once = [_ONCE.get(BtfKind(kind), 0) if kind in _KINDS else 0 for kind in range(32)]
        offset, size = 0, len(self._types)
        offsets, by_name = self._offsets, self._by_name
        unpack = struct.Struct(self.order + "II").unpack_from
        number = self._first
        while offset + _TYPE_SIZE <= size:
            name, info = unpack(self._types, offset)
            offsets.append(offset)
            if name:
                by_name.setdefault(name, []).append(number)
            number += 1
            kind = info >> 24 & 0x1F
            if each[kind] < 0:
                raise self.error(f"type {number - 1} is of the unknown kind {kind}")
            offset += _TYPE_SIZE + each[kind] * (info & 0xFFFF) + once[kind]
        if offset != size:
            raise self.error("the last type is cut short")
        if len(offsets) > TYPES_MAX:
            raise self.error(f"{len(offsets)} types")


_KINDS = frozenset(range(BtfKind.INT, BtfKind.ENUM64 + 1))
