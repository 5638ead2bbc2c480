# SPDX-License-Identifier: Apache-2.0
"""The places in a lane, of which each call takes one."""

import threading

from kmodd.access.policy import Lane
from kmodd.errors import LimitError, Reason

TURN = 10.0
"""Seconds that a call which only looks waits for its turn."""


class Places:
    """The places in one lane. ``_lock`` guards how many are taken, and how many wait for one."""

    def __init__(self, lane: Lane, bound: int, whose: str = "") -> None:
        """There are ``bound`` of them; ``whose`` says in words for whom."""
        self._lane = lane
        self._bound = bound
        self._whose = whose
        self._turn = TURN if lane is Lane.READ else 0.0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._taken = 0
        self._waiting = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._taken >= self._bound and not self._comes_free():
                raise LimitError(
                    Reason.LIMIT_REACHED,
                    f"{self._bound} calls of the kind '{self._lane.value}'{self._whose} are under "
                    "way already",
                )
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._taken -= 1
            if self._waiting:
                self._changed.notify()

    def _comes_free(self) -> bool:
        """Wait for a place; False where it takes too long. With the lock."""
        self._waiting += 1
        try:
            return self._changed.wait_for(lambda: self._taken < self._bound, self._turn)
        finally:
            self._waiting -= 1
