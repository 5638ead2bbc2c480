# SPDX-License-Identifier: Apache-2.0
"""What is in a directory of the emulated kernel's file systems: names alone, never a real file."""

import errno
import posixpath
from collections.abc import Iterable
from itertools import chain

from kmodd.errors import Reason
from kmodd.kernel.base import KernelFile
from kmodd.kernel.emulated.reporting.refusal import Refusal

FILES_MAX = 16384
"""Names of one directory that an answer has at most."""

PATH_MAX = 4096
"""Characters of the longest path."""

_ROOTS = tuple(
    KernelFile(path, is_directory=True)
    for path in ("/dev", "/proc", "/sys/bus", "/sys/class", "/sys/kernel/debug", "/sys/module")
)


def look_up(files: Iterable[KernelFile], path: str) -> tuple[KernelFile, ...]:
    """Return what is in the directory ``path`` by name, or the file itself.

    The directories that a path of ``files`` goes through are there. Raises Refusal
    (FILE_NOT_FOUND).
    """
    wanted = "/" + posixpath.normpath(path).strip("/") if path.startswith("/") else ""
    if not wanted or len(path) > PATH_MAX:
        raise _missing(path)
    inside = wanted.rstrip("/") + "/"
    found: dict[str, KernelFile] = {}
    itself: KernelFile | None = None
    for file in chain(_ROOTS, files):
        if file.path == wanted:
            itself = file
        elif file.path.startswith(inside):
            name, slash, _ = file.path[len(inside) :].partition("/")
            child = inside + name
            if not slash:
                found[child] = file
            elif child not in found:
                found[child] = KernelFile(child, is_directory=True)
    if found:
        return tuple(found[child] for child in sorted(found)[:FILES_MAX])
    if itself is None:
        raise _missing(path)
    return () if itself.is_directory else (itself,)


def _missing(path: str) -> Refusal:
    shown = path[:PATH_MAX]
    why = f"{shown[:128]}: the emulated kernel has no such file or directory"
    return Refusal(Reason.FILE_NOT_FOUND, errno.ENOENT, why, detail=shown[:512])
