# SPDX-License-Identifier: Apache-2.0
"""What the administrator wrote for depmod (depmod.d(5)), as one frozen value.

It decides which of several files of one module counts, which directories outside the tree belong
to it, and what inside it does not.
"""

from __future__ import annotations

from kmodd.config.ere import ere_search
from kmodd.config.files import Gate, files_at, files_under, read_text
from kmodd.config.modprobe import _logical_lines as logical_lines
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kmodd.config.files import AnyPath, Objection

DEFAULT_SEARCH = ("updates",)
"""What comes first where no ``search`` line says otherwise."""

_NOT_IMPLEMENTED = ("include", "make_map_files")
"""Directives that depmod has long taken without doing anything about them."""


@record
class DepmodConfig:
    """The directives in force for one release.

    ``search`` holds the words of all ``search`` lines, the first priority first: directories
    relative to the tree, ``built-in`` for all that no other word covers, ``external`` for the
    directories of ``externals``. ``overrides`` are files that count whatever else there is, in
    the order of the lines: relative to the tree, and of the file's name what is before its first
    dot. ``externals`` are absolute, the first priority first. ``excludes`` are names, not paths, of
    what is left out at any depth. ``problems`` say, as depmod does, which lines were not
    understood. ``unread`` say which directories and files there was an objection to.
    """

    search: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    externals: tuple[str, ...] = ()
    excludes: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def rank(self, path: str) -> tuple[int, int, int]:
        """Return what the file ``path`` ranks at among the files of one module; lowest wins.

        ``path`` is relative to the tree or, in a directory of ``externals``, absolute.
        """
        return self._override_rank(path), *self._search_rank(path)

    def _override_rank(self, path: str) -> int:
        """Return how many later overrides there are than that for ``path``."""
        directory, slash, file = path.rpartition("/")
        stem = f"{directory}{slash}{file.partition('.')[0]}"
        for place, override in enumerate(reversed(self.overrides)):
            if override == stem:
                return place
        return len(self.overrides)

    def _search_rank(self, path: str) -> tuple[int, int]:
        """Return the place of the word that covers ``path``, and that among the externals."""
        words = self.search or DEFAULT_SEARCH
        for place, word in enumerate(words):
            if word == "external":
                for number, directory in enumerate(self.externals):
                    if path.startswith(f"{directory}/"):
                        return place, number
            elif word != "built-in" and path.startswith(f"{word}/"):
                return place, 0
        return words.index("built-in") if "built-in" in words else len(words), 0


def read_depmod_config(
    root: AnyPath,
    release: str,
    *,
    paths: Sequence[AnyPath] | None = None,
    objection: Objection | None = None,
) -> DepmodConfig:
    """Return what depmod.d says about the kernel ``release`` in the system under ``root``.

    ``paths`` are directories or files to read in place of the root's directories (``depmod -C``).
    Nothing is read of a directory or file that there is an ``objection`` to.
    Never raises for what it reads: a line that is wrong is named among the problems, and all
    others are in force.
    """
    problems: list[str] = []
    gate = Gate(objection)
    if paths is None:
        files = files_under(root, problems, gate, "depmod.d")
    else:
        files = files_at(paths, problems, gate)
    texts = [(read_text(file, problems, gate), file.shown) for file in files]
    draft = _Draft(release, [f"ERROR: {problem}" for problem in problems])
    for text, file in texts:
        if text is not None:
            draft.add_file(text, file)
    return draft.config(gate.unread)


class _Draft:
    """A configuration while it is being read; never shared."""

    def __init__(self, release: str, problems: list[str]) -> None:
        self.release = release
        self.problems = problems
        self.search: list[str] = []
        self.overrides: list[str] = []
        self.externals: list[str] = []
        self.excludes: set[str] = set()

    def add_file(self, text: str, file: str) -> None:
        """Add the directives of a file's text."""
        for number, line in logical_lines(text):
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if words and not line.startswith("#"):
                self._add_line(words, f"{file}:{number}")

    def config(self, unread: tuple[str, ...]) -> DepmodConfig:
        """Return the configuration, finished."""
        return DepmodConfig(
            search=tuple(self.search),
            overrides=tuple(self.overrides),
            externals=tuple(self.externals),
            excludes=frozenset(self.excludes),
            problems=tuple(self.problems),
            unread=unread,
        )

    def _add_line(self, words: list[str], place: str) -> None:
        match words:
            case ["search", *directories]:
                self.search += directories
            case ["exclude", *names]:
                self.excludes.update(names)
            case ["override", module, version, subdirectory, *_]:
                if self._concerns(version, place):
                    self.overrides.append(f"{subdirectory}/{module}")
            case ["external", version, *directories] if directories:
                if self._concerns(version, place):
                    self._add_externals(directories, place)
            case [keyword, *_] if keyword not in _NOT_IMPLEMENTED:
                self.problems.append(
                    f"ERROR: {place}: ignoring bad line starting with '{keyword[:64]}'"
                )

    def _add_externals(self, directories: Iterable[str], place: str) -> None:
        for directory in directories:
            if directory.startswith("/"):
                self.externals.append(directory.rstrip("/"))
            else:
                self.problems.append(f"ERROR: {place}: {directory[:64]} is no absolute path")

    def _concerns(self, version: str, place: str) -> bool:
        """Tell whether a line for ``version`` is one for the release."""
        if version == "*":
            return True
        try:
            return ere_search(version, self.release)
        except ValueError as error:
            self.problems.append(f"ERROR: {place}: {version[:64]}: {error}")
            return False
