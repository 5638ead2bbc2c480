# SPDX-License-Identifier: Apache-2.0
"""All that a module needs, as a set of positions in an order.

Such a set is the bits of an integer, so that trees in which everything needs everything stay cheap.
Of tens of thousands of modules, most of which need few, the bits are nearly all zeros: there a set
of few is the positions themselves, packed into bytes, the highest first.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import TypeAlias

Closure: TypeAlias = "int | bytes"

FEW = 256
"""Members of a set that is packed, at most: more of them are united sooner as bits."""

SMALL = 64
"""Members that are packed in any case."""

DENSE = 8
"""Bits among which there is a position, from which on to look at each costs less."""

_WORD = 4
"""Bytes of a position (``struct``'s and ``memoryview``'s I)."""


def highest_first(closure: Closure) -> list[int]:
    """Return the positions in a set."""
    if isinstance(closure, bytes):
        return memoryview(closure).cast("I").tolist()
    if closure.bit_count() * DENSE > closure.bit_length():
        size, bits = closure.bit_length() - 1, f"{closure:b}"
        return [size - at for at, bit in enumerate(bits) if bit == "1"]
    found = []
    while closure:
        position = closure.bit_length() - 1
        found.append(position)
        closure ^= 1 << position
    return found


def count(closure: Closure) -> int:
    """Return how many positions are in a set."""
    return len(closure) // _WORD if isinstance(closure, bytes) else closure.bit_count()


def parted(bits: int) -> tuple[int, int]:
    """Return the highest position of a set in bits that is not empty, and the rest."""
    position = bits.bit_length() - 1
    return position, bits ^ 1 << position


def bits_of(closure: Closure) -> int:
    """Return a set as the bits of an integer."""
    return _bits(highest_first(closure)) if isinstance(closure, bytes) else closure


def united(positions: Iterable[int], below: Collection[Closure]) -> Closure:
    """Return the set of ``positions`` and of all that is in ``below``, in the smaller form."""
    if all(isinstance(each, bytes) for each in below):
        found = set(positions)
        for each in below:
            found.update(highest_first(each))
        return packed(found)
    bits = _bits(positions)
    for each in below:
        bits |= bits_of(each)
    return packed(highest_first(bits)) if bits.bit_count() <= SMALL else bits


def packed(positions: Collection[int]) -> Closure:
    """Return the set of different ``positions``, in the smaller form."""
    size = len(positions)
    if size <= SMALL or (size <= FEW and size * _WORD <= max(positions) // 8):
        return struct.pack(f"{size}I", *sorted(positions, reverse=True))
    return _bits(positions)


def _bits(positions: Iterable[int]) -> int:
    places = list(positions)
    data = bytearray(max(places, default=0) // 8 + 1)
    for place in places:
        data[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(data, "little")
