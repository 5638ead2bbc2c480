# SPDX-License-Identifier: Apache-2.0
"""Whether files that this process cannot write could be written by one that begins now.

A service manager gives a process its own copy of the system's mounts. When / is made writable
later, its file system is, for all who have it mounted, but not the mounts of the copy: that a mount
is read-only is each copy's own affair, which mount propagation leaves out (mount_namespaces(7)).
Such a process is shut out for as long as it lives.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from kmodd.records import record


@record
class Mount:
    """Whether a mount can be written, and whether its file system can."""

    is_read_only: bool
    file_system_is_read_only: bool


class Outlook:
    """What there was to be written when the process began; for one thread."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """``paths`` are what the process would write, or write something below."""
        self._closed = tuple(path for path in paths if _is_closed(path))

    def shut_out_of(self) -> Path | None:
        """Return a path whose file system has become writable, but not for this process.

        A mount that is read-only on a file system that has always been writable is meant so.
        """
        mounts = ((path, mount_of(path)) for path in self._closed)
        return next((path for path, mount in mounts if mount and _is_shut(mount)), None)


def mount_of(path: Path) -> Mount | None:
    """Return the mount that ``path`` is on, or would be; None where that cannot be known."""
    try:
        number = _mount_number(path)
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for words in map(str.split, lines):
        if words[0] == number:
            # The mount's own options are the sixth word, the file system's the last (proc(5)).
            return Mount("ro" in words[5].split(","), "ro" in words[-1].split(","))
    return None


def _is_closed(path: Path) -> bool:
    mount = mount_of(path)
    return mount is not None and mount.file_system_is_read_only


def _is_shut(mount: Mount) -> bool:
    return mount.is_read_only and not mount.file_system_is_read_only


def _mount_number(path: Path) -> str:
    """Return the id of the mount of the path, or of the nearest directory above it that exists."""
    present = next(each for each in (path, *path.parents) if each.exists())
    fd = os.open(present, os.O_PATH | os.O_CLOEXEC)
    try:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    finally:
        os.close(fd)
    return next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
