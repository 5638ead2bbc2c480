# SPDX-License-Identifier: Apache-2.0
"""The releases that have a module tree below a directory."""

from __future__ import annotations

import os

from kmodd.database.presence import is_tree


def releases_in(directory: str) -> tuple[str, ...]:
    """Return the names of the module trees in ``directory``, in order; none where it is missing.

    A directory without a module, and without a list of a kernel's build, is what is left of one.
    """
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return ()
    paths = {name: f"{directory}/{name}" for name in names}
    return tuple(name for name in names if os.path.isdir(paths[name]) and is_tree(paths[name]))


def newest_release(directory: str) -> str | None:
    """Return the newest release in ``directory`` by version order; None where there is none."""
    return max(releases_in(directory), key=version_key, default=None)


def version_key(release: str) -> list[tuple[int, int, str]]:
    """Return what releases compare by: runs of digits as numbers, above any letters.

    So 6.10 is newer than 6.9, and 6.1.5 newer than 6.1.
    """
    import re

    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in re.findall(r"[0-9]{1,9}|[A-Za-z]+", release)
    ]
