# SPDX-License-Identifier: Apache-2.0
"""Whether a directory is a kernel's; while one comes or goes it may be none yet, or no more."""

import os

from kmodd.database.walk import SKIPPED
from kmodd.names import MODULE_SUFFIXES

BUILD_LISTS = ("modules.builtin", "modules.order")
"""Files of a kernel's build, which a kernel without any module has, too."""


def has_module(directory: str) -> bool:
    """Tell whether there is a module file in the tree at ``directory``, at any depth.

    The search ends with the first one.
    """
    pending = [directory]
    seen: set[tuple[int, int]] = set()
    while pending:
        if _holds_module(pending.pop(), pending, seen):
            return True
    return False


def _holds_module(path: str, pending: list[str], seen: set[tuple[int, int]]) -> bool:
    """Tell whether a module is in the directory itself; those in it are added to ``pending``."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name in SKIPPED:
                    continue
                if entry.name.endswith(MODULE_SUFFIXES) and entry.is_file():
                    return True
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_symlink() and entry.is_dir():
                    status = entry.stat()
                    if (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        pending.append(entry.path)
    except OSError:
        return False
    return False


def is_tree(directory: str) -> bool:
    """Tell whether ``directory`` is a kernel's module tree, and not what is left of one."""
    lists = (f"{directory}/{name}" for name in BUILD_LISTS)
    return any(map(os.path.exists, lists)) or has_module(directory)
