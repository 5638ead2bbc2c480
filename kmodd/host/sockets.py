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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from kmodd.errors import Reason, RequestError, StateError
from kmodd.settings import SocketSettings

PATH_MAX = 107
"""Bytes of the longest path that a Unix socket can have (unix(7), the final NUL left out)."""


_numbers = itertools.count()


class SocketPlace:
    """The place of one listening socket, owned from ``take`` to ``leave`` or ``pass_on``."""

    def __init__(self, settings: SocketSettings) -> None:
        """Raises RequestError where the path cannot be a socket's, or its owner is nobody."""
        path = settings.path
        self.path = path
        self._mode = settings.mode
        self._owner = _number(settings, "owner", lambda name: pwd.getpwnam(name).pw_uid)
        self._group = _number(settings, "group", lambda name: grp.getgrnam(name).gr_gid)
        self._staging = path.parent / ".b"
        self.staged = self._staging / f"{next(_numbers) % 256:02x}"
        """Where the socket is bound before ``reveal``: nobody else's name, since grpc unlinks it
        when it stops, and by then the next one may be there."""
        self._lock_fd = -1
        longest = max(len(os.fsencode(each)) for each in (path, self.staged))
        if longest > PATH_MAX:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"{path}: a socket's path has at most {PATH_MAX} bytes, this one needs {longest}",
            )

    def take(self) -> Self:
        """Take the lock; raises StateError naming the owner's process where it is taken."""
        _make_directories(self.path.parent)
        lock = self.path.with_name(f"{self.path.name}.lock")
        self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._lock_fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._lock_fd)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise StateError(
                Reason.LIMIT_REACHED, f"{self.path}: another kmodd (pid {owner}) listens there"
            ) from None
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()}\n".encode(), 0)
        self._staging.mkdir(mode=0o700, exist_ok=True)
        self._staging.chmod(0o700)
        self.staged.unlink(missing_ok=True)
        return self

    def reveal(self) -> None:
        """Give the bound socket its owner, mode and place; a stale one there is replaced.

        Raises StateError where the daemon may not give it to that owner or group.
        """
        if (self._owner, self._group) != (-1, -1):  # a filter may let nobody call chown(2)
            try:
                os.chown(self.staged, self._owner, self._group)
            except OSError as error:
                raise StateError(
                    Reason.INTERNAL,
                    f"{self.path}: cannot be given to its owner and group: {error.strerror}",
                ) from error
        self.staged.chmod(self._mode)
        self.staged.rename(self.path)

    def pass_on(self, settings: SocketSettings) -> "SocketPlace":
        """Return the place of another socket at the same path, which is owned in turn.

        Until that is revealed this one's socket stays there. Raises RequestError, and then nothing
        has been passed on.
        """
        heir = SocketPlace(settings)
        heir._lock_fd, self._lock_fd = self._lock_fd, -1
        return heir

    def leave(self) -> None:
        """Remove the socket, then give up the lock. The lock file stays: it is the lock's name."""
        self.path.unlink(missing_ok=True)
        self.staged.unlink(missing_ok=True)
        with suppress(OSError):  # another socket may be about to be revealed from there
            self._staging.rmdir()
        os.close(self._lock_fd)


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
