# SPDX-License-Identifier: Apache-2.0
"""How a module's words are filled in (arch/x86/kernel/module.c, apply_relocate_add)."""

import errno
import struct
from array import array
from collections.abc import Sequence

from kmodd.errors import Reason
from kmodd.kernel.emulated.reporting.refusal import Refusal

_NONE, _64, _PC32, _PLT32, _32, _32S, _PC64 = 0, 1, 2, 4, 10, 11, 24
_LONGS = frozenset({_64, _PC64})
_RELATIVE = frozenset({_PC32, _PLT32, _PC64})
_KNOWN = frozenset({_64, _PC32, _PLT32, _32, _32S, _PC64})

_MASK = (1 << 64) - 1


def relocate_x86_64(
    data: bytearray, base: int, table: bytes, symbols: Sequence[int], module: str
) -> None:
    """Fill in a section's words: ``data`` will be at ``base``, ``table`` are Elf64_Rela.

    ``symbols`` are the addresses of all symbols. Raises Refusal (ENOEXEC) for a type that modules
    do not have, and for a word outside of the section.
    """
    words = array("Q", table[: len(table) // 24 * 24])
    put_int, put_long = struct.Struct("<I").pack_into, struct.Struct("<Q").pack_into
    try:
        for offset, info, addend in zip(words[::3], words[1::3], words[2::3], strict=True):
            kind = info & 0xFFFFFFFF
            value = symbols[info >> 32] + addend
            # Half of all are calls, and most others the addresses of data.
            if kind == _PLT32 or kind == _PC32:  # noqa: SIM109  # twice as quick
                put_int(data, offset, (value - base - offset) & 0xFFFFFFFF)
            elif kind == _32S:
                put_int(data, offset, value & 0xFFFFFFFF)
            elif kind in _KNOWN:
                value -= base + offset if kind in _RELATIVE else 0
                if kind in _LONGS:
                    put_long(data, offset, value & _MASK)
                else:
                    put_int(data, offset, value & 0xFFFFFFFF)
            elif kind != _NONE:
                raise _refused(f"{module}: Unknown rela relocation: {kind}")
    except (struct.error, IndexError) as error:
        raise _refused(f"{module}: a relocation is outside of its section") from error


def _refused(why: str) -> Refusal:
    return Refusal(Reason.INVALID_MODULE_FORMAT, errno.ENOEXEC, why)
