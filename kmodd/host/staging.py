# SPDX-License-Identifier: Apache-2.0
"""Where a socket is bound before it is shown: a directory that nobody else can enter."""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from kmodd.host.directories import by_descriptor, is_private, mount_of


class Staging:
    """A directory for one socket, which is to be moved into the one open at ``directory``.

    It lies above that one: whoever may write there could put another directory in its place
    anyway. Only where that is another mount, out of which nothing can be moved, or cannot be
    written, is it made in the socket's own directory, and only if nobody else may write that.
    """

    def __init__(self, directory: int) -> None:
        """Raises OSError."""
        self.name = secrets.token_hex(4)
        """What the socket is to be called."""
        self._base, self._own_name = _made(directory)
        try:
            self.fd = os.open(
                self._own_name,
                os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                dir_fd=self._base,
            )
        except OSError:
            os.close(self._base)
            raise
        status = os.fstat(self.fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            self.remove()
            raise PermissionError(errno.EPERM, "somebody else made the directory to bind it in")
        os.chmod(by_descriptor(self.fd), 0o700)  # whatever umask(2) took

    @property
    def path(self) -> Path:
        """Where the socket is to be bound, by descriptor: short, and wherever it is moved to."""
        return Path(by_descriptor(self.fd), self.name)

    def remove(self) -> None:
        """Remove it with what was bound there."""
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self.fd)
        with suppress(OSError):
            os.rmdir(self._own_name, dir_fd=self._base)
        os.close(self.fd)
        os.close(self._base)


def _made(directory: int) -> tuple[int, str]:
    """Return the directory in which a private one has been made, and its name there."""
    name = f".kmodd-{secrets.token_hex(8)}"
    above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        if mount_of(above) == mount_of(directory):
            os.mkdir(name, mode=0o700, dir_fd=above)
            return above, name
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            os.close(above)
            raise
    os.close(above)
    if not is_private(directory):
        why = "others may write there, and it cannot be bound in the directory above"
        raise PermissionError(errno.EPERM, why)
    own = os.dup(directory)
    try:
        os.mkdir(name, mode=0o700, dir_fd=own)
    except OSError:
        os.close(own)
        raise
    return own, name
