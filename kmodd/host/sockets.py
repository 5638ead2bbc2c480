# SPDX-License-Identifier: Apache-2.0
"""A Unix socket that is safe to listen on: one owner, right mode from the first moment.

A lock decides who owns the socket; it is bound under another name in a directory that nobody else
can enter, gets its mode there, and is then shown in its place.

Others may write the socket's own directory, as a container does that has it: nothing that lies
there is followed, changed or believed, and all that is done there is done by descriptors.
"""

import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from kmodd.errors import Reason, RequestError, StateError
from kmodd.host.directories import by_descriptor, open_directory
from kmodd.host.socket_lock import SocketLock
from kmodd.host.staging import Staging
from kmodd.records import record
from kmodd.settings import SocketSettings

PATH_MAX = 107
"""Bytes of the longest path that a Unix socket can have (unix(7), the final NUL left out)."""

_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFREG: "a file"}


@record
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
        self._lock = SocketLock(path)
        self._directory = -1
        self._staging: Staging | None = None
        self._shown: tuple[int, int] | None = None
        self._is_lent = False
        length = len(os.fsencode(path))
        if length > PATH_MAX:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"{path}: a socket's path has at most {PATH_MAX} bytes, this one has {length}",
            )

    def take(self) -> Self:
        """Take the socket's directory, made if need be, and the lock; again where one has gone.

        Raises StateError where they cannot be had: with LIMIT_REACHED and the owner's process
        where another daemon has the lock.
        """
        with _told(self.path):
            directory = open_directory(self.path.parent)
            try:
                self._lock.take(directory)
            except (OSError, StateError):
                os.close(directory)
                raise
        self._let_go()
        self._directory = directory
        return self

    def stage(self) -> Path:
        """Return where a socket is to be bound; raises StateError, as ``reveal`` does."""
        self._unstage()
        with _told(self.path):
            self._is_free_to_replace()
            self._staging = Staging(self._directory)
        return self._staging.path

    def reveal(self, access: SocketAccess) -> None:
        """Give the socket that was bound its owner, mode and place.

        What is there is replaced if it is a socket of ours or that nobody listens on. Raises
        StateError where it is anything else, and where the daemon may not give the socket to that
        owner or group.
        """
        staging = self._staging
        if staging is None:
            raise StateError(Reason.INTERNAL, f"{self.path}: nothing was bound")
        try:
            with _told(self.path), _opened(staging.name, staging.fd) as node:
                if not stat.S_ISSOCK(os.fstat(node).st_mode):
                    raise StateError(Reason.INTERNAL, f"{self.path}: somebody took the socket away")
                self._give(node, access.owner, access.group)
                os.chmod(by_descriptor(node), access.mode)
                self._put(staging)
                self._shown, self._is_lent = _identity(os.fstat(node)), False
        finally:
            self._unstage()

    def adopt(self, listening: socket.socket) -> bool:
        """Take a socket for the one that is shown which the service manager has made and lent us.

        It stays when we leave. False where it has been removed from its path: there is nothing, or
        no socket that somebody listens on. Raises StateError where it never was at this path.
        """
        with _told(self.path):
            if listening.getsockname() != str(self.path):
                raise StateError(
                    Reason.INTERNAL,
                    f"{self.path}: the socket that was handed over is {listening.getsockname()!r}",
                )
            try:
                with _opened(self.path.name, self._directory) as node:
                    status = os.fstat(node)
                    if not (stat.S_ISSOCK(status.st_mode) and _listener(node)):
                        return False
                    self._shown, self._is_lent = _identity(status), True
            except FileNotFoundError:
                return False
        return True

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
        with _told(self.path), _opened(self.path.name, self._directory) as node:
            if _identity(os.fstat(node)) != self._shown:
                return
            os.chmod(by_descriptor(node), old.mode & new.mode)
            try:
                self._give(node, owner, group)
            except StateError:
                os.chmod(by_descriptor(node), old.mode)
                raise
            os.chmod(by_descriptor(node), new.mode)

    def is_whole(self) -> bool:
        """Tell whether the lock's file and the socket that was shown last are still there."""
        return self._lock.is_held() and self.shows()

    def shows(self) -> bool:
        """Tell whether the socket that was shown last is still there."""
        try:
            there = _identity(self.path.parent.stat()) == _identity(os.fstat(self._directory))
        except OSError:
            return False
        return there and self._has_shown()

    def leave(self) -> None:
        """Remove the socket, if it is ours, then give up the lock."""
        self._unstage()
        if self._directory >= 0 and self._has_shown() and not self._is_lent:
            with suppress(OSError):  # what is there by now is somebody else's
                os.unlink(self.path.name, dir_fd=self._directory)
        self._let_go()
        self._lock.release()

    def _has_shown(self) -> bool:
        """Tell whether the directory that was taken has the socket that was shown last."""
        try:
            status = os.stat(self.path.name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return False
        return _identity(status) == self._shown

    def _put(self, staging: Staging) -> None:
        """Have the socket that was staged in its place; raises OSError, StateError.

        Where there is nothing it stays so for everybody else: a link replaces nothing. A socket
        whose place may be taken is replaced in one step.
        """
        move = os.rename if self._is_free_to_replace() else os.link
        try:
            move(
                staging.name,
                self.path.name,
                src_dir_fd=staging.fd,
                dst_dir_fd=self._directory,
            )
        except FileExistsError:
            self._is_free_to_replace()
            raise

    def _is_free_to_replace(self) -> bool:
        """Tell whether there is a socket that was shown here, or that nobody listens on.

        Raises StateError for anything else that is there.
        """
        try:
            with _opened(self.path.name, self._directory) as node:
                status = os.fstat(node)
                if _identity(status) == self._shown:
                    return True
                found = _KINDS.get(stat.S_IFMT(status.st_mode), "something")
                if stat.S_ISSOCK(status.st_mode):
                    found = _listener(node)
        except FileNotFoundError:
            return False
        if found:
            raise StateError(
                Reason.INTERNAL, f"{self.path}: cannot listen there: there is {found} of others"
            )
        return True

    def _give(self, node: int, owner: int, group: int) -> None:
        """Give the socket to an owner and a group, -1 for those it has; raises StateError."""
        status = os.fstat(node)
        if owner in (-1, status.st_uid) and group in (-1, status.st_gid):
            return  # a filter may let nobody call chown(2)
        try:
            os.chown(by_descriptor(node), owner, group)
        except OSError as error:
            raise StateError(
                Reason.INTERNAL,
                f"{self.path}: cannot be given to its owner and group: {error.strerror}",
            ) from error

    def _unstage(self) -> None:
        if self._staging is not None:
            self._staging.remove()
            self._staging = None

    def _let_go(self) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1


def _listener(node: int) -> str:
    """Return who listens on the socket that is open at ``node``, "" for nobody."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(by_descriptor(node))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except ConnectionRefusedError:
            return ""
        except OSError:  # full, of another type, or not for us
            return "a socket"
    return f"a socket (process {struct.unpack('3i', credentials)[0]})"


@contextmanager
def _opened(name: str, directory: int) -> Iterator[int]:
    """Yield an O_PATH descriptor of what is at ``name``, be it a link itself; raises OSError."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Return the device and number of a file."""
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
