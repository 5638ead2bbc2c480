# SPDX-License-Identifier: Apache-2.0
"""A Unix socket that is safe to listen on: one owner, right mode from the first moment.

grpc takes over a bound path without a word, and unlinks on stopping whatever is there. So a lock
file beside the socket decides who owns it; the socket is bound under another name in a directory
that nobody else can enter, gets its mode there, and is then renamed into its place.
"""

import errno
import fcntl
import grp
import itertools
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kmodd.errors import Reason, RequestError, StateError
from kmodd.settings import SocketSettings

PATH_MAX = 107
"""Bytes of the longest path that a Unix socket can have (unix(7), the final NUL left out)."""


_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class SocketAccess:
    """Who may connect: permission bits, and a user and a group that are -1 for the daemon's own."""

    mode: int
    owner: int
    group: int


def access_of(settings: SocketSettings) -> SocketAccess:
    """Return who may connect by ``settings``; raises RequestError for a user or group of nobody."""
    return SocketAccess(
        settings.mode,
        _number(settings, "owner", lambda name: pwd.getpwnam(name).pw_uid),
        _number(settings, "group", lambda name: grp.getgrnam(name).gr_gid),
    )


class SocketPlace:
    """The place of a listening socket, owned from ``take`` to ``leave``; for one thread at a time.

    One socket after the other may be shown there.
    """

    def __init__(self, path: Path) -> None:
        """Raises RequestError where the path cannot be a socket's."""
        self.path = path
        self._lock = path.with_name(f"{path.name}.lock")
        self._staging = path.parent / ".b"
        self._lock_fd = -1
        self._shown: tuple[int, int] | None = None
        longest = max(len(os.fsencode(each)) for each in (path, self._staging / "ff"))
        if longest > PATH_MAX:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"{path}: a socket's path has at most {PATH_MAX} bytes, this one needs {longest}",
            )

    def take(self) -> Self:
        """Take the lock, again where its file has been removed.

        Raises StateError where it cannot be had: with LIMIT_REACHED and the owner's process where
        another daemon has it.
        """
        with _told(self.path):
            while not self._has_lock():
                _make_directories(self.path.parent)
                taken = self._locked()
                if self._lock_fd >= 0:
                    os.close(self._lock_fd)
                self._lock_fd = taken
        return self

    def stage(self) -> Path:
        """Return where a socket is to be bound; raises StateError.

        It is nobody else's name: grpc unlinks it when it stops, and by then the next one may be
        there.
        """
        with _told(self.path):
            self._staging.mkdir(mode=0o700, exist_ok=True)
            self._staging.chmod(0o700)
            staged = self._staging / f"{next(_numbers) % 256:02x}"
            staged.unlink(missing_ok=True)
        return staged

    def reveal(self, staged: Path, access: SocketAccess) -> None:
        """Give the bound socket its owner, mode and place; what is there is replaced.

        Raises StateError where the daemon may not give it to that owner or group.
        """
        self._give(staged, access.owner, access.group)
        with _told(self.path):
            staged.chmod(access.mode)
            shown = _identity(staged)
            staged.rename(self.path)
        self._shown = shown

    def change(self, old: SocketAccess, new: SocketAccess) -> None:
        """Have ``new`` in place of ``old`` as who may connect to the socket that is shown.

        Until that is done only those may who may by both. A socket that has been removed is left to
        who makes it again. Raises StateError where the daemon may not give it to that owner or
        group, and then it is as it was.
        """
        if not self.shows():
            return
        owner = os.geteuid() if new.owner == -1 != old.owner else new.owner
        group = os.getegid() if new.group == -1 != old.group else new.group
        with _told(self.path):
            self.path.chmod(old.mode & new.mode)
            try:
                self._give(self.path, owner, group)
            except StateError:
                self.path.chmod(old.mode)
                raise
            self.path.chmod(new.mode)

    def is_whole(self) -> bool:
        """Tell whether the lock's file and the socket that was shown last are still there."""
        return self._has_lock() and self.shows()

    def shows(self) -> bool:
        """Tell whether the socket that was shown last is still there."""
        return self._shown is not None and _identity(self.path) == self._shown

    def leave(self) -> None:
        """Remove the socket, if it is ours, then give up the lock.

        The lock's file stays: it is the lock's name.
        """
        if self.is_whole():
            self.path.unlink(missing_ok=True)
        with suppress(OSError):  # another socket may be about to be revealed from there
            self._staging.rmdir()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _give(self, file: Path, owner: int, group: int) -> None:
        """Give ``file`` to an owner and a group, -1 for those it has; raises StateError."""
        status = file.stat()
        if owner in (-1, status.st_uid) and group in (-1, status.st_gid):
            return  # a filter may let nobody call chown(2)
        try:
            os.chown(file, owner, group)
        except OSError as error:
            raise StateError(
                Reason.INTERNAL,
                f"{self.path}: cannot be given to its owner and group: {error.strerror}",
            ) from error

    def _locked(self) -> int:
        """Return a descriptor of the lock's file, locked; raises StateError, OSError."""
        lock_fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(lock_fd, 32, 0).decode("ascii", "replace").strip()
            os.close(lock_fd)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise StateError(
                Reason.LIMIT_REACHED, f"{self.path}: another kmodd (pid {owner}) listens there"
            ) from None
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
        return lock_fd

    def _has_lock(self) -> bool:
        """Tell whether the lock's file is the one that is locked here.

        While that is open no other file has its number.
        """
        if self._lock_fd < 0:
            return False
        mine = os.fstat(self._lock_fd)
        return _identity(self._lock) == (mine.st_dev, mine.st_ino)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and number of the file at ``path``, None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise a StateError that names the socket at ``path`` for an OSError within the context."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise StateError(
            Reason.INTERNAL, f"{path}: cannot listen there: {where}{error.strerror}"
        ) from error


def _make_directories(path: Path) -> None:
    """Make a directory and those above it, for everybody to enter whatever umask(2) says."""
    for each in (*reversed(path.parents), path):
        if not each.exists():
            each.mkdir(mode=0o755, exist_ok=True)
            each.chmod(0o755)


def _number(settings: SocketSettings, what: str, look_up: Callable[[str], int]) -> int:
    """Return the number of the socket's owner or group, -1 to leave it as it is (chown(2))."""
    name: str | int | None = getattr(settings, what)
    if name is None or isinstance(name, int):
        return -1 if name is None else name
    try:
        return look_up(name)
    except KeyError:
        raise RequestError(
            Reason.INVALID_REQUEST, f"{settings.path}: the {what} {name!r} is not known here"
        ) from None
