# SPDX-License-Identifier: Apache-2.0
"""What modules say of themselves as it was answered, for as long as their files are the same."""

import os
import time
from collections.abc import Iterable

from kmodd.records import record

MOST = 256
"""Answers that are kept at a time."""

LONGEST = 64 << 10
"""Bytes of one that is kept."""

SETTLED = 2_000_000_000
"""Nanoseconds after a change of a file until another one surely has another time (inode(7))."""

_Stamp = tuple[int, int, int, int, int]


@record
class _Kept:
    """An answer, the databases that had led to the files, and what these looked like."""

    generation: object
    files: tuple[tuple[str, _Stamp], ...]
    answer: bytes


class KeptInfos:
    """The answers by what was asked. May be used by any thread: one is replaced as a whole."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Kept] = {}

    def find(self, asked: bytes, generation: object) -> bytes | None:
        """Return what is kept for ``asked`` where it is still what the files say."""
        kept = self._known.get(asked)
        if kept is None or kept.generation is not generation:
            return None
        try:
            same = all(_stamp(path) == stamp for path, stamp in kept.files)
        except OSError:
            return None
        return kept.answer if same else None

    def keep(self, asked: bytes, generation: object, paths: Iterable[str], answer: bytes) -> None:
        """Keep an answer that was read from the files at ``paths`` a moment ago.

        One from a file that has changed just before is not: what was read may be older.
        """
        if len(answer) > LONGEST:
            return
        try:
            files = tuple((path, _stamp(path)) for path in paths)
        except OSError:
            return
        latest = time.time_ns() - SETTLED
        if any(max(stamp[3:]) > latest for _, stamp in files):
            return
        if len(self._known) >= MOST:
            self._known = {}
        self._known[asked] = _Kept(generation, files, answer)


def _stamp(path: str) -> _Stamp:
    """Return what tells a file's contents from others; raises OSError."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
