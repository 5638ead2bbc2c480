# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel's log: a ring of records, as /dev/kmsg gives them."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from kmodd.kernel.base import LogRecord

TEXT_MAX = 989
"""Characters of a record that are kept, as on Linux 6.1 (LOG_LINE_MAX, less level and NUL)."""

LOG_CAPACITY = 16384
"""Records that a kernel's log keeps."""


class Level(IntEnum):
    """The kernel's log levels (include/linux/kern_levels.h)."""

    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


Printk = Callable[[Level, str], None]

# Control characters, and bytes that are not UTF-8, which are kept as surrogates.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\udc80-\udcff]")


class KernelLog:
    """A bounded log. ``_changed`` guards every field and wakes those who wait for a record.

    ``listener`` is told of every record, in order, while the log is locked.
    """

    def __init__(
        self,
        capacity: int = LOG_CAPACITY,
        listener: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self._changed = threading.Condition()
        self._records: deque[LogRecord] = deque(maxlen=capacity)
        self._next = 0
        self._boot = time.monotonic_ns()
        self._closed = False
        self._captures = threading.local()
        self._said: set[str] = set()
        self._listener = listener

    def printk(self, level: Level, text: str) -> None:
        """Append a record for each line of ``text``."""
        lines = [printable(line)[:TEXT_MAX] for line in text.rstrip("\n").split("\n")]
        captured: list[str] | None = getattr(self._captures, "lines", None)
        if captured is not None:
            captured.extend(lines)
        now = (time.monotonic_ns() - self._boot) // 1000
        for line in lines:
            self.append(int(level), now, line)

    def printk_once(self, level: Level, key: str, text: str) -> None:
        """Like ``printk``, but once in the kernel's life for each ``key`` (pr_warn_once)."""
        with self._changed:
            if key in self._said:
                return
            self._said.add(key)
        self.printk(level, text)

    def append(self, level: int, microseconds: int, text: str) -> None:
        """Append a record that has its time already."""
        with self._changed:
            record = LogRecord(self._next, level, microseconds, text)
            self._records.append(record)
            self._next += 1
            if self._listener is not None:
                self._listener(record)
            self._changed.notify_all()

    def restart_clock(self) -> None:
        """Count the time of later records from now: the kernel boots anew."""
        self._boot = time.monotonic_ns()

    @contextmanager
    def capture(self) -> Iterator[list[str]]:
        """Collect the lines that this thread logs while the context is open, but for those of a
        capture within it.
        """
        lines: list[str] = []
        outer: list[str] | None = getattr(self._captures, "lines", None)
        self._captures.lines = lines
        try:
            yield lines
        finally:
            self._captures.lines = outer

    def captured(self) -> tuple[str, ...]:
        """Return what this thread has logged in its capture so far."""
        return tuple(getattr(self._captures, "lines", None) or ())

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


def printable(text: str) -> str:
    """Return ``text`` with what no terminal should get as ``\\x7f``, the way that dmesg(1) does."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)
