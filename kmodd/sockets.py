# SPDX-License-Identifier: Apache-2.0
"""A Unix socket that is safe to listen on: one owner, right mode from the first moment.

grpc takes over a bound path without a word, and unlinks on stopping whatever is there. So a lock
file beside the socket decides who owns it; the socket is bound under another name in a directory
that nobody else can enter, gets its mode there, and is then renamed into its place.
"""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from kmodd.errors import Reason, RequestError, StateError

PATH_MAX = 107
"""Bytes of the longest path that a Unix socket can have (unix(7), the final NUL left out)."""


class SocketPlace:
    """The place of one listening socket, owned from ``__enter__`` to ``__exit__``."""

    def __init__(self, path: Path, mode: int) -> None:
        """Raises RequestError where ``path`` cannot be a socket's."""
        self.path = path
        self._mode = mode
        self._staging = path.parent / ".b"
        self._lock_fd = -1
        longest = max(len(os.fsencode(each)) for each in (path, self.staged))
        if longest > PATH_MAX:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"{path}: a socket's path has at most {PATH_MAX} bytes, this one needs {longest}",
            )

    @property
    def staged(self) -> Path:
        """Where the socket is bound before ``reveal``."""
        return self._staging / "s"

    def __enter__(self) -> Self:
        """Take the lock; raises StateError naming the owner's process where it is taken."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
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
        """Give the bound socket its mode and its place; a stale one there is replaced."""
        self.staged.chmod(self._mode)
        self.staged.rename(self.path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the socket, then give up the lock. The lock file stays: it is the lock's name."""
        self.path.unlink(missing_ok=True)
        self.staged.unlink(missing_ok=True)
        self._staging.rmdir()
        os.close(self._lock_fd)
