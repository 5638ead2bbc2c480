# SPDX-License-Identifier: Apache-2.0
"""The symbols that a module exports, as the kernel finds them once it has relocated the module.

``__ksymtab`` and ``__ksymtab_gpl`` are arrays of ``struct kernel_symbol``
(kernel/module/internal.h): the symbol's value, its name and, since Linux 5.4, its namespace, each
a pointer or a 32-bit offset from its own place. In a file these are zeros with relocations,
whose targets tell the same. The latest kernels have one table for all symbols and mark the
GPL-only ones in ``__kflagstab``, a byte a symbol (include/linux/module_symbol.h).
"""

from __future__ import annotations

import struct

from kmodd.modulefile.elf import Elf, SectionContents
from kmodd.modulefile.relocations import read_relocations
from kmodd.modulefile.symbols import MAX_NAMES, MAX_SYMBOL_NAME, SymbolTable
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_EXPORTS = 1 << 16
"""Symbols exported by the module with the most (drm has 482, the most of Debian's)."""

_FLAG_GPL_ONLY = 1


class ExportedSymbol(NamedTuple):
    """A symbol that a module exports; ``crc`` is None on a kernel without CONFIG_MODVERSIONS."""

    name: str
    crc: int | None
    gpl_only: bool
    namespace: str


def read_exports(elf: Elf, symbols: SymbolTable) -> tuple[ExportedSymbol, ...]:
    """Return the exported symbols, those open to all first, each table in its own order.

    Raises ModuleFileError where the tables, their relocations and their CRCs do not fit together.
    """
    return (
        *_read_table(elf, symbols, b"", gpl_only=False),
        *_read_table(elf, symbols, b"_gpl", gpl_only=True),
    )


def read_ksymtab_strings(elf: Elf) -> tuple[tuple[str, int], ...]:
    """Return the strings of ``__ksymtab_strings``, each with a CRC of 0, as libkmod reads them."""
    index = elf.index_of(b"__ksymtab_strings")
    if index is None:
        return ()
    strings = elf.strings(index).decode("utf-8", "surrogateescape").split("\0", MAX_EXPORTS)
    if len(strings) > MAX_EXPORTS:
        raise elf.error(f"__ksymtab_strings has more than {MAX_EXPORTS} strings")
    return tuple([(name, 0) for name in strings if name])


def _read_table(
    elf: Elf, symbols: SymbolTable, suffix: bytes, *, gpl_only: bool
) -> Iterator[ExportedSymbol]:
    """Yield the symbols of the ``__ksymtab`` with that suffix."""
    index = elf.index_of(b"__ksymtab" + suffix)
    if index is None or not elf.row(index)[5]:
        return
    names = _names(_Table(elf, symbols, index))
    crcs = _crcs(elf, symbols, b"__kcrctab" + suffix, [name for name, _ in names])
    flags = elf.named_data(b"__kflagstab", limit=MAX_EXPORTS) or bytes(len(names))
    if len(flags) < len(names):
        raise elf.error(f"__kflagstab has {len(flags)} bytes for {len(names)} symbols")
    for (name, namespace), crc, flag in zip(names, crcs, flags, strict=False):
        yield ExportedSymbol(name, crc, gpl_only or bool(flag & _FLAG_GPL_ONLY), namespace)


class _Table:
    """A table of words that relocations fill in: where each word will point."""

    def __init__(self, elf: Elf, symbols: SymbolTable, index: int) -> None:
        self.elf = elf
        self.data = elf.data(index, limit=MAX_EXPORTS * 3 * 8)
        self.name = elf.section_at(index).name
        self._symbols = symbols
        # Two may make up one word of four bytes (RISC-V adds the target, then subtracts the
        # place), and the first of them says where it points.
        relocations = read_relocations(elf, index, limit=len(self.data) // 2)
        if not relocations:
            raise elf.error(f"{self.name}: no relocation fills it in")
        self._words = {relocation.offset: relocation for relocation in reversed(relocations)}
        # A word between pointers, or a table that pointers do not fill, tells the short ones.
        odd = any(offset % 8 for offset in (len(self.data), *self._words))
        self.word_size = 4 if elf.bits == 32 or odd else 8
        self._contents = SectionContents(elf)
        self._text_left = MAX_NAMES

    def target(self, offset: int) -> tuple[int, int] | None:
        """Return the section, and the offset in it, that the word at ``offset`` will point at.

        The kind of relocation does not matter: each makes its word point at symbol + addend.
        """
        word = self._words.get(offset)
        if word is None:
            return None
        addend = word.addend
        if addend is None:
            place = self.data[offset : offset + self.word_size]
            addend = int.from_bytes(place, self.elf.byteorder, signed=True)
        section, value = self._symbols.place(word.symbol)
        return section, value + addend

    def string(self, target: tuple[int, int]) -> str:
        """Return the string that a word with that target will point at."""
        section, offset = target
        data = self._contents[section]
        end = data.find(b"\0", offset, offset + MAX_SYMBOL_NAME) if offset >= 0 else -1
        self._text_left -= end - offset
        if end < 0 or self._text_left < 0:
            raise self.elf.error(f"{self.name}: the string at {offset} does not end or is too long")
        return data[offset:end].decode("utf-8", "surrogateescape")


def _names(table: _Table) -> list[tuple[str, str]]:
    """Return the name and the namespace of each symbol in a ``__ksymtab``."""
    word = table.word_size
    entry = word * _words_per_entry(table)
    if len(table.data) % entry:
        raise table.elf.error(f"{table.name} has {len(table.data)} bytes")
    names = []
    for start in range(0, len(table.data), entry):
        name = table.target(start + word)
        if name is None:
            raise table.elf.error(f"{table.name}: no relocation gives a name at {start}")
        namespace = table.target(start + 2 * word) if entry == 3 * word else None
        names.append((table.string(name), table.string(namespace) if namespace else ""))
    return names


def _words_per_entry(table: _Table) -> int:
    """Return 3, or 2 where symbols have no namespace (before Linux 5.4)."""
    word = table.word_size
    if len(table.data) % (3 * word):
        return 2
    # A third word beside the first name is a namespace; anywhere else it is the next symbol.
    name, third = table.target(word), table.target(2 * word)
    return 2 if name and third and name[0] != third[0] else 3


def _crcs(elf: Elf, symbols: SymbolTable, section: bytes, names: list[str]) -> Sequence[int | None]:
    """Return the CRC of each exported symbol, from the ``__kcrctab`` section of that name."""
    index = elf.index_of(section)
    if index is None:
        return [None] * len(names)
    if elf.relocation_tables(index):
        # Before Linux 5.19 the linker filled the table in, from symbols that hold the CRCs.
        by_name = dict(symbols.crcs())
        return [by_name.get(name) for name in names]
    data = elf.data(index, limit=4 * MAX_EXPORTS)
    if len(data) != 4 * len(names):
        raise elf.error(f"{section.decode()} has {len(data)} bytes for {len(names)} symbols")
    return struct.unpack(f"{elf.order}{len(names)}I", data)
