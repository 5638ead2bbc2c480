# SPDX-License-Identifier: Apache-2.0
"""Undo the compression of a module file, and never past a cap.

A compressed file may hold several streams (gzip members, xz streams, zstd frames).

A header may ask for gigabytes to look back into. They are mapped, not touched: of a dictionary or
a window, no more is ever used than the image has bytes, which the cap bounds.
"""

from __future__ import annotations

import errno
import io
import lzma
import zlib

from kmodd.errors import ModuleFileError
from kmodd.modulefile.compression import (
    GZIP_MAGIC,
    MAX_IMAGE,
    Compression,
    detect_compression,
    too_large,
)
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Decoder(Protocol):
        """One stream's decoder, as lzma and zstd have it."""

        @property
        def eof(self) -> bool: ...
        @property
        def needs_input(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


MAX_STREAMS = 4096
"""Streams in the compressed file with the most; a hostile file could hold millions, all empty."""

_INPUT_CHUNK = 64 << 10
_OUTPUT_CHUNK = 1 << 20

_WHOLE = 4 << 20
"""Bytes that a decoder is asked for at first. Nearly all modules are smaller: they take that one
call, and memory that is used again for the next."""

_XZ_PADDING = 4
_GZIP_HEADER = 10
"""Bytes of the shortest header of a gzip member (RFC 1952, section 2.3)."""


class Unpacked(NamedTuple):
    """The uncompressed ``image`` of a module file, and of how many ``streams`` the file was."""

    image: bytes
    streams: int


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
    except _errors_of(compression) as error:
        raise _damaged(path, f"damaged {compression.value} stream: {error}") from error
    except MemoryError as error:
        why = "no memory for what its compression looks back into"
        raise ModuleFileError(path, why, errno=errno.ENOMEM) from error


class GzipDecoder:
    """zlib's decoder for one gzip member, in the shape of lzma's and zstd's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._waiting = False

    @property
    def eof(self) -> bool:
        """Whether the member's end is reached."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """Whether there is no more output without more input."""
        return not self._waiting and not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What is behind the member."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take in ``data``, and return at most ``max_length`` bytes; raises zlib.error."""
        output = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # zlib may have taken all input and still hold output back.
        self._waiting = len(output) == max_length
        return output


def _decoder_at(data: bytes, position: int, compression: Compression) -> _Decoder:
    """Return a decoder for the stream at ``position``."""
    if compression is Compression.GZIP:
        return GzipDecoder()
    if compression is Compression.XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    from kmodd.modulefile.zstd_frames import FRAME_HEADER, frame_decoder

    return frame_decoder(data[position : position + FRAME_HEADER])


def _errors_of(compression: Compression) -> type[Exception]:
    """Return what the library raises for a stream of that kind that is damaged."""
    if compression is Compression.GZIP:
        return zlib.error
    if compression is Compression.XZ:
        return lzma.LZMAError
    from kmodd.modulefile.zstd_frames import ZstdError

    return ZstdError


def _damaged(path: str, why: str) -> ModuleFileError:
    """Return the error for a stream that does not decode; the kernel and libkmod have EINVAL."""
    return ModuleFileError(path, why, errno=errno.EINVAL)


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
    start = position
    while (chunk := data[start : start + _INPUT_CHUNK]) and not chunk.strip(b"\0"):
        start += len(chunk)
    start += len(chunk) - len(chunk.lstrip(b"\0"))
    if compression is Compression.GZIP and (
        not data.startswith(GZIP_MAGIC, start) or len(data) - start < _GZIP_HEADER
    ):
        return len(data)
    if compression is Compression.XZ and (start - position) % _XZ_PADDING:
        raise _damaged(path, f"damaged xz stream: {start - position} zeros behind it")
    return start
