# SPDX-License-Identifier: Apache-2.0
"""The ELF header and section table of a module (the generic ABI's chapter 4, elf(5)).

Both classes and both byte orders. The table is read when the file is opened, a section's bytes
when they are asked for; every offset, size and count is checked against the file before use.
"""

from __future__ import annotations

import struct

from kmodd.enums import IntEnum
from kmodd.errors import ModuleFileError
from kmodd.records import record
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from kmodd.modulefile.image import Image

MAX_SECTIONS = 1 << 17
"""Sections in the module with the most. A livepatch built with one section a function has
tens of thousands; the most of Debian's modules has 93 (kvm)."""

MAX_SECTION_NAME = 1024
"""Bytes in the longest name of a section."""

MAX_STRINGS = 32 << 20
"""Bytes in the largest string table (the largest of Debian's has 475,118, in amdgpu)."""

SHN_UNDEF, SHN_ABS, SHN_XINDEX = 0, 0xFFF1, 0xFFFF
"""Section indices with a meaning of their own: no section, no offset in one, too large to tell."""

_SIZE_OF_HEADER = {32: 52, 64: 64}
_SECTION_LAYOUT = {32: "10I", 64: "IIQQQQIIQQ"}


class ElfType(IntEnum):
    """What kind of ELF object a file is (``e_type``); a module is a relocatable one."""

    NONE = 0
    REL = 1
    EXEC = 2
    DYN = 3
    CORE = 4


class ElfMachine(IntEnum):
    """The processors that Linux distributions ship modules for (``e_machine``)."""

    SPARC = 2
    X86 = 3
    M68K = 4
    MIPS = 8
    PARISC = 15
    PPC = 20
    PPC64 = 21
    S390 = 22
    ARM = 40
    SH = 42
    SPARCV9 = 43
    X86_64 = 62
    AARCH64 = 183
    RISCV = 243
    LOONGARCH = 258


class SectionType(IntEnum):
    """What a section holds (``sh_type``), as far as modules care."""

    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    NOTE = 7
    NOBITS = 8
    REL = 9


_RELOCATION_TYPES = (SectionType.REL, SectionType.RELA)


@record
class Section:
    """One entry of the section table; ``index`` is its place there, sizes are in bytes."""

    index: int
    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entsize: int


class _Header(NamedTuple):
    """The fields of the ELF header that this package uses, those after the first two in order."""

    bits: Literal[32, 64]
    byteorder: Literal["little", "big"]
    type: int
    machine: int
    table_offset: int
    flags: int
    entry_size: int
    entry_count: int
    names_index: int


