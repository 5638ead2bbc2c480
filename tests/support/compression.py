# SPDX-License-Identifier: Apache-2.0
"""Compress module files the way distributions do."""

import gzip
import lzma
import sys

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
