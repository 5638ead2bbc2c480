# SPDX-License-Identifier: Apache-2.0
"""The memory that modules allocate.

Sizes are rounded up to those of kmalloc's caches, above them to powers of two of pages; each size
has its own list of what was given back.
"""

from bisect import bisect_left

from kmodd.kernel.emulated.hardware.memory import PAGE, Region

SIZES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
"""The sizes of kmalloc's caches on x86-64 (mm/slab_common.c)."""

FREED = 0x6B
"""What memory that was given back is full of (POISON_FREE of include/linux/poison.h)."""

ZERO_SIZE_PTR = 16
"""What an allocation of no bytes gives."""


class Heap:
    """The allocations in one region; for who holds the processor."""

    def __init__(self, region: Region, start: int, *, keeps_freed: bool = False) -> None:
        """Begin at ``start``. With ``keeps_freed`` memory that is given back is nobody's again, and
        full of FREED: who uses it then comes upon that.
        """
        self._keeps_freed = keeps_freed
        self._region = region
        self._next = start
        self._free: dict[int, list[int]] = {}
        self._live: dict[int, int] = {}

    def allocate(self, size: int, *, fill: int = 0) -> int:
        """Return the address of ``size`` bytes, each of them ``fill``; 0 where there are none."""
        if size <= 0:
            return ZERO_SIZE_PTR
        rounded = _rounded(size)
        free = self._free.get(rounded)
        if free:
            address = free.pop()
            self._region.clear(address, rounded)
        else:
            # A page's own allocations begin at pages, as those of the kernel do.
            alignment = PAGE if rounded >= PAGE else rounded & -rounded
            address = -(-self._next // alignment) * alignment
            if address + rounded > self._region.end:
                return 0
            self._next = address + rounded
        self._live[address] = size
        if fill:
            start = address - self._region.base
            self._region.buffer[start : start + size] = bytes([fill]) * size
        return address

    def size(self, address: int) -> int | None:
        """Return how many bytes were asked for at ``address``; None where nothing begins there."""
        return self._live.get(address)

    def room(self, address: int) -> int:
        """Return how many bytes there are for the allocation at ``address`` (ksize)."""
        size = self._live.get(address)
        return _rounded(size) if size else 0

    def free(self, address: int) -> bool:
        """Give back an allocation; False where nothing begins at ``address``."""
        size = self._live.pop(address, None)
        if size is None:
            return False
        rounded = _rounded(size)
        if self._keeps_freed:
            start = address - self._region.base
            self._region.buffer[start : start + rounded] = bytes([FREED]) * rounded
            return True
        if rounded >= 16 * PAGE:
            self._region.clear(address, rounded)
        self._free.setdefault(rounded, []).append(address)
        return True


def _rounded(size: int) -> int:
    if size <= SIZES[-1]:
        return SIZES[bisect_left(SIZES, size)]
    return 1 << (size - 1).bit_length()
