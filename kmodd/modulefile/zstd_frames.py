# SPDX-License-Identifier: Apache-2.0
"""Decoders of zstd frames, apart from the others since the library takes 12 ms to import."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZstdError = zstd.ZstdError
"""What a frame that is damaged raises."""

FRAME_HEADER = 18
"""Bytes of the longest header of a zstd frame (RFC 8878, section 3.1.1.1)."""

_WINDOW = zstd.DecompressionParameter.window_log_max
_ANY_WINDOW: dict[int, int] = {_WINDOW: _WINDOW.bounds()[1]}


def frame_decoder(header: bytes) -> zstd.ZstdDecompressor:
    """Return a decoder for the frame that begins with ``header``.

    Past zstd's own limit for streams, 128 MiB, libkmod takes no window but of a frame that tells
    its size.
    """
    try:
        size = zstd.get_frame_info(header).decompressed_size
    except zstd.ZstdError:
        size = None
    return zstd.ZstdDecompressor(options=None if size is None else _ANY_WINDOW)
