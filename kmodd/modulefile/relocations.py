# SPDX-License-Identifier: Apache-2.0
"""The relocations of a module's sections: which words the loader fills in, and with what."""

from __future__ import annotations

import struct

from kmodd.modulefile.elf import Elf, ElfMachine, SectionType
from kmodd.tuples import NamedTuple

MAX_RELOCATIONS = 1 << 20
"""Relocations of the section with the most (133,507 in the largest of Debian's, amdgpu's)."""

# offset, info and, in a RELA section alone, the addend
_LAYOUT = {
    (32, SectionType.REL): "II",
    (32, SectionType.RELA): "IIi",
    (64, SectionType.REL): "QQ",
    (64, SectionType.RELA): "QQq",
}


class Relocation(NamedTuple):
    """One word to fill in. A tuple, since a module has thousands of them.

    ``offset`` is in bytes from the start of the section; ``symbol`` is an index of ``.symtab``;
    ``type`` is the processor's (R_X86_64_* and so on); ``addend`` is None where it stands in
    the word itself (SHT_REL).
    """

    offset: int
    symbol: int
    type: int
    addend: int | None


def read_relocations(elf: Elf, index: int, *, limit: int = MAX_RELOCATIONS) -> list[Relocation]:
    """Return the relocations against the section at ``index``, in file order.

    Raises ModuleFileError where there are more than ``limit``, or a table of them does not add up.
    """
    relocations: list[Relocation] = []
    for table in elf.relocation_tables(index):
        _, kind, _, _, _, size, _, _, _, entry_size = elf.row(table)
        layout = struct.Struct(elf.order + _LAYOUT[elf.bits, SectionType(kind)])
        count, rest = divmod(size, layout.size)
        if entry_size != layout.size or rest:
            raise elf.error(f"relocations of {size} bytes in entries of {entry_size}")
        if len(relocations) + count > limit:
            raise elf.error(f"more than {limit} relocations of section {index}")
        entries = layout.iter_unpack(elf.data(table))
        if _is_plain(elf) and kind == SectionType.RELA:
            # Nearly all there are, in a third of the time.
            relocations += [
                Relocation(offset, info >> 32, info & 0xFFFFFFFF, addend)
                for offset, info, addend in entries
            ]
            continue
        for offset, info, *addend in entries:
            symbol, relocation_type = _split(elf, info)
            relocations.append(
                Relocation(offset, symbol, relocation_type, addend[0] if addend else None)
            )
    return relocations


def _is_plain(elf: Elf) -> bool:
    """Tell whether ``r_info`` is what the generic ABI has for 64 bits."""
    return elf.bits == 64 and not (elf.machine == ElfMachine.MIPS and elf.byteorder == "little")


def _split(elf: Elf, info: int) -> tuple[int, int]:
    """Return the symbol and the type that a relocation's ``r_info`` is made of."""
    if elf.bits == 32:
        return info >> 8, info & 0xFF
    if _is_plain(elf):
        return info >> 32, info & 0xFFFFFFFF
    # MIPS64 defines single bytes here, so that little-endian files have the symbol first.
    return info & 0xFFFFFFFF, info >> 56
