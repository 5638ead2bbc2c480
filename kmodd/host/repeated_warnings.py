# SPDX-License-Identifier: Apache-2.0
"""What callers can bring about as often as they like: a few of it are logged, the rest counted."""

import logging
import threading
from collections import Counter

WINDOW = 60.0
"""Seconds after which what was said meanwhile is told as a count."""

TOLD = 8
"""Different warnings for one caller that are logged in words within that time."""


class RepeatedWarnings(logging.Filter):
    """Lets through the first of a logger's warnings for each ``identity`` that a record names (who
    calls, at which socket), and counts the others.

    Two are the same where they have ``said`` the same, be it by different processes; without that,
    where their messages are. ``_lock`` guards what was let through and what was counted.
    """

    def __init__(self, logger: logging.Logger, window: float = WINDOW) -> None:
        """``logger`` is where the counts are told, every ``window`` seconds."""
        super().__init__()
        self._logger = logger
        self._window = window
        self._lock = threading.Lock()
        self._told: dict[str, set[str]] = {}
        self._counted: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether ``record`` is to be logged."""
        identity: str | None = getattr(record, "identity", None)
        if identity is None:
            return True
        message: str = getattr(record, "said", "") or record.getMessage()
        with self._lock:
            if not self._told:
                timer = threading.Timer(self._window, self.settle)
                timer.daemon = True
                timer.start()
            told = self._told.setdefault(identity, set())
            if message in told or len(told) >= TOLD:
                self._counted[identity] += 1
                return False
            told.add(message)
        return True

    def settle(self) -> None:
        """Log the counts, and begin anew."""
        with self._lock:
            counted = self._counted
            self._told, self._counted = {}, Counter()
        for identity, count in counted.items():
            self._logger.warning(
                "the same or the like %d more times within %g s: %s", count, self._window, identity
            )
