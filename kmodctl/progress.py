# SPDX-License-Identifier: Apache-2.0
"""A bar on a terminal that shows how far something is, and how quick."""

import sys
from time import monotonic

WIDTH = 40
"""Characters of the bar."""


class Bar:
    """A bar on stderr, for ``what`` are counted; where that is no terminal, it shows nothing."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shows = sys.stderr.isatty()
        self._began = 0.0
        self._first = 0
        self._is_drawn = False

    def draw(self, done: int, total: int) -> None:
        """Draw how many of ``total`` are done, in the place of the bar before.

        The rate, as many a second, is that since the first time.
        """
        if not self._shows:
            return
        now = monotonic()
        if not self._is_drawn:
            self._began, self._first, self._is_drawn = now, done, True
        passed = now - self._began
        rate = f", {(done - self._first) / passed:.0f}/s" if passed and done > self._first else ""
        filled = WIDTH * min(done, total) // max(total, 1)
        bar = "=" * filled + " " * (WIDTH - filled)
        line = f"\r[{bar}] {done}/{total} {self._what}{rate}\033[K"
        print(line, end="", file=sys.stderr, flush=True)

    def wipe(self) -> None:
        """Take the bar away, if there is one."""
        if self._is_drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._is_drawn = False
