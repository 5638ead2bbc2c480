# SPDX-License-Identifier: Apache-2.0
"""/proc/modules: read as one snapshot, and parsed."""

from __future__ import annotations

import os

from kmodd.kernel.loaded import LoadedModule, ModuleState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes asked of one read; the kernel gives a page at most."""

ATTEMPTS = 5
"""How often what may change meanwhile is read until two readings agree."""

_STATES = {state.value: state for state in ModuleState}
_PERMANENT = "[permanent]"


def read_snapshot(path: str | Path) -> bytes:
    """Return the contents of /proc/modules at one moment.

    One read(2) is consistent, and holds a page. A longer listing is read until it comes out the
    same twice: a module that comes or goes between two reads would show twice or hide another.
    Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data, reads = _read_all(fd)
        for _ in range(ATTEMPTS):
            if reads <= 1:
                break
            again, reads = _read_all(fd)
            if again == data:
                break
            data = again
        return data
    finally:
        os.close(fd)


def parse_modules(text: str) -> tuple[LoadedModule, ...]:
    """Return the modules of a /proc/modules text, in its order (kernel/module/procfs.c).

    A line that is not understood is left out: a module's name may be any bytes that its author
    has put there, blanks and newlines, too.
    """
    return tuple(module for line in text.split("\n") if (module := _parse_line(line)))


def _parse_line(line: str) -> LoadedModule | None:
    words = line.split(" ")
    if len(words) < 6 or words[4] not in _STATES:
        return None
    try:
        return _module(words)
    except ValueError:
        return None


def _module(words: list[str]) -> LoadedModule:
    """Return the module of a line's words; raises ValueError where one is no number."""
    users = [user for user in words[3].split(",") if user not in ("", "-")]
    taints = words[6].strip("()+-") if len(words) > 6 else ""
    return LoadedModule(
        name=words[0],
        size=int(words[1]),
        # Without CONFIG_MODULE_UNLOAD there is a dash where the count would be.
        refcount=int(words[2]) if words[2] != "-" else 0,
        holders=tuple(user for user in users if user != _PERMANENT),
        state=_STATES[words[4]],
        permanent=_PERMANENT in users or words[2] == "-",
        address=int(words[5], 16),
        taints=taints,
    )


def _read_all(fd: int) -> tuple[bytes, int]:
    """Read from the start to the end; returns the bytes and how many reads they took."""
    os.lseek(fd, 0, os.SEEK_SET)
    parts: list[bytes] = []
    while part := os.read(fd, CHUNK):
        parts.append(part)
    return b"".join(parts), len(parts)
