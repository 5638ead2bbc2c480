# SPDX-License-Identifier: Apache-2.0
"""Put a relocatable ELF object together from sections, symbols and relocations.

Of either class and byte order, for the processors that distributions ship modules for. More
sections than the ELF header can count are written as the generic ABI says.
"""

import struct
from dataclasses import dataclass, field
from typing import Literal

from kmodd.modulefile import ElfMachine, ElfType, SectionType

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_STRINGS = 1, 2, 4, 0x30
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION = 0, 1, 2, 3

_SHF_INFO_LINK = 0x40
_SHN_ABS = 0xFFF1
_SHN_LORESERVE = 0xFF00
_SHN_XINDEX = 0xFFFF

Word = Literal["pointer", "relative", "word"]
"""What a relocation fills in: an address, a 32-bit offset from its own place, or 32 bits."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor's relocation types, and whether their addends stand beside them (SHT_RELA).

    ``relative`` is None where the kernel's tables hold pointers all the same.
    """

    relative: int | None
    pointer: int
    word: int
    explicit: bool

    def number(self, word: Word) -> int:
        """Return the type of the relocation that fills in such a word."""
        number = {"relative": self.relative, "pointer": self.pointer, "word": self.word}[word]
        assert number is not None
        return number


PROCESSORS = {
    (ElfMachine.X86, 32): Processor(2, 1, 1, explicit=False),
    (ElfMachine.MIPS, 32): Processor(None, 2, 2, explicit=False),
    (ElfMachine.PPC, 32): Processor(26, 1, 1, explicit=True),
    (ElfMachine.ARM, 32): Processor(3, 2, 2, explicit=False),
    (ElfMachine.MIPS, 64): Processor(None, 18, 2, explicit=True),
    (ElfMachine.PPC64, 64): Processor(26, 38, 1, explicit=True),
    (ElfMachine.S390, 64): Processor(5, 22, 4, explicit=True),
    (ElfMachine.SPARCV9, 64): Processor(None, 32, 3, explicit=True),
    (ElfMachine.X86_64, 64): Processor(2, 1, 10, explicit=True),
    (ElfMachine.AARCH64, 64): Processor(261, 257, 258, explicit=True),
    (ElfMachine.RISCV, 64): Processor(57, 2, 1, explicit=True),
}


@dataclass(slots=True, eq=False)
class ObjectSection:
    """A section: its bytes, and what fills in words of it."""

    name: str
    data: bytearray
    flags: int = 0
    align: int = 1
    type: int = SectionType.PROGBITS
    link: int = 0
    info: int = 0
    entsize: int = 0
    relocations: "list[ObjectRelocation]" = field(default_factory=list)

    def relocate(self, offset: int, word: Word, symbol: "ObjectSymbol", addend: int = 0) -> None:
        """Make the word at ``offset`` bytes point at ``symbol`` + ``addend``."""
        self.relocations.append(ObjectRelocation(offset, word, symbol, addend))


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSymbol:
    """A symbol; one that is neither in a section nor absolute is undefined."""

    name: str
    section: ObjectSection | None = None
    value: int = 0
    size: int = 0
    binding: int = STB_GLOBAL
    type: int = STT_NOTYPE
    absolute: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ObjectRelocation:
    """One word of a section that a loader fills in."""

    offset: int
    word: Word
    symbol: ObjectSymbol
    addend: int


