# SPDX-License-Identifier: Apache-2.0
"""The symbol table of a module: what it imports, and the CRCs of what it exports.

The rules for depmod's view are libkmod's (``kmod_elf_get_symbols`` and
``kmod_elf_get_dependency_symbols``).
"""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import compress
from operator import itemgetter, not_

from kmodd.modulefile.elf import SHN_ABS, SHN_UNDEF, Elf, ElfMachine, SectionContents, SectionType
from kmodd.records import record
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_SYMBOLS = 1 << 20
"""Symbols in the module with the most (amdgpu has 26,032, the most of Debian's)."""

MAX_SYMBOL_NAME = 4096
"""Bytes that no symbol's name reaches; the kernel's own bound (KSYM_NAME_LEN) is 512.

Many symbols may have one name, so without a bound a single long string would be copied again
and again. It is kept for the string table as a whole, whose blocks of half this size must each
hold the end of a string: that takes a look a block, not one a symbol.
"""

MAX_NAMES = 64 << 20
"""Bytes of all names together that one question about symbols may yield. Names may share their
tails, so a small string table could spell out far more text than it holds."""

_BLOCK = MAX_SYMBOL_NAME // 2
_FEW = MAX_NAMES // MAX_SYMBOL_NAME

_STB_WEAK = 2
_SPARC = (ElfMachine.SPARC, ElfMachine.SPARCV9)
_STT_SPARC_REGISTER = 13
_CRC_PREFIX = "__crc_"


@record
class UndefinedSymbol:
    """A symbol that a module imports; a weak one may stay unresolved."""

    name: str
    weak: bool


class Symbol(NamedTuple):
    """One entry of ``.symtab``. A tuple, since a module has thousands of them.

    ``section`` is the index of the section that the symbol lies in, or one of SHN_*;
    ``value`` is an offset in that section, in bytes, as is ``size``. ``binding`` and ``type``
    are numbers of elf(5): STB_* and STT_*.
    """

    name: str
    value: int
    size: int
    binding: int
    type: int
    section: int


@record
class _Layout:
    """One class's symbols; the classes order their fields differently."""

    size: int
    fields: str
    """A format of the struct module."""
    order: Callable[[tuple[int, ...]], tuple[int, int, int, int, int]]
    """Puts the fields in the order name, value, size, info, section."""
    section_half: int
    """Which 16-bit half of a word holds the section."""


_LAYOUTS = {
    32: _Layout(16, "IIIBxH", itemgetter(0, 1, 2, 3, 4), 7),
    64: _Layout(24, "IBxHQQ", itemgetter(0, 3, 4, 1, 2), 3),
}


