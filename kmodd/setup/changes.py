# SPDX-License-Identifier: Apache-2.0
"""What is to be changed of a system's files, as a diff, and how it is done."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kmodd.errors import Reason, RequestError
from kmodd.host.udev import MADE
from kmodd.host.whole_file import write_whole
from kmodd.setup.pieces import Piece

LARGEST = 1 << 20
"""Bytes that are read of a file that is there."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that is to be another; ``before`` or ``after`` is None where there is none."""

    path: Path
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Return the difference, as diff -u shows it."""
        names = (
            "/dev/null" if self.before is None else str(self.path),
            "/dev/null" if self.after is None else str(self.path),
        )
        before, after = (each or "" for each in (self.before, self.after))
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
        return "\n".join(lines)

    def make(self) -> None:
        """Put the file in place as a whole, or take it away; raises OSError."""
        if self.after is None:
            self.path.unlink()
            with suppress(OSError):  # others have files there
                self.path.parent.rmdir()
            return
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(self.path, self.after.encode("utf-8", "surrogateescape"), lasting=True)


def changes(root: Path, wanted: Iterable[Piece], *, undo: bool = False) -> tuple[FileChange, ...]:
    """Return how the files below ``root`` are to change for ``wanted``, or for none of them.

    What is as it should be is left out. Rules that setup has made of others which are no more go,
    too. Raises RequestError (INVALID_REQUEST) where somebody else
    has made one of them, and OSError for one that cannot be read.
    """
    found = tuple(_changes(root, wanted, undo=undo))
    theirs = [each.path for each in found if each.before is not None and not _is_made(each.before)]
    if theirs:
        names = ", ".join(map(str, theirs))
        why = f"not made by kmodd setup, and left alone: {names}; move it away first"
        raise RequestError(Reason.INVALID_REQUEST, why)
    return found


def _changes(root: Path, wanted: Iterable[Piece], *, undo: bool) -> Iterator[FileChange]:
    seen = set()
    for piece in wanted:
        path = root / piece.path
        seen.add(path)
        before = text_of(path)
        if undo and before is not None and not _is_made(before):
            continue
        after = None if undo else piece.text
        if before != after:
            yield FileChange(path, before, after)
    for path in sorted((root / "etc/udev/rules.d").glob("*.rules")):
        before = text_of(path) if path not in seen else None
        if before is not None and _is_made(before):
            yield FileChange(path, before, None)


def _is_made(text: str) -> bool:
    return text.startswith(MADE)


def text_of(path: Path) -> str | None:
    """Return what a file says, None where there is none; raises OSError."""
    try:
        if not path.is_file() and (path.exists() or path.is_symlink()):
            return f"({path} is no file)"
        with path.open("rb") as file:
            return file.read(LARGEST).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
