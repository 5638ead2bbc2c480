# SPDX-License-Identifier: Apache-2.0
"""LZ4 as kernels are packed with it: the legacy frame (lz4's doc/lz4_Frame_format.md), whose blocks
hold 8 MiB each, and the blocks themselves (doc/lz4_Block_format.md).

Python's library has no decoder. This one takes 0.9 s for Debian's 6.1, of 66 MB.
"""

import struct
from collections.abc import Iterator

LEGACY_MAGIC = b"\x02\x21\x4c\x18"
"""What a legacy frame begins with."""

BLOCK_MAX = 8 << 20
"""Bytes that a block of a legacy frame unpacks to at most."""

PACKED_MAX = BLOCK_MAX + BLOCK_MAX // 255 + 16
"""Bytes of a packed block at most: data that cannot be compressed grow a little."""

_MATCH_LEAST = 4
_MORE = 15
_SIZE = struct.Struct("<I")
"""What stands ahead of each block: its bytes."""


class Lz4Error(Exception):
    """A frame that is damaged."""


def unpack_frame(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what each block of a legacy frame unpacks to; the frame comes in ``chunks``.

    It has no end of its own: it ends with the chunks, or ahead of the four bytes in which kernels
    say how large all of it is. Raises Lz4Error where it is damaged.
    """
    waiting = bytearray()

    def have(size: int) -> bool:
        while len(waiting) < size and (chunk := next(chunks, b"")):
            waiting.extend(chunk)
        return len(waiting) >= size

    if not have(len(LEGACY_MAGIC)) or not waiting.startswith(LEGACY_MAGIC):
        raise Lz4Error("not a legacy frame")
    del waiting[: len(LEGACY_MAGIC)]
    while have(_SIZE.size + 1):
        (size,) = _SIZE.unpack_from(waiting)
        if not 0 < size <= PACKED_MAX:
            raise Lz4Error(f"a block of {size} bytes")
        if not have(_SIZE.size + size):
            raise Lz4Error("the last block is cut short")
        yield unpack_block(bytes(waiting[_SIZE.size : _SIZE.size + size]))
        del waiting[: _SIZE.size + size]
    if waiting and len(waiting) != _SIZE.size:
        raise Lz4Error("the last block is cut short")


def unpack_block(block: bytes) -> bytes:
    """Return what a block unpacks to, at most BLOCK_MAX bytes; raises Lz4Error."""
    output = bytearray()
    try:
        _unpack(block, output)
    except IndexError as error:
        raise Lz4Error("a block ends within a sequence") from error
    return bytes(output)


def _unpack(block: bytes, output: bytearray) -> None:
    """Do it; raises IndexError where the block ends too soon."""
    position, end = 0, len(block)
    while True:
        token = block[position]
        position += 1
        literals = token >> 4
        if literals == _MORE:
            literals, position = _longer(block, position, literals)
        if position + literals > end:
            raise Lz4Error("literals reach past the end of their block")
        output += block[position : position + literals]
        position += literals
        if len(output) > BLOCK_MAX:
            raise Lz4Error(f"a block unpacks to more than {BLOCK_MAX} bytes")
        if position == end:
            return
        distance = block[position] | block[position + 1] << 8
        position += 2
        length = token & 15
        if length == _MORE:
            length, position = _longer(block, position, length)
        length += _MATCH_LEAST
        start = len(output) - distance
        if not distance or start < 0:
            raise Lz4Error(f"a match {distance} bytes back, of {len(output)}")
        if len(output) + length > BLOCK_MAX:
            raise Lz4Error(f"a block unpacks to more than {BLOCK_MAX} bytes")
        if distance >= length:
            output += output[start : start + length]
        else:  # it repeats what it has written itself
            piece = bytes(output[start:])
            output += (piece * (length // distance + 1))[:length]


def _longer(block: bytes, position: int, length: int) -> tuple[int, int]:
    """Return a length that goes on in bytes at ``position``, and where they end."""
    while True:
        more = block[position]
        position += 1
        length += more
        if more != 0xFF:
            return length, position