class SymbolTable:
    """The ``.symtab`` of a module with the strings that name its symbols; empty without one.

    Questions are answered from whole columns of the table, taken out and compared in C: a Python
    function called for each of the 828,500 symbols in Debian's modules would take longer than
    all the rest. Names are cut from text decoded once, a byte a character so that offsets hold.
    """

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._layout = _LAYOUTS[elf.bits]
        self._unpacker = struct.Struct(elf.order + self._layout.fields)
        self._entries = b""
        self._text = ""
        self._locals = 0
        index = elf.index_of_type(SectionType.SYMTAB)
        if index is not None:
            self._read(index)
        words = array("I", self._entries)
        if elf.byteorder != sys.byteorder:
            words.byteswap()
        self._name_offsets = words[:: self._layout.size // 4]

    def symbols(self) -> Iterator[Symbol]:
        """Yield every symbol in the order of the table, the empty symbol 0 included."""
        order = self._layout.order
        names = self._names(self._name_offsets)
        for name, row in zip(names, self._unpacker.iter_unpack(self._entries), strict=True):
            _, value, size, info, section = order(row)
            yield Symbol(name, value, size, info >> 4, info & 15, section)

    def place(self, index: int) -> tuple[int, int]:
        """Return the section and the value of the symbol at ``index`` of the table.

        Raises ModuleFileError where there is no such symbol.
        """
        if index >= len(self._name_offsets):
            raise self._elf.error(f"symbol {index} is out of range")
        _, value, _, _, section = self._row(index)
        return section, value

    def undefined(self) -> tuple[UndefinedSymbol, ...]:
        """Return the imported symbols in the order of the table, each name once."""
        found: dict[str, UndefinedSymbol] = {}
        names = self.undefined_names()
        for index, name in zip(self._imports(), names, strict=True):
            if name and name not in found:
                found[name] = UndefinedSymbol(name, self._row(index)[3] >> 4 == _STB_WEAK)
        return tuple(found.values())

    def undefined_names(self) -> list[str]:
        """Return the names of all undefined symbols in order, the empty symbol's included."""
        return self._names(list(map(self._name_offsets.__getitem__, self._imports())))

    def crcs(self) -> tuple[tuple[str, int], ...]:
        """Return the names and CRCs that ``__crc_`` symbols give, in the order of the table.

        The CRC is an absolute symbol's value, or lies where the symbol points (all kernels since
        5.19, and before where CONFIG_MODULE_REL_CRCS was set).
        """
        indices = self._indices_of(_CRC_PREFIX)
        if not indices:
            return ()
        names = self._names([self._name_offsets[index] + len(_CRC_PREFIX) for index in indices])
        contents = SectionContents(self._elf)
        values = [self._crc(self._row(index), contents) for index in indices]
        return tuple(zip(names, values, strict=True))

    def defines(self, name: str) -> bool:
        """Tell whether the module itself defines a symbol ``name``, local or global."""
        return any(self._row(index)[4] != SHN_UNDEF for index in self._indices_of(f"{name}\0"))

    def _read(self, index: int) -> None:
        """Take in the table at section ``index`` and the strings that it links to."""
        elf = self._elf
        row = elf.row(index)
        size, link, local_count, entry_size = row[5], row[6], row[7], row[9]
        count, rest = divmod(size, self._layout.size)
        if entry_size != self._layout.size or rest:
            raise elf.error(f".symtab has {size} bytes in entries of {entry_size}")
        if count > MAX_SYMBOLS or local_count > count:
            raise elf.error(f".symtab has {count} symbols, {local_count} of them local")
        self._text = elf.strings(link).decode("latin-1")
        for block in range(0, len(self._text) - _BLOCK, _BLOCK):
            if self._text.find("\0", block, block + _BLOCK) < 0:
                raise elf.error(f"a symbol's name is longer than {_BLOCK} bytes")
        self._entries = elf.data(index)
        self._locals = local_count

    def _row(self, index: int) -> tuple[int, int, int, int, int]:
        """Return the name offset, value, size, info and section of the symbol at ``index``."""
        return self._layout.order(
            self._unpacker.unpack_from(self._entries, index * self._layout.size)
        )

    def _imports(self) -> list[int]:
        """Return the indices of all undefined symbols."""
        # The ABI puts the local symbols first, sh_info of them, and none of those is an import.
        # SHN_UNDEF is 0, and zero reads the same in both byte orders.
        layout = self._layout
        halves = array("H", self._entries[self._locals * layout.size :])
        sections = halves[layout.section_half :: layout.size // 2]
        count = len(self._name_offsets)
        indices = list(compress(range(self._locals, count), map(not_, sections)))
        if self._elf.machine in _SPARC:
            # A global register variable is declared so, and imports nothing.
            return [index for index in indices if self._row(index)[3] & 15 != _STT_SPARC_REGISTER]
        return indices

    def _indices_of(self, text: str) -> list[int]:
        """Return the indices of the symbols whose names begin with ``text``."""
        places: set[int] = set()
        at = self._text.find(text)
        while at >= 0:
            places.add(at)
            at = self._text.find(text, at + 1)
            if len(places) > MAX_SYMBOLS:
                raise self._elf.error(f"{text!r} stands in more than {MAX_SYMBOLS} names")
        # Most modules have no such name anywhere, and then no symbol need be looked at.
        if not places:
            return []
        found = map(places.__contains__, self._name_offsets)
        return list(compress(range(len(self._name_offsets)), found))

    def _names(self, offsets: Sequence[int]) -> list[str]:
        """Return the strings at ``offsets`` of the string table."""
        text = self._text
        index = text.index
        try:
            if len(offsets) > _FEW and sum([index("\0", at) - at for at in offsets]) > MAX_NAMES:
                raise self._elf.error(f"the names of symbols come to more than {MAX_NAMES} bytes")
            names = [text[at : index("\0", at)] for at in offsets]
        except ValueError:
            # The table ends in a NUL byte, so only beyond its end there is none to be found.
            raise self._elf.error("a symbol's name lies outside the string table") from None
        return names if text.isascii() else as_utf8(names)

    def _crc(self, row: tuple[int, int, int, int, int], contents: SectionContents) -> int:
        """Return the CRC that a ``__crc_`` symbol stands for."""
        _, value, _, _, section = row
        if section in (SHN_UNDEF, SHN_ABS):
            return value & 0xFFFFFFFF
        crc = contents[section][value : value + 4]
        if len(crc) != 4:
            raise self._elf.error(f"a CRC at {value} of section {section} lies outside it")
        return int.from_bytes(crc, self._elf.byteorder)


def as_utf8(names: list[str]) -> list[str]:
    """Return ``names``, which were decoded a byte a character, as the UTF-8 that they are."""
    if "".join(names).isascii():
        return names
    return [name.encode("latin-1").decode("utf-8", "surrogateescape") for name in names]
