# SPDX-License-Identifier: Apache-2.0
"""Undo the compression of a module file, told by its magic bytes and never past a cap.

depmod looks for module files by suffix, but they are opened by content, so a ``.ko`` may well be
compressed. A compressed file may hold several streams (gzip members, xz streams, zstd frames).
"""

import enum
import errno
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from kmodd.errors import ModuleFileError, Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_IMAGE = 512 << 20
"""Bytes of the largest module, uncompressed, that is read unless the caller says otherwise."""

MAX_STREAMS = 4096
"""Streams in the compressed file with the most; a hostile file could hold millions, all empty."""

XZ_MEMORY = 160 << 20
"""Bytes that an xz decoder may take: enough for the 64 MiB dictionary of ``xz -9``."""

_INPUT_CHUNK = 64 << 10
_OUTPUT_CHUNK = 1 << 20

_WHOLE = 4 << 20
"""Bytes that a decoder is asked for at first. Nearly all modules are smaller: they take that one
call, and memory that is used again for the next."""

_PADDING = re.compile(rb"\x00+")


class Compression(enum.Enum):
    """How a module file is compressed, in the words of /sys/module/compression."""

    NONE = "none"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"


class _Decoder(Protocol):
    """One stream's decoder, as lzma and zstd have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipDecoder:
    """zlib's decoder for one gzip member, in the shape of lzma's and zstd's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._waiting = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting and not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        output = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # zlib may have taken all input and still hold output back.
        self._waiting = len(output) == max_length
        return output


_MAGIC = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
)

_DECODERS: dict[Compression, Callable[[], _Decoder]] = {
    Compression.GZIP: _GzipDecoder,
    Compression.XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
    Compression.ZSTD: zstd.ZstdDecompressor,
}


def detect_compression(head: bytes) -> Compression:
    """Tell the compression of a file that begins with ``head`` (six bytes are enough)."""
    for magic, compression in _MAGIC:
        if head.startswith(magic):
            return compression
    return Compression.NONE


def decompress(data: bytes, *, path: str, limit: int = MAX_IMAGE) -> bytes:
    """Return the module image in ``data``, which may be compressed in any way or not at all.

    ``path`` names the file in errors; ``limit`` is in bytes. Raises ModuleFileError where the
    stream is damaged or ends early, and with the reason IMAGE_TOO_LARGE past ``limit``; by then
    little more than ``limit`` bytes are allocated.
    """
    compression = detect_compression(data)
    if compression is Compression.NONE:
        if len(data) > limit:
            raise too_large(path, limit)
        return data
    try:
        return _decode(data, compression, path, limit)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        raise _damaged(path, f"damaged {compression.value} stream: {error}") from error


def _damaged(path: str, why: str) -> ModuleFileError:
    """Return the error for a stream that does not decode; the kernel and libkmod have EINVAL."""
    return ModuleFileError(path, why, errno=errno.EINVAL)


def too_large(path: str, limit: int) -> ModuleFileError:
    """Return the error for a module of more than ``limit`` bytes."""
    return ModuleFileError(
        path, f"larger than {limit} bytes uncompressed", reason=Reason.IMAGE_TOO_LARGE
    )


def _decode(data: bytes, compression: Compression, path: str, limit: int) -> bytes:
    """Decode every stream of ``data`` in turn."""
    decoder = _DECODERS[compression]()
    image = decoder.decompress(data[:_WHOLE], min(limit + 1, _WHOLE))
    position = min(len(data), _WHOLE)
    if decoder.eof and position == len(data) and not decoder.unused_data and len(image) <= limit:
        return image
    # BytesIO grows in place and gives its buffer away uncopied; joined chunks would need it twice.
    output = io.BytesIO()
    output.write(image)
    del image
    for _ in range(MAX_STREAMS):
        position = _decode_stream(data, position, decoder, output, path, limit)
        position = _skip_padding(data, position)
        if position == len(data):
            return output.getvalue()
        decoder = _DECODERS[compression]()
    raise _damaged(path, f"more than {MAX_STREAMS} {compression.value} streams")


def _decode_stream(
    data: bytes, position: int, decoder: _Decoder, output: io.BytesIO, path: str, limit: int
) -> int:
    """Write the rest of a stream, from ``position`` on, to ``output``; return where it ends."""
    while True:
        if output.tell() > limit:
            raise too_large(path, limit)
        if decoder.eof:
            return position - len(decoder.unused_data)
        chunk = b""
        if decoder.needs_input:
            chunk = data[position : position + _INPUT_CHUNK]
            if not chunk:
                raise _damaged(path, "the compressed stream is truncated")
            position += len(chunk)
        room = limit - output.tell()
        output.write(decoder.decompress(chunk, min(room + 1, _OUTPUT_CHUNK)))


def _skip_padding(data: bytes, position: int) -> int:
    """Return where the zero bytes end that gzip and xz allow between and after streams."""
    padding = _PADDING.match(data, position)
    return padding.end() if padding else position