class Elf:
    """The section table of one module: what is where in its image.

    ``sections`` is made when it is first asked for. The accessors of this package go by single
    rows of the table instead: 43 objects would cost more than all that depmod needs of a module.
    """

    def __init__(self, image: Image) -> None:
        header = _read_header(image)
        self.image = image
        self.bits: Literal[32, 64] = header.bits
        self.byteorder: Literal["little", "big"] = header.byteorder
        self.type = header.type
        self.machine = header.machine
        self.flags = header.flags
        self.order = "<" if header.byteorder == "little" else ">"
        """The byte order as the struct module writes it."""
        self._layout = struct.Struct(self.order + _SECTION_LAYOUT[header.bits])
        self._table = _read_table(image, header, self._layout)
        beginnings = struct.iter_unpack(f"{self.order}II{self._layout.size - 8}x", self._table)
        # The first of several sections with one name wins, as in a search from the front.
        self._by_name: dict[int, int] = {}
        self._types: list[int] = []
        for index, (name, section_type) in enumerate(beginnings):
            self._by_name.setdefault(name, index)
            self._types.append(section_type)
        self._names = self._read_names(header.names_index)
        self._sections: tuple[Section, ...] | None = None

    def error(self, why: str) -> ModuleFileError:
        """Return the error that says ``why`` this module's tables are wrong."""
        return ModuleFileError(self.image.path, why)

    @property
    def sections(self) -> tuple[Section, ...]:
        """Every section in the order of the table, the empty section 0 included."""
        if self._sections is None:
            self._sections = tuple(map(self.section_at, range(len(self._types))))
        return self._sections

    def section(self, name: str) -> Section | None:
        """Return the first section of that name, or None."""
        index = self.index_of(name.encode("utf-8", "surrogateescape"))
        return None if index is None else self.section_at(index)

    def section_at(self, index: int) -> Section:
        """Return the section at ``index`` of the table; raise ModuleFileError where none is."""
        row = self.row(index)
        start = row[0]
        end = self._names.find(b"\0", start, start + MAX_SECTION_NAME + 1)
        if end < 0:
            raise self.error(f"the name of section {index} is too long or not among the names")
        return Section(index, self._names[start:end].decode("utf-8", "surrogateescape"), *row[1:])

    def index_of(self, name: bytes) -> int | None:
        """Return the index of the first section of that name, or None."""
        found: int | None = None
        key = name + b"\0"
        # Linkers let one name end in another's tail, so each place where it stands may be it.
        position = self._names.find(key)
        while position >= 0:
            index = self._by_name.get(position)
            if index is not None and (found is None or index < found):
                found = index
            position = self._names.find(key, position + 1)
        return found

    def index_of_type(self, section_type: int) -> int | None:
        """Return the index of the first section of that type, or None."""
        try:
            return self._types.index(section_type)
        except ValueError:
            return None

    def relocation_tables(self, index: int) -> list[int]:
        """Return the indices of the sections that hold relocations of the one at ``index``."""
        return [
            table
            for table, section_type in enumerate(self._types)
            if section_type in _RELOCATION_TYPES and self.row(table)[7] == index
        ]

    def row(self, index: int) -> tuple[int, ...]:
        """Return the raw table entry at ``index``, its fields in the order of the file."""
        if index >= len(self._types):
            raise self.error(f"section {index} of {len(self._types)} is out of range")
        return self._layout.unpack_from(self._table, index * self._layout.size)

    def data(self, index: int, *, limit: int | None = None) -> bytes:
        """Return the bytes of the section at ``index``; none for one without any in the file.

        Raises ModuleFileError where they are more than ``limit``, or reach past the file's end.
        """
        _, section_type, _, _, offset, size, *_ = self.row(index)
        if section_type == SectionType.NOBITS:
            return b""
        if offset + size > self.image.size:
            where = f"{size} bytes at offset {offset}"
            raise self.error(f"section {index}, {where}, reaches past the end of the file")
        if limit is not None and size > limit:
            raise self.error(
                f"section {index} has {size} bytes, more than the {limit} that make sense"
            )
        return self.image.read(offset, size)

    def named_data(self, name: bytes, *, limit: int | None = None) -> bytes:
        """Return the bytes of the first section of that name, none where there is no such one."""
        index = self.index_of(name)
        return b"" if index is None else self.data(index, limit=limit)

    def strings(self, index: int, *, limit: int = MAX_STRINGS) -> bytes:
        """Return the string table at ``index``, which ends in a NUL byte or is empty."""
        table = self.data(index, limit=limit)
        if table and table[-1]:
            raise self.error(f"the string table in section {index} does not end in a NUL byte")
        return table

    def _read_names(self, index: int) -> bytes:
        if index == SHN_XINDEX:
            index = self.row(0)[6]
        return self.strings(index, limit=MAX_STRINGS // 2)


class SectionContents:
    """The sections that words of a module point into: each is read once, and kept.

    All together they are bounded, since any number of sections may lie on one stretch of file.
    """

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._kept: dict[int, bytes] = {}
        self._left = MAX_STRINGS

    def __getitem__(self, index: int) -> bytes:
        """Return the bytes of the section at ``index``."""
        data = self._kept.get(index)
        if data is None:
            data = self._kept[index] = self._elf.data(index, limit=self._left)
            self._left -= len(data)
        return data


def _read_header(image: Image) -> _Header:
    """Return the header of ``image``, checked as far as the section table depends on it."""
    head = image.head
    if len(head) < _SIZE_OF_HEADER[32]:
        raise ModuleFileError(image.path, "too short for an ELF header")
    if head[:4] != b"\x7fELF":
        raise ModuleFileError(image.path, "not an ELF file")
    if head[4] not in (1, 2) or head[5] not in (1, 2):
        raise ModuleFileError(image.path, f"unknown ELF class {head[4]} or byte order {head[5]}")
    bits: Literal[32, 64] = 64 if head[4] == 2 else 32
    byteorder: Literal["little", "big"] = "little" if head[5] == 1 else "big"
    if len(head) < _SIZE_OF_HEADER[bits]:
        raise ModuleFileError(image.path, "too short for an ELF header")
    order = "<" if byteorder == "little" else ">"
    layout = "HH4x8x8xQI6xHHH" if bits == 64 else "HH4x4x4xII6xHHH"
    fields = struct.Struct(order + layout).unpack_from(head, 16)
    return _Header(bits, byteorder, *fields)


def _read_table(image: Image, header: _Header, layout: struct.Struct) -> bytes:
    """Return the bytes of the section table, a whole number of entries and at least one."""
    offset, size, count = header.table_offset, layout.size, header.entry_count
    if not offset:
        raise ModuleFileError(image.path, "no section table")
    if header.entry_size != size:
        raise ModuleFileError(image.path, f"section entries of {header.entry_size} bytes")
    if not count:
        # More sections than 16 bits can count: the number is in the size of section 0.
        count = layout.unpack(image.read(offset, size))[5]
    if not 0 < count <= MAX_SECTIONS:
        raise ModuleFileError(image.path, f"a section table of {count} entries")
    return image.read(offset, count * size)
