# SPDX-License-Identifier: Apache-2.0
"""The symbols that a kernel exports: ``__ksymtab`` and ``__ksymtab_gpl``, with their CRCs.

An entry is a ``struct kernel_symbol`` (include/linux/export-internal.h): the value, the name and,
since Linux 5.4, the namespace; each a pointer or, where the architecture can
(CONFIG_HAVE_ARCH_PREL32_RELOCATIONS), a 32-bit offset from its own place. CRCs are in
``__kcrctab*``, or on some architectures offsets to them (CONFIG_MODULE_REL_CRCS, until 5.19). The
latest kernels have one table, and ``__kflagstab`` marks what is GPL-only.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kmodd.kernelimage.sections import KernelSections, SectionBytes
from kmodd.modulefile.exports import ExportedSymbol
from kmodd.modulefile.symbols import MAX_SYMBOL_NAME

EXPORTS_MAX = 1 << 18
"""Symbols in a table at most; Debian's kernel has 10,503 in both of its own."""

STRINGS = "__ksymtab_strings"
"""The section of their names and namespaces."""

_FLAG_GPL_ONLY = 1

_FEW = 64
"""CRCs that may all point into one section by chance, were they offsets."""


class _Form(NamedTuple):
    """How an entry is written: its words, of how many bytes, and whether they are offsets."""

    words: int
    size: int
    is_relative: bool

    @property
    def entry(self) -> int:
        return self.words * self.size


class _Strings(NamedTuple):
    """The section of names, and how large an entry's words are."""

    region: SectionBytes
    order: str

    def at(self, address: int) -> str | None:
        """Return the string at ``address``; None for one outside of the section.

        Linkers let one name end in another's tail, so any byte may be the first.
        """
        offset = address - self.region.address
        if not 0 <= offset < len(self.region.data):
            return None
        end = self.region.data.find(b"\0", offset, offset + MAX_SYMBOL_NAME)
        return None if end < 0 else self.region.data[offset:end].decode("utf-8", "surrogateescape")


def read_kernel_exports(kernel: KernelSections) -> tuple[ExportedSymbol, ...] | None:
    """Return what ``kernel`` exports, those open to all first; None where it has no tables.

    Raises KernelImageError where the tables, their names and their CRCs do not fit together.
    """
    strings = kernel.region(STRINGS)
    if strings is None:
        return None
    names = _Strings(strings, kernel.order)
    return (
        *_table(kernel, names, "", gpl_only=False),
        *_table(kernel, names, "_gpl", gpl_only=True),
    )


def _table(
    kernel: KernelSections, strings: _Strings, suffix: str, *, gpl_only: bool
) -> Iterator[ExportedSymbol]:
    table = kernel.region(f"__ksymtab{suffix}")
    if table is None:
        return
    found = _entries(kernel, table, strings)
    crcs = _crcs(kernel, f"__kcrctab{suffix}", len(found))
    flags = kernel.region("__kflagstab") if not suffix else None
    marks = flags.data if flags else bytes(len(found))
    if len(marks) < len(found):
        raise kernel.error(f"__kflagstab has {len(marks)} bytes for {len(found)} symbols")
    for (name, namespace), crc, mark in zip(found, crcs, marks, strict=False):
        yield ExportedSymbol(name, crc, gpl_only or bool(mark & _FLAG_GPL_ONLY), namespace)


def _entries(
    kernel: KernelSections, table: SectionBytes, strings: _Strings
) -> list[tuple[str, str]]:
    """Return the name and the namespace of each entry, in the one form that makes sense."""
    for form in _forms(kernel.word):
        count, rest = divmod(len(table.data), form.entry)
        if rest or count > EXPORTS_MAX:
            continue
        found = _read(table, strings, form)
        if found is not None:
            return found
    raise kernel.error(f"{table.name}, {len(table.data)} bytes, names no symbols")


def _forms(word: int) -> tuple[_Form, ...]:
    return (
        _Form(3, 4, is_relative=True),
        _Form(2, 4, is_relative=True),
        _Form(3, word, is_relative=False),
        _Form(2, word, is_relative=False),
    )


def _read(table: SectionBytes, strings: _Strings, form: _Form) -> list[tuple[str, str]] | None:
    """Return the names and namespaces; None where a word does not point at one."""
    code = ("i" if form.is_relative else "I") if form.size == 4 else "Q"
    found = []
    at = strings.at
    layout = struct.Struct(strings.order + code * form.words)
    for place, words in zip(
        range(table.address, table.address + len(table.data), form.entry),
        layout.iter_unpack(table.data),
        strict=True,
    ):
        base = place if form.is_relative else -form.size
        name = at(base + form.size + words[1])
        namespace = ""
        if form.words == 3 and words[2]:
            named = at(base + 2 * form.size + words[2]) if form.is_relative else at(words[2])
            if named is None:
                return None
            namespace = named
        if not name:
            return None
        found.append((name, namespace))
    return found


def _crcs(kernel: KernelSections, name: str, count: int) -> Sequence[int | None]:
    table = kernel.region(name)
    if table is None:
        return [None] * count
    if len(table.data) != 4 * count:
        raise kernel.error(f"{name} has {len(table.data)} bytes for {count} symbols")
    crcs = struct.unpack(f"{kernel.order}{count}I", table.data)
    return _pointed_at(kernel, table) or crcs


def _pointed_at(kernel: KernelSections, table: SectionBytes) -> list[int] | None:
    """Return the CRCs that offsets in ``table`` point at; None where they are CRCs themselves.

    CRCs are spread over all 32 bits: that each should point into one and the same section is out
    of the question.
    """
    offsets = struct.unpack(f"{kernel.order}{len(table.data) // 4}i", table.data)
    first = kernel.at(table.address + offsets[0])
    if first is None or len(offsets) < _FEW:
        return None
    region = first[0]
    crcs = []
    for index, offset in enumerate(offsets):
        start = table.address + 4 * index + offset - region.address
        if not 0 <= start <= len(region.data) - 4:
            return None
        crcs.append(struct.unpack_from(f"{kernel.order}I", region.data, start)[0])
    return crcs
