# SPDX-License-Identifier: Apache-2.0
"""The queue in which the kernel tells what happens in directories (inotify(7)), by watchdog."""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from termios import FIONREAD

from watchdog.observers.inotify_c import Inotify, InotifyConstants, InotifyEvent, inotify_rm_watch

from kmodd.records import record

IN_MODIFY = InotifyConstants.IN_MODIFY
IN_CLOSE_WRITE = InotifyConstants.IN_CLOSE_WRITE
IN_MOVED_FROM = InotifyConstants.IN_MOVED_FROM
IN_MOVED_TO = InotifyConstants.IN_MOVED_TO
IN_CREATE = InotifyConstants.IN_CREATE
IN_DELETE = InotifyConstants.IN_DELETE
IN_DELETE_SELF = InotifyConstants.IN_DELETE_SELF
IN_Q_OVERFLOW = InotifyConstants.IN_Q_OVERFLOW
IN_IGNORED = InotifyConstants.IN_IGNORED
IN_ISDIR = InotifyConstants.IN_ISDIR

CHANGES = (
    IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
"""What can mean a change; opening and reading, which we do ourselves, do not."""

_EVENT_SIZE = 16
"""Bytes of a struct inotify_event without its name, which is padded to a multiple of as many."""

_libc = ctypes.CDLL(None)
_quick_libc = ctypes.PyDLL(None)
"""For what is done in a microsecond: the interpreter's lock is kept, which others wait to take."""

_LOCAL_TYPES = frozenset(
    {
        *(0xEF53, 0x5846_5342, 0x9123_683E, 0xCA45_1A4E),  # ext2 to ext4, XFS, Btrfs, bcachefs
        *(0xF2F5_2010, 0x2FC1_2FC1, 0x3153_464A, 0x5265_4973),  # F2FS, ZFS, JFS, ReiserFS
        *(0x0102_1994, 0x8584_58F6, 0x794C_7630),  # tmpfs, ramfs, overlayfs
        *(0x7371_7368, 0xE0F5_E1E2, 0x28CD_3D45, 0x7275),  # squashfs, EROFS, cramfs, romfs
        *(0x3434, 0x72B6, 0x2405_1905),  # NILFS2, JFFS2, UBIFS
        *(0x9660, 0x1501_3346, 0x4D44, 0x2011_BAB0),  # ISO 9660, UDF, FAT, exFAT
    }
)
"""File systems that none but this machine's kernel changes, by f_type (statfs(2), linux/magic.h).

What is not among them may have others who write to it, of whom inotify does not tell: NFS, SMB,
9P, FUSE and such as nobody knows yet.
"""


@record
class DirectoryEvent:
    """What happened: to the entry ``name`` of the directory that ``watch`` is for, or to itself.

    One of IN_Q_OVERFLOW has the watch -1, and says that there were events which nobody has.
    """

    watch: int
    mask: int
    name: str


LOST = DirectoryEvent(-1, IN_Q_OVERFLOW, "")


class ChangeQueue(Inotify):
    """A queue of events, for one thread at a time.

    watchdog's threads above it are left out: they deliver late, and with them nobody knows whether
    all was told. What it hides is told here: a directory that may not be watched, and a queue that
    overflowed. Its tables of paths are its own; what is told goes by the numbers of watches.
    """

    def __init__(self, directory: str) -> None:
        """Begin with one directory. Raises OSError as ``add`` does, and EMFILE past the user's
        limit of queues or descriptors.
        """
        try:
            super().__init__(os.fsencode(directory), event_mask=CHANGES)
        except OSError:
            if hasattr(self, "_kill_w"):
                self._close_resources()
            raise
        os.set_inheritable(self.fd, False)

    def add(self, directory: str) -> int:
        """Have all CHANGES in a directory told, and return the number of that watch.

        It is the same number for the same directory. Raises OSError: ENOSPC past the user's limit
        of watches, ENOENT, ENOTDIR, EACCES.
        """
        path = os.fsencode(directory)
        self.add_watch(path)
        watch = self._wd_for_path[path]
        if watch < 0:  # so it takes EACCES
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), directory)
        return watch

    def remove(self, watch: int) -> None:
        """Have no more told by ``watch``, which may have ended by itself.

        Unlike ``remove_watch``, that leaves the path of what was told before and is read later.
        """
        inotify_rm_watch(self.fd, watch)

    def events(self) -> Iterator[DirectoryEvent]:
        """Yield what has been told until now, without waiting."""
        while ready := self._bytes_ready():
            try:
                events = self.read_events(event_buffer_size=ready)
            except KeyError:  # a path that it had under two numbers
                yield LOST
                continue
            self.clear_move_records()
            if sum(map(_size, events)) < ready:
                yield LOST
            for event in events:
                yield DirectoryEvent(event.wd, event.mask, os.fsdecode(event.name))

    def close(self) -> None:
        """End the queue with all its watches."""
        self._close_resources()

    def _bytes_ready(self) -> int:
        ready = ctypes.c_int()
        _quick_libc.ioctl(self.fd, ctypes.c_ulong(FIONREAD), ctypes.byref(ready))
        return ready.value


def tells_all(directory: str) -> bool:
    """Tell whether a directory's file system is one of which inotify tells every change.

    False where that cannot be known.
    """
    status = ctypes.create_string_buffer(512)
    if _libc.statfs(os.fsencode(directory), status) != 0:
        return False
    kind = _FILE_SYSTEM_TYPE.unpack_from(status)[0]
    return kind & 0xFFFF_FFFF in _LOCAL_TYPES


_FILE_SYSTEM_TYPE = struct.Struct("I" if platform.machine() == "s390x" else "L")
"""f_type, the first field of struct statfs: a word but on s390x."""


def _size(event: InotifyEvent) -> int:
    """Return the bytes that an event was: what the kernel had, and watchdog does not tell of, is
    an overflow.
    """
    length = len(event.name)
    return _EVENT_SIZE * (2 + length // _EVENT_SIZE) if length else _EVENT_SIZE
