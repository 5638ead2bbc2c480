# SPDX-License-Identifier: Apache-2.0
"""Which modules are at which addresses."""

from bisect import bisect_right
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
        self._ranges.append((image.start, image.end, image))
        if image.init_end > image.init_start:
            self._ranges.append((image.init_start, image.init_end, image))
        self._ranges.sort(key=itemgetter(0))

    def remove(self, image: ModuleImage, *, init_only: bool) -> list[tuple[int, int]]:
        """Remove a module, or its memory for init alone; return from where to where that was."""
        gone = [
            each
            for each in self._ranges
            if each[2] is image and (not init_only or each[0] == image.init_start)
        ]
        for each in gone:
            self._ranges.remove(each)
        return [(start, end) for start, end, _ in gone]

    def at(self, address: int) -> ModuleImage | None:
        """Return the module that ``address`` is in."""
        at = bisect_right(self._ranges, address, key=itemgetter(0)) - 1
        if at >= 0 and address < self._ranges[at][1]:
            return self._ranges[at][2]
        return None

    def exporter(self, symbol: str) -> ModuleImage | None:
        """Return the module that exports ``symbol``."""
        return next((each for _, _, each in self._ranges if symbol in each.exports), None)
