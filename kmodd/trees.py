# SPDX-License-Identifier: Apache-2.0
"""The releases under one root: the database in force for each, and its rebuilds."""

import logging
import re
import threading
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from kmodd.config import Config, read_config
from kmodd.config.depmod import read_depmod_config
from kmodd.database import Database
from kmodd.database.freshness import is_fresh
from kmodd.database.publish import Publication, publish
from kmodd.database.rebuild import rebuild
from kmodd.database.scan import Progress
from kmodd.errors import KmoddError, Reason, TreeError

PROBLEMS_LOGGED = 20
"""Problems of one tree that are logged; the rest is told by ListTrees."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of a release's tree and configuration; never changes once it is in force.

    ``publication`` are the files on disk, None where they could not or should not be written;
    ``problem`` says why not, or why a newer state of the tree could not be taken in.
    """

    number: int
    release: str
    directory: Path
    database: Database
    config: Config
    built: datetime
    publication: Publication | None = None
    problem: str = ""


class _Tree:
    """One release. ``rebuilding`` is held through a rebuild and guards the counters;
    ``generation`` is swapped as one reference and read without a lock.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rebuilding = threading.Lock()
        self.generation: Generation | None = None
        self.started = 0
        self.finished = 0


class Trees:
    """All releases under a root. ``_lock`` guards the table of trees."""

    def __init__(self, root: Path, release: str, *, publish: bool = True) -> None:
        """``release`` is the kernel's own, meant where a call names none."""
        self.root = root
        self.release = release
        self.directory = modules_directory(root)
        self._publish = publish
        self._lock = threading.Lock()
        self._trees: dict[str, _Tree] = {}

    def releases(self) -> tuple[str, ...]:
        """Return the names of the releases that have a directory, in order."""
        return releases_in(self.directory)

    def in_force(self, release: str = "") -> Generation | None:
        """Return the generation in force without building one."""
        tree = self._trees.get(release or self.release)
        return tree.generation if tree else None

    def current(self, release: str = "") -> Generation:
        """Return the generation in force; build the first one.

        Raises TreeError (TREE_NOT_FOUND) where the release has no directory.
        """
        return self.in_force(release) or self.rebuild(release)

    def rebuild(self, release: str = "", *, progress: Progress | None = None) -> Generation:
        """Read the tree anew, put the result in force and publish it.

        Callers who come while a rebuild is under way share the one that starts after it. Raises
        TreeError where there is no tree, or its modules form a cycle; then what was in force
        stays, with that as its ``problem``.
        """
        tree = self._tree(release or self.release)
        ticket = tree.started + 1
        with tree.rebuilding:
            if tree.finished >= ticket and tree.generation is not None:
                return tree.generation
            tree.started += 1
            try:
                tree.generation = self._next_generation(tree, progress)
            except TreeError as error:
                self._keep_old(tree, error)
                raise
            finally:
                tree.finished = tree.started
            return tree.generation

    def confirm(self, generation: Generation) -> Generation:
        """Return the generation that tells what is on disk; ``generation``'s number if it does.

        Looks at the directories only, which change when a file in them comes or goes: a
        millisecond for a tree of a thousand directories.
        """
        current = self.current(generation.release)
        if current.number != generation.number or is_fresh(current.database.inventory):
            return current
        return self.rebuild(generation.release)

    def forget_missing(self) -> None:
        """Drop the databases of releases whose directory is gone."""
        present = set(self.releases())
        with self._lock:
            for release in set(self._trees) - present:
                if self._trees[release].generation is not None:
                    log.info("%s: the module tree is gone", self._trees[release].directory)
                self._trees[release].generation = None

    def _tree(self, release: str) -> _Tree:
        if not release or "/" in release or release in (".", "..") or "\0" in release:
            raise TreeError(Reason.INVALID_NAME, f"{release!r} cannot be the name of a release")
        with self._lock:
            tree = self._trees.get(release)
            if tree is None:
                tree = _Tree(self.directory / release)
                if not tree.directory.is_dir():
                    raise _no_tree(tree.directory)
                self._trees[release] = tree
            return tree

    def _next_generation(self, tree: _Tree, progress: Progress | None) -> Generation:
        old = tree.generation
        if not tree.directory.is_dir():
            tree.generation = None
            raise _no_tree(tree.directory)
        database = rebuild(
            str(tree.directory),
            tree.directory.name,
            config=read_depmod_config(self.root, tree.directory.name),
            previous=old.database if old else None,
            progress=progress,
        )
        config = read_config(self.root)
        same = old is not None and database is old.database and _says_the_same(config, old.config)
        if not same:
            for problem in config.problems:
                log.warning("%s", problem)
            for problem in database.problems[:PROBLEMS_LOGGED]:
                log.info("%s", problem)
        generation = Generation(
            number=(old.number if old else 0) + (not same),
            release=tree.directory.name,
            directory=tree.directory,
            database=database,
            config=config,
            built=old.built if old and same else datetime.now(UTC),
        )
        return self._published(generation, old.publication if old else None)

    def _published(self, generation: Generation, before: Publication | None) -> Generation:
        """Write the databases; where that cannot be done they serve from memory alone."""
        if not self._publish:
            return generation
        directory, database = str(generation.directory), generation.database
        try:
            publication = publish(database.files, directory, before)
        except TreeError as error:
            log.warning("%s; the databases are in force in memory", error.message)
            return replace(generation, problem=error.message)
        if publication.written:
            log.info(
                "%s: generation %d, %d modules, %d files written",
                directory,
                generation.number,
                len(database.modules),
                len(publication.written),
            )
        return replace(generation, publication=publication)

    def _keep_old(self, tree: _Tree, error: KmoddError) -> None:
        log.error("%s: %s", tree.directory, error.message)
        if tree.generation is not None:
            tree.generation = replace(tree.generation, problem=error.message)


def _says_the_same(one: Config, other: Config) -> bool:
    """Tell whether two readings of the configuration came to the same."""
    return all(getattr(one, each.name) == getattr(other, each.name) for each in fields(one))


def modules_directory(root: Path) -> Path:
    """Return the directory of module trees under the system root ``root``."""
    return root / "lib" / "modules"


def releases_in(directory: Path) -> tuple[str, ...]:
    """Return the names of the directories in ``directory``, in order; none where it is missing."""
    try:
        return tuple(sorted(each.name for each in directory.iterdir() if each.is_dir()))
    except OSError:
        return ()


def newest_release(directory: Path) -> str | None:
    """Return the newest release in ``directory`` by version order; None where there is none."""
    return max(releases_in(directory), key=_version_key, default=None)


def _version_key(release: str) -> list[tuple[int, int, str]]:
    """Compare runs of digits as numbers, above any letters: 6.10 is newer than 6.9."""
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in re.findall(r"[0-9]{1,9}|[A-Za-z]+", release)
    ]


def _no_tree(directory: Path) -> TreeError:
    return TreeError(
        Reason.TREE_NOT_FOUND,
        f"could not open directory {directory}: No such file or directory",
        detail=str(directory),
    )
