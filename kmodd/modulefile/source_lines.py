# SPDX-License-Identifier: Apache-2.0
"""Which line of the source an instruction of a module is of, where it has debug information.

A module is a file that is still to be linked (ET_REL): every section begins at 0, and what the
line tables say of addresses is in relocations. So each section with code is given a base of its
own here, in a copy of the symbol table, and the relocations are applied to that.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Wanted = Sequence[tuple[str, int]]
"""Places: a function's name, and how many bytes behind its start an address is that a call from
there returns to; 0 for the function itself."""


class SourceLine(NamedTuple):
    """A line of a source file, as the debug information names it."""

    file: str
    line: int


UNITS_MAX = 64
"""Compilation units that are read; a small module has a few."""

_ALLOC, _FUNCTION_INFO, _SYMBOL_SIZE, _VALUE = 0x2, "STT_FUNC", 24, 8
_BASE_BITS = 32


def source_lines(image: bytes, wanted: Wanted) -> tuple[SourceLine | None, ...]:
    """Return the line of each place in the module ``image``, None where that is not known.

    That is so for all of them where pyelftools is not installed, or the file makes no sense to it.
    """
    nothing = (None,) * len(wanted)
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return nothing
    try:
        return tuple(_lines(ELFFile, image, wanted))
    except Exception:
        # A file may say anything, and the library raises whatever it comes upon.
        return nothing


def _lines(elf_file: Any, image: bytes, wanted: Wanted) -> Iterator[SourceLine | None]:
    elf = elf_file(io.BytesIO(image))
    table = elf.get_section_by_name(".symtab")
    if table is None or not elf.has_dwarf_info(strict=True):
        yield from (None for _ in wanted)
        return
    bases = {
        number: number << _BASE_BITS
        for number, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & _ALLOC
    }
    functions: dict[str, int] = {}
    copy = bytearray(image)
    for at, symbol in enumerate(table.iter_symbols()):
        base = bases.get(symbol["st_shndx"])
        if base is None:
            continue
        value = symbol["st_value"] + base
        start = table["sh_offset"] + at * _SYMBOL_SIZE + _VALUE
        copy[start : start + 8] = value.to_bytes(8, "little")
        if symbol["st_info"]["type"] == _FUNCTION_INFO:
            functions.setdefault(symbol.name, value)
    starts = [functions.get(function) for function, _ in wanted]
    dwarf = elf_file(io.BytesIO(bytes(copy))).get_dwarf_info()
    rows = sorted(_rows(dwarf))
    addresses = [address for address, _, _ in rows]
    for start, (_, offset) in zip(starts, wanted, strict=True):
        yield None if start is None else _line_at(rows, addresses, start, start + offset)


def _line_at(
    rows: list[tuple[int, str, int]], addresses: list[int], start: int, address: int
) -> SourceLine | None:
    """Return the last line of the function's own source before ``address``.

    What a header has in line is told as the line that it is called in.
    """
    at = bisect_left(addresses, max(address, start + 1)) - 1
    if at < 0 or addresses[at] < start:
        return None
    _, file, line = rows[at]
    return SourceLine(file, line)


def _rows(dwarf: Any) -> Iterator[tuple[int, str, int]]:
    """Yield address, file and line for what is of the sources themselves, not of headers."""
    for number, unit in enumerate(dwarf.iter_CUs()):
        if number == UNITS_MAX:
            return
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        top = unit.get_top_DIE()
        own = _attribute(top, "DW_AT_name")
        path = os.path.normpath(os.path.join(_attribute(top, "DW_AT_comp_dir"), own))
        entries = program.header["file_entry"]
        first = 0 if program.header["version"] >= 5 else 1
        name = os.path.basename(own).encode()
        files = {at + first for at, each in enumerate(entries) if each.name.endswith(name)}
        for entry in program.get_entries():
            state = entry.state
            if state is not None and not state.end_sequence and state.file in files and state.line:
                yield state.address, path, state.line


def _attribute(die: Any, name: str) -> str:
    found = die.attributes.get(name)
    return found.value.decode("utf-8", "replace") if found else ""
