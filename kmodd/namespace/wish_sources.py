# SPDX-License-Identifier: Apache-2.0
"""Where wishes come from: the files of a directory, and what was applied by the API."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kmodd.access.trusted_files import objection
from kmodd.config.files import ConfigFile, Gate, read_text
from kmodd.desired.document import WishDocument, read_document
from kmodd.errors import LimitError, Reason, RequestError
from kmodd.records import record
from kmodd.state import APPLIED_MAX, AppliedStore

MAX_FILES = 256
"""Files of wishes; what is beyond that is a mistake."""

MAX_REVISION = (1 << 63) - 1
"""The last revision that a source may be given."""

_REVISION = re.compile(rb"\n# revision ([1-9][0-9]{0,18})\n\Z")
"""How the text of an applied source ends that has a revision."""

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@record
class WishSource:
    """A source as it is: the ``document`` that is in force, and what is wrong with the text of now.

    Where there are ``problems`` the document is what the source said before. ``revision`` is what
    who applied it has called this state of it, 0 for nothing.
    """

    document: WishDocument
    applied: bool = False
    problems: tuple[str, ...] = ()
    revision: int = 0

    @property
    def name(self) -> str:
        """A file's path, or what an applied source is called."""
        return self.document.source


class WishSources:
    """The sources of one daemon. ``_lock`` guards what is known of them."""

    def __init__(
        self,
        directory: Path | None = None,
        store: AppliedStore | None = None,
        *,
        trusted_only: bool = False,
    ) -> None:
        """``directory`` may have files ``*.toml``; ``store`` keeps what is applied.

        With ``trusted_only`` a file counts only where none but root could have put it there.
        """
        self._directory = directory
        self._store = store
        self._objection = objection if trusted_only else None
        self._lock = threading.Lock()
        self._good: dict[str, WishDocument] = {}
        self._applied: dict[str, bytes] = {}
        self._unkept: set[str] = set()

    def stamp(self) -> object:
        """Return what is another value once a file has come, gone, or changed."""
        applied = self._store.directory if self._store is not None else None
        return (*_stamps(self._directory), *_stamps(applied))

    def read(self) -> tuple[WishSource, ...]:
        """Read all anew; a later source overrides an earlier one.

        What could not be kept of what was applied is tried again.
        """
        with self._lock:
            self._mend()
            found = [*self._read_directory()]
            applied = sorted(self._applied.items())
            found += [self._source(name, text, applied=True) for name, text in applied]
            self._good = {each.name: each.document for each in found}
            return tuple(found)

    def keep(self) -> None:
        """Keep what was applied and could not be kept yet."""
        if self._unkept:
            with self._lock:
                self._save()

    def with_applied(self, name: str, text: bytes) -> tuple[WishSource, ...]:
        """Return the sources as they would be read if ``text`` was applied as ``name``.

        Raises RequestError (INVALID_REQUEST) for a name or a text that is wrong, LimitError.
        """
        source = WishSource(self.checked(name, text), applied=True)
        others = [each for each in self.read() if each.name != name]
        found = [*others, source] if text.strip() else others
        return tuple(sorted(found, key=lambda each: (each.applied, each.applied and each.name)))

    def has_applied(self, name: str) -> bool:
        """Tell whether something is applied as ``name``."""
        with self._lock:
            return name in self._applied

    def revision(self, name: str) -> int:
        """Return the revision of an applied source; 0 where there is none, or it has none."""
        with self._lock:
            return _parted(self._applied.get(name, b""))[1]

    def apply(self, name: str, text: bytes, revision: int = 0) -> WishDocument:
        """Take over ``text`` as what ``name`` wishes; an empty one takes it away.

        Raises as ``with_applied`` does, and then nothing is changed.
        """
        document = self.checked(name, text)
        if revision > MAX_REVISION:
            raise RequestError(Reason.INVALID_REQUEST, f"a revision is at most {MAX_REVISION}")
        with self._lock:
            if text.strip():
                self._applied[name] = text + (b"\n# revision %d\n" % revision if revision else b"")
            else:
                self._applied.pop(name, None)
            self._unkept.add(name)
            self._mend()
        return document

    def checked(self, name: str, text: bytes) -> WishDocument:
        """Return what ``text`` says as the source ``name``; raises as ``with_applied`` does."""
        if not _SOURCE.fullmatch(name):
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"{name[:80]!r} cannot be what a source of wishes is called: it is at most 64 "
                "letters, digits, dots, dashes and underscores, the first a letter or digit",
            )
        document = read_document(text, name)
        if document.problems:
            raise RequestError(Reason.INVALID_REQUEST, "\n".join(document.problems), detail=name)
        with self._lock:
            if name not in self._applied and len(self._applied) >= APPLIED_MAX:
                raise LimitError(Reason.LIMIT_REACHED, f"{APPLIED_MAX} sources are applied already")
        return document

    def _mend(self) -> None:
        """Keep what is not kept yet, and take over what is kept and not known; with the lock.

        The directory may be on a file system that is mounted later.
        """
        self._save()
        kept = self._store.load() if self._store is not None else {}
        for name in kept.keys() - self._unkept:
            self._applied.setdefault(name, kept[name])

    def _save(self) -> None:
        """Keep what is not kept yet; with the lock held."""
        for name in sorted(self._unkept):
            if self._store is None or self._store.save(name, self._applied.get(name, b"")):
                self._unkept.discard(name)

    def _read_directory(self) -> Iterator[WishSource]:
        """Yield a source for each file; one for the directory where that cannot be read."""
        directory = self._directory
        if directory is None:
            return
        problems: list[str] = []
        gate = Gate(self._objection)
        files = _files_in(directory, problems, gate)
        if len(files) > MAX_FILES:
            problems.append(f"{files[MAX_FILES]}: more than {MAX_FILES} files, the rest ignored")
        for path in files[:MAX_FILES]:
            wrong: list[str] = []
            own = Gate(self._objection)
            text = read_text(ConfigFile(str(path), str(path)), wrong, own)
            wrong += own.unread
            if text is None and not wrong:
                continue  # it has gone, or is a link to /dev/null
            yield self._source(str(path), text, problems=wrong)
        problems += gate.unread
        if problems:
            yield self._source(str(directory), None, problems=problems)

    def _source(
        self,
        name: str,
        text: str | bytes | None,
        *,
        applied: bool = False,
        problems: list[str] | None = None,
    ) -> WishSource:
        """Return a source by its text, and by what it said before where that is wrong.

        The text of an applied one is in bytes, as it is kept.
        """
        revision = 0
        if isinstance(text, bytes):
            text, revision = _parted(text)
        document = read_document(text or "", name)
        if not (problems or document.problems):
            return WishSource(document, applied, revision=revision)
        good = self._good.get(name) or WishDocument(name)
        return WishSource(good, applied, (*(problems or ()), *document.problems), revision)


def _parted(text: bytes) -> tuple[bytes, int]:
    """Return what was applied, and its revision, 0 for none."""
    end = text[-32:]
    found = _REVISION.search(end)
    return (text[: len(text) - len(found[0])], int(found[1])) if found else (text, 0)


def _files_in(directory: Path, problems: list[str], gate: Gate) -> list[Path]:
    """Return the files of a directory in the order of reading; none where it is missing."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(f"{directory}: {error.strerror}")
        return []
    try:
        names = sorted(os.fsencode(name) for name in os.listdir(fd) if _is_wishes(name))
        if not names or not gate.admits(fd, str(directory)):
            return []
        return [directory / os.fsdecode(name) for name in names]
    finally:
        os.close(fd)


def _is_wishes(name: str) -> bool:
    return name.endswith(".toml") and not name.startswith(".")


def _stamps(directory: Path | None) -> Iterator[tuple[object, ...]]:
    """Yield what tells a directory's files of wishes from those of another time."""
    if directory is None:
        return
    with suppress(OSError):
        for path in sorted(directory.glob("*.toml"))[: MAX_FILES + 1]:
            with suppress(OSError):
                status = path.stat()
                yield (
                    path.name,
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                )
