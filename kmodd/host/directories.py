# SPDX-License-Identifier: Apache-2.0
"""Directories that are reached step by step, so that nobody can put another in their place.

A descriptor stands for the directory from then on, whatever becomes of its name. Those who may
write a directory on the way can have us end in another of theirs, but not in one of ours: a link
counts only where nobody but root and this user could have made or replaced it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_LINKS = 40
"""Symbolic links on one path, as many as the kernel follows."""

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def open_directory(path: Path, mode: int = 0o755) -> int:
    """Return an O_PATH descriptor of the directory at ``path``, which is made where it is not.

    What is made has 0755, the last ``mode``, whatever umask(2) says. Raises OSError, which names
    what is in the way: ELOOP for a link that others could have made.
    """
    at, fd = Path("/"), os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    pending = list(reversed(path.absolute().parts[1:]))
    links = 0
    try:
        while pending:
            part = pending.pop()
            place = at.parent if part == ".." else at / part
            with _named(place):
                found = _entered(fd, part, 0o755 if pending else mode)
                try:
                    target = _target(fd, found, place)
                except OSError:
                    os.close(found)
                    raise
            links += target is not None
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            if target is None:
                os.close(fd)
                at, fd = place, found
                continue
            os.close(found)
            pending += [each for each in reversed(target.parts) if each != "/"]
            if target.is_absolute():
                os.close(fd)
                at, fd = Path("/"), os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(at))
    except OSError:
        os.close(fd)
        raise
    return fd


def by_descriptor(fd: int) -> str:
    """Return a path that leads to what is open at ``fd``, even to a link itself (proc(5))."""
    return f"/proc/self/fd/{fd}"


def is_private(fd: int) -> bool:
    """Tell whether the entries of the directory at ``fd`` are safe from all but root and us.

    In a sticky directory others may make some, but not touch ours.
    """
    return _is_safe(os.fstat(fd))


def mount_of(fd: int) -> str:
    """Return the number of the mount that the file at ``fd`` was reached by (proc(5)).

    A file is neither linked nor renamed from one mount to another, be they of one filesystem.
    """
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        return next((line for line in lines if line.startswith("mnt_id:")), "")


def _entered(directory: int, part: str, mode: int) -> int:
    """Return a descriptor of an entry, a directory that is made now where there is none."""
    try:
        return os.open(part, _LOOK, dir_fd=directory)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(part, mode=mode, dir_fd=directory)
    except FileExistsError:
        return os.open(part, _LOOK, dir_fd=directory)
    made = os.open(part, _LOOK, dir_fd=directory)
    status = os.fstat(made)
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        os.chmod(by_descriptor(made), mode)
    return made


def _target(directory: int, entry: int, place: Path) -> Path | None:
    """Return where an entry of a directory leads that is a link, None where it is none."""
    status = os.fstat(entry)
    if not stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid not in (0, os.geteuid()) or not _is_safe(os.fstat(directory)):
        raise OSError(errno.ELOOP, "a link that others may replace is not followed", str(place))
    return Path(os.readlink("", dir_fd=entry))


def _is_safe(directory: os.stat_result) -> bool:
    if directory.st_uid not in (0, os.geteuid()):
        return False
    return not directory.st_mode & _WRITABLE or bool(directory.st_mode & stat.S_ISVTX)


@contextmanager
def _named(place: Path) -> Iterator[None]:
    """Have an OSError within the context name the whole path."""
    try:
        yield
    except OSError as error:
        error.filename = str(place)
        raise
