# SPDX-License-Identifier: Apache-2.0
"""Finds code that runs and runs.

The emulator's library can count instructions, but it is twice as slow in translating what it is to
count. So code runs uncounted, and a thread looks now and then whether it is still at what it was at
before; such a run is stopped, and what its system call runs after it is counted.
"""

import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 0.025
"""Seconds between two looks. Of Debian's modules it is raid6_pq that runs for longer than that each
time, as it waits for the clock."""

IDLE_LOOKS = 40
"""Looks at a processor that nobody uses after which the thread ends."""


class LockupDetector:
    """Calls ``stop`` for a run that takes too long; from a thread of its own, which comes and goes.

    ``runs`` is the processor's to count up at a run's begin and at its end: it is odd in between.
    ``_lock`` guards the other fields.
    """

    __slots__ = ("_is_over", "_is_used", "_is_watching", "_lock", "_stop", "runs")

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._is_used = False
        self._is_watching = False
        self._is_over = False
        self.runs = 0

    def watch(self) -> None:
        """Watch the runs of the next moments."""
        with self._lock:
            self._is_used = True
            if not self._is_watching:
                self._is_watching = True
                threading.Thread(target=self._look, name="kmodd-lockup", daemon=True).start()

    def close(self) -> None:
        """Watch no more: there are no more runs, and nothing is kept for them."""
        with self._lock:
            self._is_over, self._stop = True, _nothing

    def _look(self) -> None:
        seen, idle = 0, 0
        while not self._is_over and (idle < IDLE_LOOKS or not self._end()):
            time.sleep(LOOK_SECONDS)
            runs = self.runs
            if runs == seen and runs & 1:
                self._stop()
            idle = idle + 1 if runs == seen and not runs & 1 else 0
            seen = runs

    def _end(self) -> bool:
        """End the watch, unless somebody has asked for it since the last time."""
        with self._lock:
            self._is_watching, self._is_used = self._is_used, False
            return not self._is_watching


def _nothing() -> None:
    """Stop nothing."""
