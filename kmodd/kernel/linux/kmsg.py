# SPDX-License-Identifier: Apache-2.0
"""/dev/kmsg: the kernel's log, as records (Documentation/ABI/testing/dev-kmsg)."""

import contextlib
import errno
import os
import re
import select
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import LogRecord

RECORD_MAX = 8192
"""Bytes of the longest record; a shorter buffer makes the kernel refuse the read."""

KEPT = 16384
"""Records that are kept here; the kernel's own ring holds a few thousand."""

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def parse_record(data: bytes) -> LogRecord | None:
    """Return the record in what one read of /dev/kmsg gave; None for what is none.

    ``priority,sequence,microseconds,flags[,...];text`` and then lines of a dictionary, which are
    left out. The priority holds the facility above its three lowest bits.
    """
    head, separator, rest = data.partition(b";")
    fields = head.split(b",")
    if not separator or len(fields) < 3 or not all(each.isdigit() for each in fields[:3]):
        return None
    priority, sequence, microseconds = (int(each) for each in fields[:3])
    raw = rest.split(b"\n", 1)[0]
    text = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), raw)
    return LogRecord(
        sequence, priority & 7, microseconds, text.decode("utf-8", "surrogateescape").rstrip("\n")
    )


class Kmsg:
    """The log, read as it grows. ``_changed`` guards the records and the place in the device.

    Whoever asks reads what is new into the common ring. A thread does so while somebody waits,
    from the first wait on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._records: deque[LogRecord] = deque(maxlen=KEPT)
        self._fd = -1
        self._wake = -1
        self._follower: threading.Thread | None = None
        self._closed = False

    def problem(self) -> str:
        """Say why the log cannot be read; "" where it can."""
        try:
            os.close(self._open())
        except KernelError as error:
            return error.message
        return ""

    def read(self, after: int) -> tuple[LogRecord, ...]:
        """Return the records after sequence ``after``; raises KernelError without permission."""
        with self._changed:
            self._pump()
            return self._after(after)

    def wait(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Like ``read``, but wait up to ``timeout`` seconds for a record."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._pump()
            self._follow()
            while not (found := self._after(after)) and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return found

    @contextlib.contextmanager
    def window(self) -> Iterator["Window"]:
        """Watch the log while the context is open; without permission the window stays empty."""
        try:
            fd = self._open()
        except KernelError:
            yield Window(-1)
            return
        try:
            os.lseek(fd, 0, os.SEEK_END)
            yield Window(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """End all waiting, and give back the device."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            follower, self._follower = self._follower, None
        if follower is not None:
            os.eventfd_write(self._wake, 1)
            follower.join()
            os.close(self._wake)
        with self._changed:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            hint = " (reading it takes CAP_SYSLOG)" if error.errno == errno.EPERM else ""
            raise KernelError(
                Reason.KERNEL_REFUSED,
                f"the kernel log cannot be read: {self._path}: {error.strerror}{hint}",
                errno=error.errno or errno.EIO,
            ) from error

    def _pump(self) -> None:
        """Take in what is new. The caller holds ``_changed``."""
        if self._closed:
            return
        if self._fd < 0:
            self._fd = self._open()
        fresh = _records(self._fd)
        self._records.extend(fresh)
        if fresh:
            self._changed.notify_all()

    def _after(self, after: int) -> tuple[LogRecord, ...]:
        start = bisect_right(self._records, after, key=attrgetter("sequence"))
        return tuple(self._records[at] for at in range(start, len(self._records)))

    def _follow(self) -> None:
        """Start the thread that reads on behalf of all who wait. The caller holds ``_changed``."""
        if self._follower is None and not self._closed:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC)
            self._follower = threading.Thread(target=self._run, name="kmsg", daemon=True)
            self._follower.start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._closed:
            poll.poll()
            with self._changed:
                self._pump()


class Window:
    """What the kernel logged since a moment; see ``Kmsg.window``. For one thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...] | None:
        """Return the lines since the window was opened, KEPT at most with each call.

        None where the log cannot be read.
        """
        if self._fd < 0:
            return None
        try:
            self._lines += tuple(record.text for record in _records(self._fd))
        except OSError:
            return None
        return self._lines


def _records(fd: int) -> list[LogRecord]:
    """Read the records that there are; those that were overwritten meanwhile are passed over.

    The kernel may log quicker than anybody reads, so it ends after KEPT attempts.
    """
    found = []
    for _ in range(KEPT):
        try:
            data = os.read(fd, RECORD_MAX)
        except BlockingIOError:
            break
        except BrokenPipeError:
            continue
        if not data:
            break
        record = parse_record(data)
        if record is not None:
            found.append(record)
    return found
