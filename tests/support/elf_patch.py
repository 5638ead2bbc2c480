# SPDX-License-Identifier: Apache-2.0
"""Change single numbers of a written module: a lie that no compiler would tell.

For 64-bit little-endian modules.
"""

import struct

from kmodd.modulefile import ModuleFile, SectionType
from tests.support.elf_writer import ModuleSpec, write_module


def patched(spec: ModuleSpec, offset: int, layout: str, value: int) -> bytes:
    """Return the module with one number of its ELF header changed."""
    image = bytearray(write_module(spec))
    struct.pack_into(layout, image, offset, value)
    return bytes(image)


def with_row(spec: ModuleSpec, name: str, field_at: int, layout: str, value: int) -> bytes:
    """Return the module with one number of the section table changed, in the row of ``name``."""
    image = bytearray(write_module(spec))
    (table,) = struct.unpack_from("<Q", image, 40)
    count, names = struct.unpack_from("<HH", image, 60)
    (text,) = struct.unpack_from("<Q", image, table + 64 * names + 24)
    for index in range(count):
        row = table + 64 * index
        (at,) = struct.unpack_from("<I", image, row)
        if image[text + at : image.index(0, text + at)] == name.encode():
            struct.pack_into(layout, image, row + field_at, value)
            return bytes(image)
    raise ValueError(name)


def with_modinfo(module: bytes, contents: bytes) -> bytes:
    """Return ``module`` with another ``.modinfo``, behind all others."""
    section = ModuleFile.parse(module).section(".modinfo")
    assert section is not None
    image = bytearray(module)
    (table,) = struct.unpack_from("<Q", image, 40)
    struct.pack_into("<QQ", image, table + 64 * section.index + 24, len(image), len(contents))
    # A byte more, since kmod's modinfo aborts on an empty section at the very end.
    return bytes(image) + contents + b"\0"


def with_another_build(module: bytes) -> bytes:
    """Return ``module`` with another build id, as if it had been built of other sources."""
    section = ModuleFile.parse(module).section(".note.gnu.build-id")
    assert section is not None
    image = bytearray(module)
    image[section.offset + section.size - 1] ^= 0xFF
    return bytes(image)


def with_symbol_in(spec: ModuleSpec, symbol: str, section: int) -> bytes:
    """Return the module with ``symbol`` said to be in the section of that index."""
    return with_symbol(write_module(spec), symbol, 6, "<H", section)


def with_symbol(module: bytes, symbol: str, field_at: int, layout: str, value: int) -> bytes:
    """Return ``module`` with one number changed in the row of the symbol of that name."""
    image = bytearray(module)
    (table,) = struct.unpack_from("<Q", image, 40)
    (count,) = struct.unpack_from("<H", image, 60)
    rows = [struct.unpack_from("<IIQQQQIIQQ", image, table + 64 * i) for i in range(count)]
    symtab = next(row for row in rows if row[1] == SectionType.SYMTAB)
    strings = rows[symtab[6]][4]
    for at in range(symtab[4], symtab[4] + symtab[5], 24):
        (name,) = struct.unpack_from("<I", image, at)
        if image[strings + name : image.index(0, strings + name)] == symbol.encode():
            struct.pack_into(layout, image, at + field_at, value)
            return bytes(image)
    raise ValueError(symbol)


def without_relocation(module: bytes, section: str, offset: int) -> bytes:
    """Return ``module`` with the word at ``offset`` of a section left as it is in the file."""
    return with_relocation(module, section, offset, kind=0)


def with_relocation(module: bytes, section: str, offset: int, *, kind: int) -> bytes:
    """Return ``module`` with another type of relocation for the word at ``offset`` of a section."""
    image = bytearray(module)
    elf = ModuleFile.parse(module).elf
    target = next(each.index for each in elf.sections if each.name == section)
    table = next(
        each for each in elf.sections if each.type == SectionType.RELA and each.info == target
    )
    for at in range(table.offset, table.offset + table.size, 24):
        if struct.unpack_from("<Q", image, at) == (offset,):
            struct.pack_into("<I", image, at + 8, kind)
            return bytes(image)
    raise ValueError(offset)
