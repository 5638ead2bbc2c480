# SPDX-License-Identifier: Apache-2.0
"""What is in a directory of the emulated kernel's file systems: names alone, never a real file."""

import posixpath
from collections.abc import Iterable
from itertools import chain

from kmodd.kernel.base import KernelFile
from kmodd.kernel.emulated.reporting.refusal import missing_file

FILES_MAX = 16384
"""Names of one directory that an answer has at most."""

PATH_MAX = 4096
"""Characters of the longest path."""

_ROOTS = tuple(
    KernelFile(path, is_directory=True)
    for path in ("/dev", "/proc", "/sys/bus", "/sys/class", "/sys/kernel/debug", "/sys/module")
)


def in_order(path: str) -> str:
    """Return an absolute path without ``.``, ``..`` and slashes too many; "" for one that is none,
    or too long.
    """
    if not path.startswith("/") or len(path) > PATH_MAX:
        return ""
    return "/" + posixpath.normpath(path).strip("/")


def look_up(files: Iterable[KernelFile], path: str) -> tuple[KernelFile, ...]:
    """Return what is in the directory ``path`` by name, or the file itself.

    The directories that a path of ``files`` goes through are there. Raises Refusal
    (FILE_NOT_FOUND).
    """
    wanted = in_order(path)
    if not wanted:
        raise missing_file(path)
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
        raise missing_file(path)
    return () if itself.is_directory else (itself,)
