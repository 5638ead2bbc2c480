# SPDX-License-Identifier: Apache-2.0
"""The lock that decides which daemon listens on a socket.

Its file lies in a directory that only this user can enter: beside the socket, whoever may write
there, as a container may, could take it away or lock it himself. It is found by the directory that
the socket is in and the socket's name, so it is one for all paths that lead there.
"""

import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path

from kmodd.errors import Reason, StateError
from kmodd.host.directories import open_directory
from kmodd.settings import SYSTEM_RUNTIME


class SocketLock:
    """The lock of one socket, from ``take`` to ``release``; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """``path`` is the socket's."""
        self._path = path
        self._file: Path | None = None
        self._fd = -1

    def take(self, directory: int) -> None:
        """Have the lock for the socket in the directory open at ``directory`` and for no other.

        Raises OSError, and StateError (LIMIT_REACHED) where another daemon has it.
        """
        places = lock_directory()
        file = places / _name(directory, self._path.name)
        if file == self._file and self.is_held():
            return
        while True:
            taken = self._locked(file)
            if _is_at(file, taken):
                break
            os.close(taken)  # the one who had it has just taken its file away
        self.release()
        self._file, self._fd = file, taken

    def is_held(self) -> bool:
        """Tell whether the lock is held, and its file is where others look for it."""
        return self._file is not None and _is_at(self._file, self._fd)

    def release(self) -> None:
        """Give the lock up, if it is held."""
        if self._file is None:
            return
        if self.is_held():
            self._file.unlink(missing_ok=True)
        os.close(self._fd)
        self._file, self._fd = None, -1

    def _locked(self, file: Path) -> int:
        """Return a descriptor of the lock's file, locked; raises StateError, OSError."""
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(fd, 32, 0).partition(b"\n")[0].decode("ascii", "replace")
            os.close(fd)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise StateError(
                Reason.LIMIT_REACHED, f"{self._path}: another kmodd (pid {owner}) listens there"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n%s\n" % (os.getpid(), os.fsencode(self._path)), 0)
        return fd


def lock_directory() -> Path:
    """Return where all daemons of this user have their locks, which is made; raises OSError.

    That is a directory of the machine's for root, the user's run-time directory whatever the
    environment says, or, where there is none or it cannot be written, one in /tmp.
    """
    user = os.geteuid()
    own = Path(f"/run/user/{user}")
    first = SYSTEM_RUNTIME / "locks" if user == 0 else own / "kmodd-locks"
    if user == 0 or own.is_dir():
        try:
            return _private(first)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
    return _private(Path(f"/tmp/kmodd-{user}"))


def lock_file(path: Path) -> Path:
    """Return the file of the lock of the socket at ``path``, whose directory there is."""
    directory = open_directory(path.parent)
    try:
        return lock_directory() / _name(directory, path.name)
    finally:
        os.close(directory)


def _private(path: Path) -> Path:
    """Return ``path``, a directory that only this user writes; raises OSError."""
    fd = open_directory(path, 0o700)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(errno.EPERM, "it may be written by others", str(path))
        if not os.access(path, os.W_OK, effective_ids=True):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    finally:
        os.close(fd)
    return path


def _name(directory: int, name: str) -> str:
    status = os.fstat(directory)
    words = f"{status.st_dev} {status.st_ino} ".encode() + os.fsencode(name)
    return f"{hashlib.sha256(words).hexdigest()[:32]}.lock"


def _is_at(file: Path, fd: int) -> bool:
    """Tell whether ``file`` is what is open at ``fd``: while it is open none has its number."""
    mine = os.fstat(fd)
    try:
        status = file.lstat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (mine.st_dev, mine.st_ino)
