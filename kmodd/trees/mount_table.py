# SPDX-License-Identifier: Apache-2.0
"""Whether a mount has come or gone, of which inotify knows nothing."""

import ctypes
import os
import select
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""poll(2) tells each who has it open once of a change of the mounts (proc_pid_mountinfo(5))."""

_quick_libc = ctypes.PyDLL(None)
"""A look takes a microsecond: the interpreter's lock is kept, which others wait to take."""


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class MountTable:
    """The mounts that this process sees, for one thread at a time.

    ``fd`` is for a poll that waits (POLLPRI), in place of ``has_changed``: -1 where /proc is not
    there, and no change is told of.
    """

    def __init__(self) -> None:
        try:
            self.fd = os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.fd = -1

    def has_changed(self) -> bool:
        """Tell whether there was a change since the last time."""
        asked = _PollFd(self.fd, select.POLLPRI, 0)
        _quick_libc.poll(ctypes.byref(asked), ctypes.c_ulong(1), 0)
        return bool(asked.revents & select.POLLPRI)

    def close(self) -> None:
        """Give up the table."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
