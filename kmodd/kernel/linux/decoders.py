# SPDX-License-Identifier: Apache-2.0
"""What the decoders of a kernel that undoes compression itself are known not to undo.

They are smaller than those of the programs that compress (kernel/module/decompress.c, lib/xz,
lib/zstd): a header often tells. What it does not tell, the kernel's answer does.
"""

import errno
from collections.abc import Iterable

from kmodd.errors import ModuleFileError
from kmodd.kernel.linux.verdicts import DECODER_COMPLAINTS, lines_about
from kmodd.modulefile import Compression, ModuleFile, detect_compression

HEADER_SIZE = 12 + 1024
"""Bytes of a file that tell: the headers of an xz stream and of its first block are the longest."""

LARGEST_DICTIONARY = 64 << 20
"""Bytes of the largest dictionary that the kernel is asked to allocate, that of ``xz -9``."""

LARGEST_WINDOW = 128 << 20
"""The same for zstd: the window of ``zstd --long``, and the limit of older kernels."""

UNDECODED = frozenset({errno.EINVAL, errno.ENOMEM, errno.EOPNOTSUPP})
"""What finit_module(2) answers where decompression fails; modules that it reached may, too."""

_GZIP_KNOWN_FLAGS = 0x01 | 0x08
"""FTEXT and FNAME of RFC 1952: the kernel takes no other field for a part of the header."""

_XZ_CHECKS = frozenset({0, 1})
"""No check, and CRC32 (the .xz file format, section 2.1.1.2)."""

_LZMA2 = 0x21
_BRANCHES = range(0x04, 0x10)
"""Filters for machine code, which kernels have for their own processor, or not."""


def may_undo(head: bytes) -> bool:
    """Tell whether the kernel's decoder may undo a file that begins with ``head``.

    ``head`` is HEADER_SIZE bytes, or all of a shorter file. One that is not compressed needs none.
    """
    try:
        match detect_compression(head):
            case Compression.GZIP:
                return not head[3] & ~_GZIP_KNOWN_FLAGS
            case Compression.XZ:
                return _may_undo_xz(head)
            case Compression.ZSTD:
                return _zstd_window(head) <= LARGEST_WINDOW
    except IndexError:
        # Cut short: the kernel says so.
        pass
    return True


def is_undecoded(code: int, image: bytes, lines: Iterable[str]) -> bool:
    """Tell whether a failure with errno ``code`` may be that of the decompression to ``image``.

    ``lines`` are what the kernel logged meanwhile. It knows a module's name only once it has undone
    the compression.
    """
    if code not in UNDECODED:
        return False
    try:
        name = ModuleFile.parse(image).this_module_name() or ""
    except ModuleFileError:
        return True
    about = lines_about(name, lines)
    return not about or any(said in line for said in DECODER_COMPLAINTS for line in about)


def _may_undo_xz(head: bytes) -> bool:
    """Look at the stream's check, and at the filters of its first block."""
    if head[7] not in _XZ_CHECKS:
        return False
    if not head[12]:
        # The index: there is no block.
        return True
    flags, at = head[13], 14
    for has_size in (flags & 0x40, flags & 0x80):
        while has_size and head[at] & 0x80:
            at += 1
        at += bool(has_size)
    count = (flags & 0x03) + 1
    if count > 1:
        # A filter for machine code may precede, one that starts where the block does.
        if count > 2 or head[at] not in _BRANCHES or head[at + 1]:
            return False
        at += 2
    if head[at] != _LZMA2:
        return False
    bits = head[at + 2]
    return (2 | bits & 1) << (bits // 2 + 11) <= LARGEST_DICTIONARY


def _zstd_window(head: bytes) -> int:
    """Return the bytes of a frame's window, 0 for one that is its content's size (RFC 8878)."""
    if head[4] & 0x20:
        return 0
    exponent, mantissa = head[5] >> 3, head[5] & 0x07
    base = 1 << (10 + exponent)
    return base + base // 8 * mantissa
