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
from kmodd.kernel.linux.system import LogReader, System

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

    def __init__(self, path: Path, system: System) -> None:
        self._path = path
        self._system = system
        self._changed = threading.Condition()
        self._records: deque[LogRecord] = deque(maxlen=KEPT)
        self._reader: LogReader | None = None
        self._wake = -1
        self._follower: threading.Thread | None = None
        self._closed = False

    def problem(self) -> str:
        """Say why the log cannot be read; "" where it can."""
        try:
            self._open().close()
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
            reader = self._open(at_end=True)
        except KernelError:
            yield Window(None)
            return
        try:
            yield Window(reader)
        finally:
            reader.close()

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
            if self._reader is not None:
                self._reader.close()
            self._reader = None

    def _open(self, *, at_end: bool = False) -> LogReader:
        try:
            return self._system.open_log(self._path, at_end=at_end)
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
        if self._reader is None:
            self._reader = self._open()
        fresh = _records(self._reader)
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
            self._follower = threading.Thread(
                target=self._run, args=(self._reader,), name="kmsg", daemon=True
            )
            self._follower.start()

    def _run(self, reader: LogReader) -> None:
        poll = select.poll()
        poll.register(reader.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._closed:
            poll.poll()
            with self._changed:
                self._pump()


class Window:
    """What the kernel logged since a moment; see ``Kmsg.window``. For one thread."""

    def __init__(self, reader: LogReader | None) -> None:
        self._reader = reader
        self._lines: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...] | None:
        """Return the lines since the window was opened, KEPT at most with each call.

        None where the log cannot be read.
        """
        if self._reader is None:
            return None
        try:
            self._lines += tuple(record.text for record in _records(self._reader))
        except OSError:
            return None
        return self._lines


def _records(reader: LogReader) -> list[LogRecord]:
    """Return the records that there are; what is none is passed over."""
    return [record for data in reader.fresh() if (record := parse_record(data)) is not None]
