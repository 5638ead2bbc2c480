# SPDX-License-Identifier: Apache-2.0
"""The compressions that kernels are packed with (CONFIG_KERNEL_GZIP and its like), undone.

An image holds one stream, and behind it may be four bytes that tell its size unpacked, or anything.
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Iterator
from typing import Protocol

from kmodd.errors import KernelImageError
from kmodd.kernelimage.lz4 import LEGACY_MAGIC, Lz4Error, unpack_frame
from kmodd.modulefile.compression import GZIP_MAGIC
from kmodd.modulefile.decompression import GzipDecoder
from kmodd.modulefile.image import FileImage
from kmodd.modulefile.zstd_frames import FRAME_HEADER, ZstdError, frame_decoder

UNPACKED_MAX = 256 << 20
"""Bytes that an image unpacks to at most. Debian's comes to 66 MB."""

MEMORY_MAX = 256 << 20
"""Bytes that lzma may look back into."""

_CHUNK = 1 << 20

_MAGIC = (
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (GZIP_MAGIC, "gzip"),
    (LEGACY_MAGIC, "lz4"),
    (b"BZh", "bzip2"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x89LZO", "lzo"),
)
"""What each begins with (lib/decompress.c)."""


class _Decoder(Protocol):
    """A decoder of the library's."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(head: bytes) -> str:
    """Return how what begins with ``head`` is compressed, as CONFIG_KERNEL_* name it; "" if not."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def unpack(image: FileImage, start: int, size: int, target: int) -> None:
    """Unpack the stream of at most ``size`` bytes at ``start`` into the file open at ``target``.

    Raises KernelImageError where it is damaged, cut short, of a compression that is not known, or
    unpacks to more than UNPACKED_MAX bytes.
    """
    compression = compression_of(image.read(start, min(size, FRAME_HEADER)))
    left = UNPACKED_MAX
    try:
        for piece in _unpacked(image, start, size, compression):
            left -= len(piece)
            if left < 0:
                why = f"it unpacks to more than {UNPACKED_MAX} bytes"
                raise KernelImageError(image.path, why)
            _write(target, piece)
    except (zlib.error, lzma.LZMAError, ZstdError, Lz4Error, EOFError) as error:
        why = f"damaged {compression} stream: {error}"
        raise KernelImageError(image.path, why) from error
    except (OSError, MemoryError) as error:
        # OSError is what bz2 raises for a stream that is damaged, too.
        why = f"its {compression} stream cannot be unpacked: {error or 'no memory'}"
        raise KernelImageError(image.path, why) from error


def _unpacked(image: FileImage, start: int, size: int, compression: str) -> Iterator[bytes]:
    chunks = _chunks(image, start, size)
    match compression:
        case "lz4":
            return unpack_frame(chunks)
        case "zstd":
            return _decoded(frame_decoder(image.read(start, min(size, FRAME_HEADER))), chunks)
        case "xz":
            return _decoded(lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY_MAX), chunks)
        case "lzma":
            return _decoded(lzma.LZMADecompressor(lzma.FORMAT_ALONE, MEMORY_MAX), chunks)
        case "gzip":
            return _decoded(GzipDecoder(), chunks)
        case "bzip2":
            return _decoded(bz2.BZ2Decompressor(), chunks)
    why = f"compressed as {compression}, which is not read" if compression else "of no known form"
    raise KernelImageError(image.path, f"what it holds is {why}")


def _decoded(decoder: _Decoder, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield decoder.decompress(chunk, _CHUNK)
        while not decoder.eof and not decoder.needs_input:
            yield decoder.decompress(b"", _CHUNK)
        if decoder.eof:
            return
    raise EOFError("it is cut short")


def _chunks(image: FileImage, start: int, size: int) -> Iterator[bytes]:
    for position in range(start, start + size, _CHUNK):
        yield image.read(position, min(_CHUNK, start + size - position))


def _write(target: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(target, view) :]
