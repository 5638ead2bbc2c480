# SPDX-License-Identifier: Apache-2.0
"""Compress module files the way distributions do."""

import gzip
import lzma
import struct
import sys
import zlib

from kmodd.modulefile import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = {
    Compression.NONE: ".ko",
    Compression.GZIP: ".ko.gz",
    Compression.XZ: ".ko.xz",
    Compression.ZSTD: ".ko.zst",
}
"""How a module file of each compression is named."""


_ZSTD_BLOCK = 128 << 10


def compress(data: bytes, compression: Compression) -> bytes:
    """Return ``data``, compressed with the options of the kernel's scripts/Makefile.modinst."""
    if compression is Compression.GZIP:
        return gzip.compress(data, mtime=0)
    if compression is Compression.XZ:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
        return lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters)
    if compression is Compression.ZSTD:
        return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
    return data


LARGEST_DICTIONARY = 40
"""What a block of xz calls a dictionary of 4 GiB (the .xz file format, section 5.3.1)."""


def xz_with_dictionary(data: bytes, code: int) -> bytes:
    """Return ``data`` as xz, with a header that asks for a dictionary of that size."""
    packed = bytearray(compress(data, Compression.XZ))
    # The block's header follows the 12 bytes of the stream's; LZMA2 has one byte of properties.
    end = 12 + 4 * (packed[12] + 1)
    assert packed[14:16] == b"\x21\x01"
    packed[16] = code
    packed[end - 4 : end] = struct.pack("<I", zlib.crc32(packed[12 : end - 4]))
    return bytes(packed)


def zstd_with_window(data: bytes, log: int, *, tells_size: bool = True) -> bytes:
    """Return ``data`` as one frame of zstd, uncompressed, with a window of 2**``log`` bytes."""
    size = struct.pack("<I", len(data)) if tells_size else b""
    packed = b"\x28\xb5\x2f\xfd" + bytes([0x80 if tells_size else 0, (log - 10) << 3]) + size
    for start in range(0, len(data), _ZSTD_BLOCK):
        block = data[start : start + _ZSTD_BLOCK]
        is_last = start + _ZSTD_BLOCK >= len(data)
        packed += struct.pack("<I", len(block) << 3 | is_last)[:3] + block
    return packed