@dataclass(slots=True)
class ElfObject:
    """An object that grows until ``link`` makes a file of it."""

    bits: Literal[32, 64]
    byteorder: Literal["little", "big"]
    machine: int
    type: int = ElfType.REL
    sections: list[ObjectSection] = field(default_factory=list)
    symbols: list[ObjectSymbol] = field(default_factory=list)

    @property
    def order(self) -> str:
        """The byte order as the struct module writes it."""
        return "<" if self.byteorder == "little" else ">"

    @property
    def processor(self) -> Processor:
        """The relocations of the object's processor."""
        return PROCESSORS[ElfMachine(self.machine), self.bits]

    def pack(self, layout: str, *values: int) -> bytes:
        """Return ``values`` in that layout of the struct module, in the object's byte order."""
        return struct.pack(self.order + layout, *values)

    def add(self, name: str, data: bytes = b"", flags: int = 0, align: int = 1) -> ObjectSection:
        """Add a section of plain data and return it, to be pointed at."""
        section = ObjectSection(name, bytearray(data), flags, align)
        self.sections.append(section)
        return section

    def define(self, symbol: ObjectSymbol) -> ObjectSymbol:
        """Add ``symbol`` and return it."""
        self.symbols.append(symbol)
        return symbol

    def link(self) -> bytes:
        """Return the file: the sections, their relocations, the symbol table, the string tables."""
        symbols = sorted(self.symbols, key=lambda symbol: symbol.binding != STB_LOCAL)
        relocated = [section for section in self.sections if section.relocations]
        symtab_index = 1 + len(self.sections) + len(relocated)
        tables = [self._relocation_table(s, symbols, symtab_index) for s in relocated]
        names = _Strings()
        symtab = ObjectSection(".symtab", self._symbol_table(symbols, names), align=8)
        symtab.type = SectionType.SYMTAB
        symtab.link = symtab_index + 1
        symtab.info = 1 + sum(symbol.binding == STB_LOCAL for symbol in symbols)
        symtab.entsize = 24 if self.bits == 64 else 16
        strtab = ObjectSection(".strtab", names.data, type=SectionType.STRTAB)
        return self._file([*self.sections, *tables, symtab, strtab])

    def _relocation_table(
        self, section: ObjectSection, symbols: list[ObjectSymbol], symtab_index: int
    ) -> ObjectSection:
        processor = self.processor
        indices = {symbol: index for index, symbol in enumerate(symbols, 1)}
        data = bytearray()
        for relocation in section.relocations:
            info = self._info(indices[relocation.symbol], processor.number(relocation.word))
            data += self.pack("QQ" if self.bits == 64 else "II", relocation.offset, info)
            if processor.explicit:
                data += self.pack("q" if self.bits == 64 else "i", relocation.addend)
            else:
                place = slice(relocation.offset, relocation.offset + 4)
                section.data[place] = self.pack("i", relocation.addend)
        return ObjectSection(
            (".rela" if processor.explicit else ".rel") + section.name,
            data,
            flags=_SHF_INFO_LINK,
            align=8,
            type=SectionType.RELA if processor.explicit else SectionType.REL,
            link=symtab_index,
            info=1 + self.sections.index(section),
            entsize=self.bits // 8 * (3 if processor.explicit else 2),
        )

    def _info(self, symbol: int, number: int) -> int:
        """Return a relocation's ``r_info``."""
        if self.bits == 32:
            return symbol << 8 | number
        if self.machine == ElfMachine.MIPS and self.byteorder == "little":
            # A word for the symbol, then four single bytes, the type last: in either byte order.
            return number << 56 | symbol
        return symbol << 32 | number

    def _symbol_table(self, symbols: list[ObjectSymbol], names: "_Strings") -> bytearray:
        indices = {id(section): index for index, section in enumerate(self.sections, 1)}
        data = bytearray(24 if self.bits == 64 else 16)
        for symbol in symbols:
            index = _SHN_ABS if symbol.absolute else indices.get(id(symbol.section), 0)
            info = symbol.binding << 4 | symbol.type
            name = names.add(symbol.name)
            if self.bits == 64:
                data += self.pack("IBxHQQ", name, info, index, symbol.value, symbol.size)
            else:
                data += self.pack("IIIBxH", name, symbol.value, symbol.size, info, index)
        return data

    def _file(self, sections: list[ObjectSection]) -> bytes:
        """Return the file that holds ``sections`` and the table of them at its end."""
        names = _Strings()
        section_names = ObjectSection(".shstrtab", names.data, type=SectionType.STRTAB)
        sections = [*sections, section_names]
        name_offsets = [names.add(section.name) for section in sections]
        image = bytearray(64 if self.bits == 64 else 52)
        rows = []
        for name, section in zip(name_offsets, sections, strict=True):
            image += bytes(-len(image) % section.align)
            rows.append(self._section_row(name, section, len(image)))
            if section.type != SectionType.NOBITS:
                image += section.data
        image += bytes(-len(image) % 8)
        count = len(sections) + 1
        image_size = len(image)
        image += self._first_row(count) + b"".join(rows)
        image[: 64 if self.bits == 64 else 52] = self._header(image_size, count)
        return bytes(image)

    def _section_row(self, name: int, section: ObjectSection, offset: int) -> bytes:
        layout = "IIQQQQIIQQ" if self.bits == 64 else "10I"
        place = (section.flags, 0, offset, len(section.data), section.link, section.info)
        return self.pack(layout, name, section.type, *place, section.align, section.entsize)

    def _first_row(self, count: int) -> bytes:
        """Return section 0: empty, but for what the header has no room for."""
        extended = count >= _SHN_LORESERVE
        layout = "IIQQQQIIQQ" if self.bits == 64 else "10I"
        size, link = (count, count - 1) if extended else (0, 0)
        return self.pack(layout, 0, 0, 0, 0, 0, size, link, 0, 0, 0)

    def _header(self, table_offset: int, count: int) -> bytes:
        ident = b"\x7fELF" + bytes([self.bits // 32, 1 if self.byteorder == "little" else 2, 1])
        header_size, entry_size, address = (64, 64, "Q") if self.bits == 64 else (52, 40, "I")
        counted = (count, count - 1) if count < _SHN_LORESERVE else (0, _SHN_XINDEX)
        return ident.ljust(16, b"\0") + self.pack(
            f"HHI3{address}I6H",
            *(self.type, self.machine, 1, 0, 0, table_offset, 0),
            *(header_size, 0, 0, entry_size, *counted),
        )


class _Strings:
    """A string table that grows: each name once, the empty one first."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._offsets = {"": 0}

    def add(self, name: str) -> int:
        """Return the offset of ``name``, which is added where it is new."""
        offset = self._offsets.get(name)
        if offset is None:
            offset = self._offsets[name] = len(self.data)
            self.data += name.encode("utf-8", "surrogateescape") + b"\0"
        return offset
