# SPDX-License-Identifier: Apache-2.0
"""What a guest tells by itself, across its boots: the kernel's log, and its events."""

import errno
import os
import threading
import time
import weakref
from collections import deque
from contextlib import suppress

KEPT = 16384
"""Records of the log that are kept."""

RECORD_MAX = 2048
"""Bytes that are kept of a record; the kernel's own bound is half of that, escapes left out."""

EVENTS_KEPT = 4096
"""Events that are kept until they are read."""

EVENT_MAX = 8192
"""Bytes that are kept of an event, which a kernel's never has (UEVENT_BUFFER_SIZE)."""


class _Bell:
    """A descriptor that can be read once it was rung, until it is silenced."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._fd

    def ring(self) -> None:
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)

    def silence(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class GuestLog:
    """The records that came from a guest, numbered as if it had never been booted anew.

    ``_lock`` guards all that its readers have, too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[bytes] = deque(maxlen=KEPT)
        self._count = 0
        self._booted = time.monotonic_ns()
        self._readers: weakref.WeakSet[GuestLogReader] = weakref.WeakSet()

    def restart_clock(self) -> None:
        """Count the time of what is said here from now: the guest boots anew."""
        self._booted = time.monotonic_ns()

    def take_in(self, record: bytes) -> None:
        """Append a record as /dev/kmsg gives it; what is none is passed over."""
        priority, _, rest = record.partition(b",")
        _, comma, rest = rest.partition(b",")
        if comma:
            self._append(priority[:4], rest.partition(b"\n")[0][:RECORD_MAX])

    def say(self, level: int, text: str) -> None:
        """Append a record that is not the guest's own; ``level`` is the syslog level."""
        now = (time.monotonic_ns() - self._booted) // 1000
        line = text.encode("utf-8", "surrogateescape").replace(b"\\", b"\\x5c")
        self._append(b"%d" % level, b"%d,-;" % now + line.replace(b"\n", b"\\x0a"))

    def open(self, *, at_end: bool) -> "GuestLogReader":
        """Return a reader that begins with what is left, or with what comes."""
        with self._lock:
            reader = GuestLogReader(self, self._count if at_end else 0)
            self._readers.add(reader)
            if self._count > reader.position:
                reader.bell.ring()
        return reader

    def after(self, reader: "GuestLogReader") -> list[bytes]:
        """Return what ``reader`` has not seen."""
        with self._lock:
            reader.bell.silence()
            fresh = min(self._count - reader.position, len(self._records))
            reader.position = self._count
            return [
                self._records[at] for at in range(len(self._records) - fresh, len(self._records))
            ]

    def forget(self, reader: "GuestLogReader") -> None:
        """Ring for ``reader`` no more."""
        with self._lock:
            self._readers.discard(reader)
            reader.bell.close()

    def _append(self, priority: bytes, rest: bytes) -> None:
        with self._lock:
            self._records.append(b"%s,%d,%s" % (priority, self._count, rest))
            self._count += 1
            for reader in self._readers:
                reader.bell.ring()


class GuestLogReader:
    """A place in the log of a guest; what it has is guarded by the log's lock."""

    def __init__(self, of: GuestLog, position: int) -> None:
        self._of = of
        self.position = position
        self.bell = _Bell()

    def fresh(self) -> list[bytes]:
        """Return the records that came since the last call."""
        return self._of.after(self)

    def fileno(self) -> int:
        """Return what can be read while there are some."""
        return self.bell.fileno()

    def close(self) -> None:
        """End the reading."""
        self._of.forget(self)


class GuestEvents:
    """The events of a guest for one who follows them, as an EventSource has it.

    ``_lock`` guards the events, of which EVENTS_KEPT are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[bytes] = deque()
        self._is_lossy = False
        self._bell = _Bell()

    def take_in(self, event: bytes) -> None:
        """Append an event, or lose it."""
        with self._lock:
            if len(self._events) < EVENTS_KEPT:
                self._events.append(event[:EVENT_MAX])
            else:
                self._is_lossy = True
            self._bell.ring()

    def lose(self) -> None:
        """Take in that events were lost."""
        with self._lock:
            self._is_lossy = True
            self._bell.ring()

    def fileno(self) -> int:
        """Return what can be read while there are events."""
        return self._bell.fileno()

    def recvfrom(self, size: int, /) -> tuple[bytes, object]:
        """Return the next event, which is the kernel's."""
        with self._lock:
            if self._is_lossy:
                self._is_lossy = False
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            if not self._events:
                self._bell.silence()
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return self._events.popleft()[:size], (0, 1)

    def close(self) -> None:
        """Take in no more."""
        with self._lock:
            self._bell.close()
