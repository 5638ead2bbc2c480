# SPDX-License-Identifier: Apache-2.0
"""What is counted and measured since the daemon's start."""

import threading
from bisect import bisect_left
from collections import Counter

from kmodd.records import record

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
"""Seconds by which lengths of time are told apart: from a module in the page cache to a device that
does not answer."""


class Tally:
    """How often something happened, by labels. ``_lock`` guards the counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, *labels: str, count: int = 1) -> None:
        """Count what happened, ``count`` times."""
        with self._lock:
            self._counts[labels] += count

    def read(self) -> dict[tuple[str, ...], int]:
        """Return the counts, in order of their labels."""
        with self._lock:
            return dict(sorted(self._counts.items()))


@record
class Spread:
    """How lengths of time are spread: how many were at most as long as each of BOUNDS, how many
    there were, and their sum in seconds.
    """

    within: tuple[int, ...]
    count: int
    seconds: float


class Durations:
    """How long something took, by labels. ``_lock`` guards the counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: dict[tuple[str, ...], list[float]] = {}

    def add(self, seconds: float, *labels: str) -> None:
        """Take in how long something took that is over."""
        with self._lock:
            measured = self._measured.get(labels)
            if measured is None:
                measured = self._measured[labels] = [0] * (len(BOUNDS) + 2)
            measured[bisect_left(BOUNDS, seconds)] += 1
            measured[-1] += seconds

    def read(self) -> dict[tuple[str, ...], Spread]:
        """Return what was measured, in order of the labels."""
        with self._lock:
            return {labels: _spread(each) for labels, each in sorted(self._measured.items())}


def _spread(measured: list[float]) -> Spread:
    within, count = [], 0
    for each in measured[:-2]:
        count += int(each)
        within.append(count)
    return Spread(tuple(within), count + int(measured[-2]), measured[-1])
