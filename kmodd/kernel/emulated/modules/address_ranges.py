# SPDX-License-Identifier: Apache-2.0
"""Which addresses of an area are taken, each range with free bytes behind it."""

from bisect import bisect_left, insort


class AddressRanges:
    """The ranges that are taken between two addresses; for one thread at a time.

    ``guard`` bytes are left free behind each. What is free is known by its gaps, which are few
    where thousands of ranges lie side by side. A gap ends where the next range begins, the last
    one a guard behind the area's end.
    """

    def __init__(self, start: int, end: int, guard: int) -> None:
        self._guard = guard
        self._start = start
        self._end = end + guard
        self._taken: list[tuple[int, int]] = []
        self._gaps: list[tuple[int, int]] = [(start, self._end)]

    def take(self, size: int) -> int | None:
        """Take the lowest gap that ``size`` bytes and a guard fit in, and return its address.

        None where there is none.
        """
        wanted = size + self._guard
        for at, (start, end) in enumerate(self._gaps):
            if end - start >= wanted:
                insort(self._taken, (start, size))
                self._gaps[at : at + 1] = self._gap(start + wanted, end)
                return start
        return None

    def give_back(self, address: int, size: int) -> None:
        """Let others have a range that was taken; raises ValueError where it was not."""
        at = bisect_left(self._taken, (address, size))
        if self._taken[at : at + 1] != [(address, size)]:
            raise ValueError(f"{size} bytes at {address:#x} are not taken")
        del self._taken[at]
        start, end = self._start, self._end
        if at:
            before, length = self._taken[at - 1]
            start = before + length + self._guard
        if at < len(self._taken):
            end = self._taken[at][0]
        first = bisect_left(self._gaps, (start,))
        last = bisect_left(self._gaps, (end,))
        self._gaps[first:last] = self._gap(start, end)

    def _gap(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the gap between two addresses, where a range of no bytes would fit at least."""
        return [(start, end)] if end - start >= self._guard else []
