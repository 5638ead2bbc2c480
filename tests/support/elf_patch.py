# SPDX-License-Identifier: Apache-2.0
"""Change single numbers of a written module: a lie that no compiler would tell.

For 64-bit little-endian modules.
"""

import struct

from kmodd.modulefile import SectionType
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


def with_symbol_in(spec: ModuleSpec, symbol: str, section: int) -> bytes:
    """Return the module with ``symbol`` said to be in the section of that index."""
    image = bytearray(write_module(spec))
    (table,) = struct.unpack_from("<Q", image, 40)
    (count,) = struct.unpack_from("<H", image, 60)
    rows = [struct.unpack_from("<IIQQQQIIQQ", image, table + 64 * i) for i in range(count)]
    symtab = next(row for row in rows if row[1] == SectionType.SYMTAB)
    strings = rows[symtab[6]][4]
    for at in range(symtab[4], symtab[4] + symtab[5], 24):
        (name,) = struct.unpack_from("<I", image, at)
        if image[strings + name : image.index(0, strings + name)] == symbol.encode():
            struct.pack_into("<H", image, at + 6, section)
            return bytes(image)
    raise ValueError(symbol)
