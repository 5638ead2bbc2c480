# SPDX-License-Identifier: Apache-2.0
"""How a module file is compressed, told by its magic bytes.

depmod looks for module files by suffix, but they are opened by content, so a ``.ko`` may well be
compressed.
"""

from __future__ import annotations

from kmodd.enums import Enum
from kmodd.errors import ModuleFileError, Reason

MAX_IMAGE = 512 << 20
"""Bytes of the largest module, uncompressed, that is read unless the caller says otherwise."""

GZIP_MAGIC = b"\x1f\x8b"
"""What each member of a gzip file begins with."""


class Compression(Enum):
    """How a module file is compressed, in the words of /sys/module/compression."""

    NONE = "none"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"


_MAGIC = (
    (GZIP_MAGIC, Compression.GZIP),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
)


def detect_compression(head: bytes) -> Compression:
    """Tell the compression of a file that begins with ``head`` (six bytes are enough)."""
    for magic, compression in _MAGIC:
        if head.startswith(magic):
            return compression
    return Compression.NONE


def too_large(path: str, limit: int) -> ModuleFileError:
    """Return the error for a module of more than ``limit`` bytes."""
    return ModuleFileError(
        path, f"larger than {limit} bytes uncompressed", reason=Reason.IMAGE_TOO_LARGE
    )
