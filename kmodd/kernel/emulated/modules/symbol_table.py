# SPDX-License-Identifier: Apache-2.0
"""A module's symbol table in columns.

A load looks at every symbol, but at few of them closely: whether it is defined, and whether the
kernel keeps it. 480 tuples for the average module of Debian's take 350 us to make, a third of
its whole load; the columns take 40 us.
"""

import sys
from array import array
from collections.abc import Container, Sequence
from itertools import repeat

from kmodd.kernel.emulated.modules.candidate import Candidate, find_section
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol
from kmodd.modulefile import ModuleFile, SectionType
from kmodd.modulefile.file import THIS_MODULE
from kmodd.modulefile.symbols import MAX_SYMBOL_NAME, MAX_SYMBOLS

STT_NOTYPE, STT_FUNC = 0, 2
"""Types of symbols (elf(5))."""

_WORDS = {32: 4, 64: 6}
_INFO_WORD = {32: 3, 64: 1}


class SymbolColumns:
    """The first symbol table of a module; for one thread.

    ``sections`` holds each symbol's section index, ``types`` and ``bindings`` tell STT_* and STB_*.
    """

    def __init__(self, module: ModuleFile) -> None:
        """Raises ModuleFileError where the table does not add up."""
        elf = module.elf
        table = next(each for each in elf.sections if each.type == SectionType.SYMTAB)
        entry = 4 * _WORDS[elf.bits]
        data = elf.data(table.index, limit=MAX_SYMBOLS * entry)
        # The kernel does not look at what is less than a symbol.
        words = array("I", data[: len(data) // entry * entry])
        if elf.byteorder != sys.byteorder:
            words.byteswap()
        self._elf = elf
        self._strings = elf.strings(table.link)
        self._words = words
        self._stride = stride = _WORDS[elf.bits]
        self.index = table.index
        self.alignment = table.align
        self.size = table.size
        self.strings_index = table.link
        self._names = words[::stride]
        self._infos = words[_INFO_WORD[elf.bits] :: stride]
        little = elf.byteorder == "little"
        # A word has the info, a byte of no interest, and the section, in the order of the file.
        self.sections = [word >> 16 if little else word & 0xFFFF for word in self._infos]
        self._info_shift = 0 if little else 24

    def __len__(self) -> int:
        return len(self.sections)

    def name(self, index: int) -> str:
        """Return a symbol's name; raises ModuleFileError where that does not end."""
        start = self._start(index)
        return self._strings[start : self._end(start)].decode("utf-8", "surrogateescape")

    def names(self, indices: Sequence[int]) -> list[str]:
        """Return the names of several symbols in a third of the time; raises as ``name`` does."""
        raw = self.raw_names(indices, limit=len(self._strings))
        if not raw:
            return list(map(self.name, indices))
        return [each.decode("utf-8", "surrogateescape") for each in raw]

    def raw_names(self, indices: Sequence[int], *, limit: int) -> list[bytes]:
        """Return the names of several symbols, none where one does not end or all are too long.

        ``limit`` is in bytes: many symbols may have one name.
        """
        starts = list(map(self._names.__getitem__, indices))
        ends = list(map(self._strings.find, repeat(b"\0"), starts))
        if not ends or min(ends) < 0 or sum(ends) - sum(starts) > limit:
            return []
        return list(map(self._strings.__getitem__, map(slice, starts, ends)))

    def binding(self, index: int) -> int:
        """Return a symbol's binding (STB_*)."""
        return (self._infos[index] >> self._info_shift & 0xFF) >> 4

    def type(self, index: int) -> int:
        """Return a symbol's type (STT_*)."""
        return self._infos[index] >> self._info_shift & 15

    def value(self, index: int) -> int:
        """Return a symbol's value: an offset in its section."""
        at = index * self._stride
        if self._stride == 4:
            return self._words[at + 1]
        low, high = self._words[at + 2 : at + 4]
        return low | high << 32 if self._elf.byteorder == "little" else low << 32 | high

    def low_values(self) -> "array[int]":
        """Return the lower 32 bits of all symbols' values, for a module of 64 bits."""
        return self._words[2 :: self._stride]

    def functions(self) -> list[int]:
        """Return the indices of the symbols that are functions, or of no type, and defined."""
        shift, kinds = self._info_shift, (STT_NOTYPE, STT_FUNC)
        columns = zip(self._infos, self.sections, strict=True)
        return [
            index
            for index, (info, section) in enumerate(columns)
            if section and info >> shift & 15 in kinds
        ]

    def defined_globals(self) -> list[int]:
        """Return the indices of the symbols that are defined and not local."""
        shift = self._info_shift
        columns = zip(self._infos, self.sections, strict=True)
        return [at for at, (info, section) in enumerate(columns) if section and info >> shift & 240]

    def undefined(self) -> list[int]:
        """Return the indices of the symbols that are defined nowhere, symbol 0 left out."""
        return [index for index, section in enumerate(self.sections) if not section][1:]

    def beyond(self, count: int) -> list[int]:
        """Return the indices of the symbols whose section is not one of the first ``count``."""
        return [index for index, section in enumerate(self.sections) if section >= count]

    def kept(self, sections: Container[int] | None) -> tuple[int, int]:
        """Return how many named symbols lie in ``sections``, and the bytes of their names.

        The bytes include the NULs. None stands for all sections, and then a name may be empty.
        """
        if sections is None:
            starts = list(self._names[1:])
        else:
            columns = zip(self._names, self.sections, strict=True)
            starts = [start for start, section in columns if section in sections and start]
        find = self._strings.find
        ends = [find(b"\0", start) for start in starts]
        if starts and (min(ends) < 0 or max(starts) >= len(self._strings)):
            raise self._elf.error("a symbol's name lies outside the string table")
        return len(starts), sum(ends) - sum(starts) + len(starts)

    def _start(self, index: int) -> int:
        if not 0 <= index < len(self._names):
            raise self._elf.error(f"symbol {index} is out of range")
        return self._names[index]

    def _end(self, start: int) -> int:
        end = self._strings.find(b"\0", start, start + MAX_SYMBOL_NAME)
        if end < 0:
            raise self._elf.error("a symbol's name does not end, or is too long")
        return end


def own_functions(module: ModuleFile, symbols: SymbolColumns) -> tuple[int | None, int | None]:
    """Return the symbols of the module's init and exit, None where it has no such function.

    It is the two pointers in ``struct module`` that count, and what they are relocated to.
    """
    section = find_section(module, THIS_MODULE)
    relocations = module.relocations(section) if section else []
    found = {symbols.name(each.symbol): each.symbol for each in relocations}
    return found.get("init_module"), found.get("cleanup_module")


def wanted_symbols(module: ModuleFile, symbols: SymbolColumns) -> tuple[tuple[int, str], ...]:
    """Return the symbols that the module does not define in any of its sections.

    By their index, with their name. Raises ModuleFileError.
    """
    indices = sorted(symbols.undefined() + symbols.beyond(len(module.elf.sections)))
    return tuple(zip(indices, symbols.names(indices), strict=True))


def exported_symbols(candidate: Candidate) -> dict[str, CoreSymbol]:
    """Return what the module exports, by name."""
    if not candidate.section("__ksymtab") and not candidate.section("__ksymtab_gpl"):
        return {}
    return {
        each.name: CoreSymbol(each.crc, each.gpl_only, each.namespace)
        for each in candidate.module.exports()
    }
