# SPDX-License-Identifier: Apache-2.0
"""Which modules are at which addresses."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import itemgetter

from kmodd.kernel.emulated.machine.image import ModuleImage


class Images:
    """The modules in memory; for who holds the processor."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, ModuleImage]] = []

    def __iter__(self) -> Iterator[ModuleImage]:
        """Yield each module once."""
        return (image for start, _, image in self._ranges if start == image.start)

    def add(self, image: ModuleImage) -> None:
        """Add a module, with the memory for its init."""
        for start, end in _ranges_of(image):
            insort(self._ranges, (start, end, image), key=itemgetter(0))

    def remove(self, image: ModuleImage, *, init_only: bool) -> list[tuple[int, int]]:
        """Remove a module, or its memory for init alone; return from where to where that was."""
        gone = []
        for start, end in _ranges_of(image):
            at = bisect_left(self._ranges, start, key=itemgetter(0))
            while at < len(self._ranges) and self._ranges[at][0] == start:
                if self._ranges[at][2] is image and (not init_only or start == image.init_start):
                    del self._ranges[at]
                    gone.append((start, end))
                    break
                at += 1
        return gone

    def at(self, address: int) -> ModuleImage | None:
        """Return the module that ``address`` is in."""
        at = bisect_right(self._ranges, address, key=itemgetter(0)) - 1
        if at >= 0 and address < self._ranges[at][1]:
            return self._ranges[at][2]
        return None

    def exporter(self, symbol: str) -> ModuleImage | None:
        """Return the module that exports ``symbol``."""
        return next((each for _, _, each in self._ranges if symbol in each.exports), None)


def _ranges_of(image: ModuleImage) -> list[tuple[int, int]]:
    """Return from where to where a module is, and its memory for init where it has any."""
    ranges = [(image.start, image.end)]
    if image.init_end > image.init_start:
        ranges.append((image.init_start, image.init_end))
    return ranges
