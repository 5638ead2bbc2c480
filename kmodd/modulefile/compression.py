# SPDX-License-Identifier: Apache-2.0
"""Undo the compression of a module file, told by its magic bytes and never past a cap.

depmod looks for module files by suffix, but they are opened by content, so a ``.ko`` may well be
compressed. A compressed file may hold several streams (gzip members, xz streams, zstd frames).

A header may ask for gigabytes to look back into. They are mapped, not touched: of a dictionary or
a window, no more is ever used than the image has bytes, which the cap bounds.
"""

import enum
import errno
import io
import lzma
import re
import sys
import zlib
from typing import NamedTuple, Protocol

from kmodd.errors import ModuleFileError, Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_IMAGE = 512 << 20
"""Bytes of the largest module, uncompressed, that is read unless the caller says otherwise."""

MAX_STREAMS = 4096
"""Streams in the compressed file with the most; a hostile file could hold millions, all empty."""

_INPUT_CHUNK = 64 << 10
_OUTPUT_CHUNK = 1 << 20

_WHOLE = 4 << 20
"""Bytes that a decoder is asked for at first. Nearly all modules are smaller: they take that one
call, and memory that is used again for the next."""

_PADDING = re.compile(rb"\x00+")
_XZ_PADDING = 4
_GZIP_HEADER = 10
"""Bytes of the shortest header of a gzip member (RFC 1952, section 2.3)."""


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


_GZIP_MAGIC = b"\x1f\x8b"
_MAGIC = (
    (_GZIP_MAGIC, Compression.GZIP),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
)

_ZSTD_HEADER = 18
"""Bytes of the longest header of a zstd frame (RFC 8878, section 3.1.1.1)."""

_WINDOW = zstd.DecompressionParameter.window_log_max
_ANY_WINDOW: dict[int, int] = {_WINDOW: _WINDOW.bounds()[1]}


class Unpacked(NamedTuple):
    """The uncompressed ``image`` of a module file, and of how many ``streams`` the file was."""

    image: bytes
    streams: int


def _decoder_at(data: bytes, position: int, compression: Compression) -> _Decoder:
    """Return a decoder for the stream at ``position``."""
    if compression is Compression.GZIP:
        return _GzipDecoder()
    if compression is Compression.XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    return _zstd_decoder(data[position : position + _ZSTD_HEADER])


def _zstd_decoder(header: bytes) -> _Decoder:
    """Return a decoder for the frame that begins so.

    Past zstd's own limit for streams, 128 MiB, libkmod takes no window but of a frame that tells
    its size.
    """
    try:
        size = zstd.get_frame_info(header).decompressed_size
    except zstd.ZstdError:
        size = None
    return zstd.ZstdDecompressor(options=None if size is None else _ANY_WINDOW)


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
    little more than ``limit`` bytes are allocated for the image, and as many for a dictionary.
    """
    return unpack(data, path=path, limit=limit).image


def unpack(data: bytes, *, path: str, limit: int = MAX_IMAGE) -> Unpacked:
    """Return the same with the number of streams, 0 where ``data`` is not compressed."""
    compression = detect_compression(data)
    if compression is Compression.NONE:
        if len(data) > limit:
            raise too_large(path, limit)
        return Unpacked(data, 0)
    try:
        return _decode(data, compression, path, limit)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        raise _damaged(path, f"damaged {compression.value} stream: {error}") from error
    except MemoryError as error:
        why = "no memory for what its compression looks back into"
        raise ModuleFileError(path, why, errno=errno.ENOMEM) from error


def _damaged(path: str, why: str) -> ModuleFileError:
    """Return the error for a stream that does not decode; the kernel and libkmod have EINVAL."""
    return ModuleFileError(path, why, errno=errno.EINVAL)


def too_large(path: str, limit: int) -> ModuleFileError:
    """Return the error for a module of more than ``limit`` bytes."""
    return ModuleFileError(
        path, f"larger than {limit} bytes uncompressed", reason=Reason.IMAGE_TOO_LARGE
    )


def _decode(data: bytes, compression: Compression, path: str, limit: int) -> Unpacked:
    """Decode every stream of ``data`` in turn."""
    decoder = _decoder_at(data, 0, compression)
    image = decoder.decompress(data[:_WHOLE], min(limit + 1, _WHOLE))
    position = min(len(data), _WHOLE)
    if decoder.eof and position == len(data) and not decoder.unused_data and len(image) <= limit:
        return Unpacked(image, 1)
    # BytesIO grows in place and gives its buffer away uncopied; joined chunks would need it twice.
    output = io.BytesIO()
    output.write(image)
    del image
    for streams in range(1, MAX_STREAMS + 1):
        position = _decode_stream(data, position, decoder, output, path, limit)
        position = _next_stream(data, position, compression, path)
        if position == len(data):
            return Unpacked(output.getvalue(), streams)
        decoder = _decoder_at(data, position, compression)
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


def _next_stream(data: bytes, position: int, compression: Compression, path: str) -> int:
    """Return where behind ``position`` another stream is to begin, the end where none is.

    Behind gzip members, what is no member counts for nothing, as for zlib. Zeros may follow an xz
    stream, in fours. Behind zstd frames there are only frames.
    """
    if compression is Compression.ZSTD:
        return position
    padding = _PADDING.match(data, position)
    start = padding.end() if padding else position
    if compression is Compression.GZIP and (
        not data.startswith(_GZIP_MAGIC, start) or len(data) - start < _GZIP_HEADER
    ):
        return len(data)
    if compression is Compression.XZ and (start - position) % _XZ_PADDING:
        raise _damaged(path, f"damaged xz stream: {start - position} zeros behind it")
    return start
