# SPDX-License-Identifier: Apache-2.0
"""The certificates that a kernel trusts from its build on: ``system_certificate_list``.

No table names it, but it tells where it is (certs/system_certificates.S): certificates one after
the other, behind them their size, and behind that, since Linux 5.13, the size of the one that the
build has made for modules, the first, or 0. So a certificate is only taken that stands in such a
list: others that are in a kernel (revoked ones, those that it tries itself out with) are not
trusted by it.
"""

import re
from collections.abc import Iterator

from kmodd.kernelimage.sections import KernelSections, SectionBytes

CERTIFICATES_MAX = 256
"""Certificates in a list at most."""

EXTRA_MAX = 64 << 10
"""Bytes between a list and its size: room for one certificate more
(CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE)."""

CANDIDATES_MAX = 4096
"""Places that look like a certificate's beginning, of which a list may be."""

_ALIGNMENT = 8
_SEQUENCE = 0x30

# A sequence with a length of two bytes, in it another, in that the version 3 (RFC 5280, 4.1).
_BEGINNING = re.compile(rb"(?s)\x30\x82..\x30\x82..\xa0\x03\x02\x01\x02")

PLACES = (".init.data", ".init.rodata", ".rodata")
"""Sections that the list may be in: it is dropped once it is read."""


def read_trusted(kernel: KernelSections) -> tuple[bytes, ...]:
    """Return the trusted certificates, X.509 in DER; none where there is no such list."""
    for region in kernel.searched(*PLACES):
        for start in _beginnings(region):
            found = _list_at(kernel, region, start)
            if found:
                return found
    return ()


def _beginnings(region: SectionBytes) -> Iterator[int]:
    """Yield where a list may begin."""
    for count, match in enumerate(_BEGINNING.finditer(region.data)):
        if count == CANDIDATES_MAX:
            return
        if not (region.address + match.start()) % _ALIGNMENT:
            yield match.start()


def _list_at(kernel: KernelSections, region: SectionBytes, start: int) -> tuple[bytes, ...]:
    """Return the certificates from ``start`` on, if behind them is their size; else nothing."""
    found = list[bytes]()
    end = start
    while len(found) < CERTIFICATES_MAX and (size := _size_of(region.data, end)):
        found.append(region.data[end : end + size])
        end += size
    if found and _is_told(kernel, region, end, end - start, len(found[0])):
        return tuple(found)
    return ()


def _size_of(data: bytes, start: int) -> int:
    """Return the bytes of the certificate at ``start``, 0 where there is none."""
    if not _BEGINNING.match(data, start):
        return 0
    size = 4 + int.from_bytes(data[start + 2 : start + 4], "big")
    return size if start + size <= len(data) else 0


def _is_told(kernel: KernelSections, region: SectionBytes, end: int, size: int, first: int) -> bool:
    """Tell whether soon behind ``end`` it stands that a list of ``size`` bytes is what ends there.

    The word behind that is the size of the first certificate, or 0. That tells it from the list of
    those revoked, which the linker puts behind this one.
    """
    word = kernel.word
    told = size.to_bytes(word, kernel.byteorder)
    start = end
    while (start := region.data.find(told, start, end + EXTRA_MAX)) >= 0:
        aligned = start + -(region.address + start) % _ALIGNMENT
        if aligned == start:
            behind = start + _ALIGNMENT
            made = int.from_bytes(region.data[behind : behind + word], kernel.byteorder)
            return made in (0, first)
        start += 1
    return False
