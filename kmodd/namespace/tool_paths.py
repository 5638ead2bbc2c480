# SPDX-License-Identifier: Apache-2.0
"""kmod's tools as a command of modprobe.d finds them: kmodctl's, and the machine's own."""

import os
import re
import sys
from pathlib import Path

from kmodd.namespace.own_mounts import DIRECTORIES, NAMES

TOOLS_DIRECTORY = Path(__file__).with_name("tools")
"""Where kmodctl is by the names of kmod's tools: as safe from others as the daemon's own code."""

_KMODCTL = ("kmodctl", "kmodctl-or-kmod")

_SLASH = r"/(?:\.?/)*"
_NAMED = re.compile(
    rf"(?<![\w./-]){_SLASH}(?:usr{_SLASH}(?:local{_SLASH})?)?s?bin{_SLASH}"
    rf"(?:{'|'.join(NAMES)})(?![\w./-])"
)
_OTHER_SEARCH = re.compile(r"\bPATH=|\bcommand\s+-p\b|\benv\s+(?:-i|-|--ignore-environment)\s")


def named_paths(command: str) -> tuple[str, ...]:
    """Return the usual paths of kmod's tools that the text of a command names, each once."""
    found = (os.path.normpath(path) for path in _NAMED.findall(command))
    return tuple(dict.fromkeys(f"/{path.lstrip('/')}" for path in found))


def way_to_others(command: str) -> str:
    """Return what in the text of a command leads to the machine's own tools, "" for nothing.

    That is a path of one, or another search for programs than by the PATH that the command is
    given. Where the machine's tools are kmodctl, nothing does.
    """
    for path in named_paths(command):
        if not _is_kmodctl(path):
            return path
    search = _OTHER_SEARCH.search(command)
    return search[0].strip() if search is not None and _has_others() else ""


def _has_others() -> bool:
    paths = (f"{directory}/{name}" for directory in DIRECTORIES for name in NAMES)
    return any(os.path.exists(path) and not _is_kmodctl(path) for path in paths)


def _is_kmodctl(path: str) -> bool:
    """Tell whether the program at ``path`` is the kmodctl that was installed with this daemon."""
    installed = (sys.executable, sys.argv[0])
    beside = (Path(each).with_name(name) for each in installed for name in _KMODCTL)
    return any(_is_same(path, kmodctl) for kmodctl in beside)


def _is_same(path: str, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
