# SPDX-License-Identifier: Apache-2.0
"""The CRCs that a module expects its imports to have (CONFIG_MODVERSIONS).

Basic: ``__versions``, an array of ``struct modversion_info`` (include/linux/module.h), a CRC in
an unsigned long and a name, 64 bytes together. Extended, since Linux 6.14 and for longer names:
``__version_ext_crcs``, 32-bit CRCs, and ``__version_ext_names``, a string for each.
"""

from __future__ import annotations

import re
import struct

from kmodd.modulefile.symbols import MAX_SYMBOLS, as_utf8
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.modulefile.elf import Elf

_ENTRY_SIZE = 64

# One match an entry, its name the group. A match that fails leaves less than one an entry.
_NAMES = {
    32: re.compile(r"(?s)(?=.{4}([^\0]{0,59})\0).{64}"),
    64: re.compile(r"(?s)(?=.{8}([^\0]{0,55})\0).{64}"),
}


class SymbolVersion(NamedTuple):
    """The CRC that an imported symbol must have in the kernel that loads the module.

    A tuple, since a module has hundreds of them.
    """

    name: str
    crc: int


def read_versions(elf: Elf) -> tuple[SymbolVersion, ...]:
    """Return the expected CRCs in file order; the extended ones alone where there are any.

    The kernel goes by the extended ones alone, too (``check_version`` in kernel/module/version.c);
    modpost writes every import there. Raises ModuleFileError where a table does not add up.
    """
    crcs = elf.index_of(b"__version_ext_crcs")
    names = elf.index_of(b"__version_ext_names")
    if crcs is None and names is None:
        return _basic(elf)
    if crcs is None or names is None:
        raise elf.error("extended symbol versions lack their names or their CRCs")
    return _extended(elf, elf.data(crcs, limit=4 * MAX_SYMBOLS), elf.strings(names))


def basic_version_names(elf: Elf) -> list[str]:
    """Return the names in ``__versions``, in file order."""
    return _names(elf, _basic_data(elf))


def _names(elf: Elf, data: bytes) -> list[str]:
    """Return the names of the entries in ``data``."""
    count, rest = divmod(len(data), _ENTRY_SIZE)
    if rest:
        raise elf.error(f"__versions has {len(data)} bytes")
    # A findall is half again as fast as unpacking: 26 ms against 40 ms for Debian's modules.
    names: list[str] = _NAMES[elf.bits].findall(data.decode("latin-1"))
    if len(names) != count:
        raise elf.error("a name in __versions does not end in a NUL byte")
    return as_utf8(names)


def _basic_data(elf: Elf) -> bytes:
    return elf.named_data(b"__versions", limit=_ENTRY_SIZE * MAX_SYMBOLS)


def _basic(elf: Elf) -> tuple[SymbolVersion, ...]:
    data = _basic_data(elf)
    names = _names(elf, data)
    layout = elf.order + ("I60x" if elf.bits == 32 else "Q56x")
    crcs = [crc & 0xFFFFFFFF for (crc,) in struct.iter_unpack(layout, data)]
    return tuple(map(SymbolVersion, names, crcs))


def _extended(elf: Elf, crcs: bytes, names: bytes) -> tuple[SymbolVersion, ...]:
    count, rest = divmod(len(crcs), 4)
    if rest:
        raise elf.error(f"__version_ext_crcs has {len(crcs)} bytes")
    texts = names.decode("utf-8", "surrogateescape").split("\0", count)
    if len(texts) != count + 1:
        raise elf.error(f"{count} extended symbol versions, but fewer names")
    values = struct.unpack(f"{elf.order}{count}I", crcs)
    return tuple(map(SymbolVersion, texts, values))
