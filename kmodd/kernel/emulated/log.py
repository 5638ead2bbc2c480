# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel's log: a ring of records, as /dev/kmsg gives them."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from kmodd.kernel.base import LogRecord

TEXT_MAX = 1024
"""Characters of a record that are kept; the kernel's own limit (PRINTKRB_RECORD_MAX)."""


class Level(IntEnum):
    """The kernel's log levels (include/linux/kern_levels.h)."""

    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class KernelLog:
    """A bounded log. ``_changed`` guards every field and wakes those who wait for a record."""

    def __init__(self, capacity: int) -> None:
        self._changed = threading.Condition()
        self._records: deque[LogRecord] = deque(maxlen=capacity)
        self._next = 0
        self._boot = time.monotonic_ns()
        self._closed = False
        self._captures = threading.local()

    def printk(self, level: Level, text: str) -> None:
        """Append a record for each line of ``text``."""
        lines = [line[:TEXT_MAX] for line in text.splitlines()]
        captured: list[str] | None = getattr(self._captures, "lines", None)
        if captured is not None:
            captured.extend(lines)
        with self._changed:
            now = (time.monotonic_ns() - self._boot) // 1000
            for line in lines:
                self._records.append(LogRecord(self._next, int(level), now, line))
                self._next += 1
            self._changed.notify_all()

    @contextmanager
    def capture(self) -> Iterator[list[str]]:
        """Collect the lines that this thread logs while the context is open."""
        lines: list[str] = []
        self._captures.lines = lines
        try:
            yield lines
        finally:
            self._captures.lines = None

    def read(self, after: int) -> tuple[LogRecord, ...]:
        """Return what is left of the records after sequence ``after``."""
        with self._changed:
            return self._after(after)

    def wait(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Return the records after ``after``, waiting up to ``timeout`` seconds for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._next > after + 1, timeout)
            return self._after(after)

    def close(self) -> None:
        """End every wait, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _after(self, after: int) -> tuple[LogRecord, ...]:
        fresh = min(self._next - 1 - after, len(self._records))
        if fresh <= 0:
            return ()
        return tuple(
            self._records[at] for at in range(len(self._records) - fresh, len(self._records))
        )
