# SPDX-License-Identifier: Apache-2.0
"""The memory of those who use files: what a kernel function may copy from there and to there.

It is no part of the machine's own memory: code that follows a user's pointer by itself comes upon
nothing there, as on a processor that keeps the kernel out of it (SMAP). A buffer is exactly as long
as its user has said, and what lies behind it is nobody's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE


class UserMemory:
    """The buffers of all users, by address; for who holds the machine."""

    def __init__(self) -> None:
        self._buffers: dict[int, bytearray] = {}
        self._next = addresses.USER

    @contextmanager
    def lending(self, buffer: bytearray) -> Iterator[int]:
        """Have a buffer at the address that is given, for as long as the context is open."""
        if not self._buffers:
            self._next = addresses.USER
        address = self._next
        self._next += -(-len(buffer) // PAGE) * PAGE + PAGE
        self._buffers[address] = buffer
        try:
            yield address
        finally:
            del self._buffers[address]

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes, or as many of them as there are."""
        buffer, start = self._find(address)
        return bytes(buffer[start : start + size])

    def write(self, address: int, data: bytes) -> int:
        """Store ``data`` as far as there is room, and return how many bytes that was."""
        buffer, start = self._find(address)
        taken = data[: len(buffer) - start]
        buffer[start : start + len(taken)] = taken
        return len(taken)

    def _find(self, address: int) -> tuple[bytearray, int]:
        """Return the buffer that an address is in, and where in it; an empty one for none."""
        for start, buffer in self._buffers.items():
            if start <= address < start + len(buffer):
                return buffer, address - start
        return bytearray(), 0
