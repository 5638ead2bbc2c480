# SPDX-License-Identifier: Apache-2.0
"""Who opens a file, as the kernel tells of it (inotify(7), IN_OPEN).

watchdog would tell of it half a second later, and by two threads of its own.
"""

import ctypes
import os
import struct

IN_OPEN = 0x20
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
"""Flags of inotify_init1(2) and of a watch (sys/inotify.h)."""

ROOM = 64 << 10
"""Bytes of events that are taken at a time, more than the kernel keeps of small ones."""

_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Openings:
    """The files whose openings are told of; ``fd`` can be read when one was opened.

    For several threads, as inotify is; each file is known by its number.
    """

    def __init__(self) -> None:
        """Raises OSError."""
        self.fd = _checked(_libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC))

    def watch(self, path: str) -> int:
        """Tell from now on when the file at ``path`` is opened; returns its number."""
        return _checked(_libc.inotify_add_watch(self.fd, os.fsencode(path), IN_OPEN))

    def forget(self, number: int) -> None:
        """Tell no more of a file; one that has gone is forgotten already."""
        _libc.inotify_rm_watch(self.fd, number)

    def take(self) -> set[int]:
        """Return the numbers of the files that were opened since the last time."""
        found: set[int] = set()
        while True:
            try:
                events = os.read(self.fd, ROOM)
            except BlockingIOError:
                return found
            at = 0
            while at < len(events):
                number, mask, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                if mask & IN_OPEN:
                    found.add(number)

    def close(self) -> None:
        """Tell of nothing any more."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
