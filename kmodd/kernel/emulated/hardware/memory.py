# SPDX-License-Identifier: Apache-2.0
"""The memory of the emulated machine: a few regions at the addresses where Linux has them.

Each region is an anonymous mapping of this process that the emulator uses in place. The system
gives a page when it is first touched, so that a region may be large; what modules do with
addresses outside the regions is a page fault, and a BadAddress where a kernel function does it.
"""

import ctypes
import mmap
from bisect import bisect_right
from collections.abc import Callable

PAGE = 4096
TEXT_MAX = 64 << 10
"""Bytes of the longest string that is read."""

READ, WRITE, EXECUTE = 1, 2, 4
"""What code may do with memory (PROT_READ and so on)."""

_MAP_NORESERVE = 0x4000
"""What Python's mmap has no name for (mmap(2))."""

_MASK = (1 << 64) - 1


def has_room(size: int) -> bool:
    """Tell whether this process may map ``size`` bytes more (RLIMIT_AS of getrlimit(2))."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        mmap.mmap(-1, size, flags=flags).close()
    except OSError:
        return False
    return True


class BadAddress(Exception):  # noqa: N818  # not this program's error
    """A kernel function was handed an address where nothing is."""

    def __init__(self, address: int, *, write: bool = False) -> None:
        super().__init__(f"{address:#x}")
        self.address = address & _MASK
        self.write = write


class Region:
    """A stretch of memory from ``base`` to ``end``.

    ``permissions`` are the bits of READ, WRITE and EXECUTE: what modules' code may do there.
    """

    __slots__ = ("base", "buffer", "end", "permissions")

    def __init__(self, base: int, size: int, permissions: int = READ | WRITE) -> None:
        self.base = base
        self.end = base + size
        self.permissions = permissions
        # What is never touched must not count against the system's memory.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self.buffer = mmap.mmap(-1, size, flags=flags)

    @property
    def host_address(self) -> int:
        """Where the region is in this process."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self.buffer))

    def clear(self, address: int, size: int) -> None:
        """Make ``size`` bytes zero, and give whole pages of them back to the system."""
        start, end = address - self.base, address - self.base + size
        first, last = -(-start // PAGE) * PAGE, end // PAGE * PAGE
        if last - first < 4 * PAGE:
            self.buffer[start:end] = bytes(size)
            return
        self.buffer[start:first] = bytes(first - start)
        self.buffer[last:end] = bytes(end - last)
        self.buffer.madvise(mmap.MADV_DONTNEED, first, last - first)


class Memory:
    """All regions. ``add`` hands each new one to the processor."""

    def __init__(self, attach: Callable[[Region], None]) -> None:
        self._attach = attach
        self._bases: list[int] = []
        self._regions: list[Region] = []

    def add(self, base: int, size: int, permissions: int) -> Region:
        """Make a region."""
        region = Region(base, size, permissions)
        self._attach(region)
        at = bisect_right(self._bases, base)
        self._bases.insert(at, base)
        self._regions.insert(at, region)
        return region

    def region(self, address: int, size: int = 1, *, write: bool = False) -> Region:
        """Return the region that all of these bytes lie in; raises BadAddress."""
        at = bisect_right(self._bases, address) - 1
        if at >= 0:
            region = self._regions[at]
            if address + size <= region.end:
                return region
        raise BadAddress(address, write=write)

    def permissions(self, address: int) -> int:
        """Return what code may do at ``address``, 0 where nothing is."""
        at = bisect_right(self._bases, address) - 1
        if at < 0 or address >= self._regions[at].end:
            return 0
        return self._regions[at].permissions

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes."""
        region = self.region(address, size)
        start = address - region.base
        return region.buffer[start : start + size]

    def write(self, address: int, data: bytes | bytearray) -> None:
        """Store ``data``."""
        region = self.region(address, len(data), write=True)
        start = address - region.base
        region.buffer[start : start + len(data)] = data

    def fill(self, address: int, size: int, value: int = 0) -> None:
        """Store ``size`` times the byte ``value``."""
        region = self.region(address, size, write=True)
        if not value:
            region.clear(address, size)
            return
        start = address - region.base
        region.buffer[start : start + size] = bytes([value & 0xFF]) * size

    def number(self, address: int, size: int = 8, *, signed: bool = False) -> int:
        """Return the number of ``size`` bytes at ``address``."""
        return int.from_bytes(self.read(address, size), "little", signed=signed)

    def put(self, address: int, value: int, size: int = 8) -> None:
        """Store a number of ``size`` bytes."""
        self.write(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))

    def string(self, address: int, limit: int = TEXT_MAX) -> bytes:
        """Return the bytes before the next NUL, at most ``limit``."""
        region = self.region(address)
        start = address - region.base
        end = region.buffer.find(b"\0", start, start + limit)
        if end < 0:
            end = min(start + limit, region.end - region.base)
            if end - start < limit:
                raise BadAddress(region.end)
        return region.buffer[start:end]

    def text(self, address: int, limit: int = TEXT_MAX) -> str:
        """Return the string at ``address``; bytes that are not UTF-8 stay as surrogates."""
        return self.string(address, limit).decode("utf-8", "surrogateescape")
