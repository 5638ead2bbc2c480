# SPDX-License-Identifier: Apache-2.0
"""A bar on a terminal that shows how far something is."""

import sys

WIDTH = 40
"""Characters of the bar."""


def draw(done: int, total: int, what: str) -> None:
    """Draw how many of ``total`` things are done, in the place of the bar before."""
    filled = WIDTH * done // max(total, 1)
    bar = "=" * filled + " " * (WIDTH - filled)
    print(f"\r[{bar}] {done}/{total} {what}", end="", file=sys.stderr, flush=True)


def wipe() -> None:
    """Take the bar away."""
    print("\r\033[K", end="", file=sys.stderr, flush=True)
