# SPDX-License-Identifier: Apache-2.0
"""Whose word goes on a real kernel: files that root owns and nobody else may write.

What a module tree or a modprobe.d file says is carried out with the rights of the kernel, so a
path counts only where every directory on the way to it, every symbolic link that it goes through,
and the file itself are root's. Who is not root cannot make such a path out of another, so a check
after the reading holds for what was read.

In a sticky directory others may make entries, but neither rename nor remove root's: it is good on
the way to one that is there (/nix/store), and not good to be listed.
"""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kmodd.errors import Reason, TreeError

MAX_LINKS = 40
"""Symbolic links on one path, as many as the kernel follows."""


def first_untrusted(path: Path, root: Path = Path("/")) -> str:
    """Name the first thing on the way to ``path``, itself included, that is not to be trusted.

    Gives a sentence that begins with the path, "" where there is none. What does not exist harms
    nobody where no one else can make it. Links below ``root`` stay there, as after chroot(2);
    ``root`` itself and the way to it must be trusted too.
    """
    top, root = Path("/"), root.absolute()
    complaint = _complaint(top) if root == top else first_untrusted(root)
    pending = list(reversed(path.absolute().relative_to(root).parts))
    place = root
    links = 0
    while pending and not complaint:
        part = pending.pop()
        if part == "..":
            place = place if place == root else place.parent
            continue
        place = place / part
        complaint = _complaint_on_the_way(place)
        if not complaint and place.is_symlink():
            links += 1
            if links > MAX_LINKS:
                return f"{path}: {os.strerror(errno.ELOOP)}"
            target = place.readlink()
            place = root if target.is_absolute() else place.parent
            pending += [each for each in reversed(target.parts) if each != "/"]
    return complaint or _complaint(place)


def objection(fd: int, path: str | Path, root: Path = Path("/")) -> str:
    """Tell why what is open at ``fd``, reached by ``path`` below ``root``, is not to be trusted.

    Gives a sentence as ``first_untrusted`` does. The way to it is looked at as well, so nobody
    else could have put it there.
    """
    place = Path(path)
    return first_untrusted(place, root) or _judge(os.fstat(fd), place)


def check_tree(directory: Path) -> None:
    """Raise TreeError (EPERM) where the module tree's ``directory`` is not trusted."""
    _refuse(first_untrusted(directory))


def check_files(files: Iterable[Path]) -> None:
    """Raise TreeError where one of ``files`` is not trusted; the way to a directory is walked once.

    They may be a thousand.
    """
    ways: dict[Path, str] = {}
    for file in files:
        directory = file.parent
        if directory not in ways:
            ways[directory] = first_untrusted(directory)
        _refuse(ways[directory] or (first_untrusted(file) if file.is_symlink() else ""))
        _refuse(_complaint(file))


def check_open_file(fd: int, path: Path) -> None:
    """Raise TreeError where the file open at ``fd``, reached by ``path``, is not trusted."""
    _refuse(objection(fd, path))


def _refuse(complaint: str) -> None:
    if complaint:
        raise TreeError(Reason.TREE_UNREADABLE, f"refused: {complaint}", errno=errno.EPERM)


def _complaint(path: Path) -> str:
    try:
        return _judge(path.lstat(), path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}"


def _complaint_on_the_way(entry: Path) -> str:
    """Tell what speaks against what lies behind ``entry``, whose directory was looked at before."""
    try:
        status = entry.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _complaint(entry.parent)
    except OSError as error:
        return f"{entry}: {error.strerror}"
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    return "" if sticky and status.st_uid == 0 else _judge(status, entry)


def _judge(status: os.stat_result, path: Path) -> str:
    if status.st_uid != 0:
        return f"{path} belongs to user {status.st_uid}, not to root"
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and not stat.S_ISLNK(status.st_mode):
        return f"{path} may be written by others than root (mode {status.st_mode & 0o7777:04o})"
    return ""
