# SPDX-License-Identifier: Apache-2.0
"""Waits for quiet before it acts, but not for ever."""

import threading
import time
from collections.abc import Callable

from kmodd.settings import Timing

READY = 1 / 10
"""Part of the quiet that is waited for at least, after what is complete."""


class Debouncer:
    """Calls ``act`` for a key once the key has been quiet for a while, on a thread of its own.

    A key that is only taken from must be quiet for longer, and that is not cut short. ``_changed``
    guards the tables of times and wakes the thread. ``_began`` is when what comes without a pause
    has begun to come, whatever was done about it since.
    """

    def __init__(self, act: Callable[[str], None], timing: Timing) -> None:
        self._act = act
        self._timing = timing
        self._changed = threading.Condition()
        self._first: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._touched: dict[str, float] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="kmodd-rebuild", daemon=True)
        self._thread.start()

    def touch(self, key: str, going_on: bool = False, *, removal: bool = False) -> None:
        """Note that ``key`` has changed just now; a ``removal`` only takes something from it.

        ``going_on`` tells that the change is not complete. After what is, it is waited as long as
        things have come so far, and no longer than after what is not: a file that was put in place
        is ready, a copy of many and the installation of a kernel are likely to go on.
        """
        now = time.monotonic()
        with self._changed:
            if now - self._touched.get(key, float("-inf")) > self._timing.debounce:
                self._began[key] = now
            self._touched[key] = now
            if removal and key not in self._first:
                self._due[key] = now + self._timing.debounce_removal
            else:
                first = self._first.setdefault(key, now)
                self._due[key] = min(
                    now + self._quiet(key, now, going_on=going_on),
                    first + self._timing.debounce_max,
                )
            self._changed.notify()

    def last_touch(self, key: str) -> float:
        """Return when ``key`` was last touched (time.monotonic), minus infinity for never."""
        with self._changed:
            return self._touched.get(key, float("-inf"))

    def stop(self) -> None:
        """Forget what is due and end the thread, after the call it is in."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _quiet(self, key: str, now: float, *, going_on: bool) -> float:
        """Return how long to wait after what came ``now``, in seconds."""
        longest = self._timing.debounce
        if going_on:
            return longest
        return min(max(now - self._began[key], READY * longest), longest)

    def _run(self) -> None:
        while (key := self._next()) is not None:
            self._act(key)

    def _next(self) -> str | None:
        """Wait for the next key that is due; None once stopped."""
        with self._changed:
            while not self._stopped:
                key = min(self._due, key=self._due.__getitem__, default=None)
                left = None if key is None else self._due[key] - time.monotonic()
                if key is not None and left is not None and left <= 0:
                    del self._due[key]
                    self._first.pop(key, None)
                    return key
                self._changed.wait(left)
            return None
