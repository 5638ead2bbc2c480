# SPDX-License-Identifier: Apache-2.0
"""The machine's own time."""

from collections.abc import Callable

HZ = 250
"""Ticks of the clock in a second, as Debian's kernels have them."""

INITIAL_JIFFIES = (1 << 32) - 300 * HZ
"""What jiffies are at boot: five minutes before 32 bits are full."""


_TICK = 1_000_000_000 // HZ
"""Nanoseconds between two ticks."""


class Clock:
    """Ticks since the machine has booted; for who holds the machine.

    ``show`` is given the kernel's jiffies whenever they change.
    """

    def __init__(self, show: Callable[[int], None]) -> None:
        self.ticks = 0
        self._delayed = 0
        self._show = show

    def advance(self, ticks: int) -> None:
        """Let the clock go on."""
        self.ticks += ticks
        self._show(INITIAL_JIFFIES + self.ticks)

    def delay(self, nanoseconds: int) -> None:
        """Let some time pass in which the code that is running is busy."""
        ticks, self._delayed = divmod(self._delayed + nanoseconds, _TICK)
        self.advance(ticks)

    @property
    def nanoseconds(self) -> int:
        """The time since the machine has booted."""
        return self.ticks * _TICK + self._delayed
