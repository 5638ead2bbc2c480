# SPDX-License-Identifier: Apache-2.0
"""One release's module tree: the database in force, its rebuilds, and its files on disk."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kmodd.access.trusted_files import check_tree, objection
from kmodd.config import Config, read_config
from kmodd.config.depmod import read_depmod_config
from kmodd.config.files import Objection
from kmodd.database import Database
from kmodd.database.freshness import is_fresh
from kmodd.database.publish import Publication, publish
from kmodd.database.reading import Progress
from kmodd.database.rebuild import rebuild
from kmodd.database.walk import is_untouched
from kmodd.errors import Reason, TreeError
from kmodd.state import RecordStore
from kmodd.trees.unread import Unread

PROBLEMS_LOGGED = 20
"""Problems of one tree that are logged; the rest is told by ListTrees."""

CONTEST = 60.0
"""Seconds within which a second overwriting by others is a contest, which kmodd leaves alone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of a release's tree and configuration; never changes once it is in force.

    ``publication`` are the files on disk, None where they could not or should not be written;
    ``problem`` says why not, or why a newer state of the tree could not be taken in. With
    ``trusted_only`` a module is only loaded from a file that none but root could have put there.
    ``unread`` say which directories and files of the configuration are not read for that reason.
    """

    number: int
    release: str
    directory: Path
    database: Database
    config: Config
    built: datetime
    publication: Publication | None = None
    problem: str = ""
    trusted_only: bool = False
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeOptions:
    """What all trees of a daemon have in common.

    ``publish`` is False where the databases are only held in memory. ``store`` keeps what was
    read for the next start, where there is a place for it. ``modprobe_config`` are read in place
    of the root's configuration, where there are any. ``swapped`` is called when a tree has
    another generation than before, or none, on the thread that brought it about.
    ``command_line`` is the kernel's. ``trusted_only`` refuses trees, and leaves out configuration,
    that others than root may write (see access/trusted_files.py); ``unread`` tells of that.
    """

    root: Path
    publish: bool = True
    store: RecordStore | None = None
    modprobe_config: tuple[Path, ...] = ()
    swapped: Callable[[], None]
    command_line: str = ""
    trusted_only: bool = False
    unread: Unread = field(default_factory=Unread)


class Tree:
    """One release. ``_rebuilding`` is held while a generation is made or published and guards the
    counters; ``generation`` is swapped as one reference and read without a lock.
    """

    def __init__(self, directory: Path, options: TreeOptions) -> None:
        self.directory = directory
        self.generation: Generation | None = None
        self._options = options
        self._rebuilding = threading.Lock()
        self._started = 0
        self._finished = 0
        self._kept = 0
        self._overwritten_at = -CONTEST
        self._contested = False

    def rebuild(self, *, progress: Progress | None = None, insist: bool = False) -> Generation:
        """Read the tree anew, put the result in force and publish it.

        Callers who come while a rebuild is under way share the one that starts after it.
        ``insist`` publishes even against another program that keeps overwriting the files.
        Raises TreeError where there is no tree, or its modules form a cycle; then what was in
        force stays, with that as its ``problem``.
        """
        ticket = self._started + 1
        with self._rebuilding:
            wanted = insist and self._contested
            if self._finished >= ticket and self.generation is not None and not wanted:
                return self.generation
            self._started += 1
            self._contested = self._contested and not insist
            try:
                generation = self._next_generation(progress, insist=insist)
            except TreeError as error:
                self._keep_old(error)
                raise
            finally:
                self._finished = self._started
            self._swap(generation)
            return generation

    def is_fresh(self) -> bool:
        """Tell whether no file has come or gone since the last scan: a millisecond's look."""
        generation = self.generation
        return generation is not None and is_fresh(generation.database.inventory)

    def is_untouched(self) -> bool:
        """Tell whether the whole tree is as it was scanned; False where that is not sure."""
        generation = self.generation
        return generation is not None and is_untouched(generation.database.inventory)

    def mend(self) -> None:
        """Publish again what another program wrote over, and what could not be written before.

        When it is written over again soon, the files are left as they are: a fight would help
        nobody. Does nothing while a rebuild is under way, which ends in a publication anyway.
        """
        if not self._options.publish or not self._rebuilding.acquire(blocking=False):
            return
        try:
            generation = self.generation
            if generation is None or self._contested:
                return
            before = generation.publication
            if before is not None and before.stands():
                return
            mended = self._published(generation, before)
            if mended != generation:
                self._swap(mended)
        finally:
            self._rebuilding.release()

    def keep_records(self) -> None:
        """Store what was read of the tree, unless that was done since it last changed.

        To be called again from time to time: where there is no place for it now, one may come.
        """
        generation, store = self.generation, self._options.store
        if store is None or generation is None or generation.number == self._kept:
            return
        if store.save(generation.database.inventory):
            self._kept = generation.number

    def drop(self) -> None:
        """Forget the database: the directory is gone."""
        with self._rebuilding:
            if self.generation is not None:
                log.info("%s: the module tree is gone", self.directory)
                self._swap(None)

    def _swap(self, generation: Generation | None) -> None:
        self.generation = generation
        self._options.swapped()

    def _next_generation(self, progress: Progress | None, *, insist: bool) -> Generation:
        old, root, release = self.generation, self._options.root, self.directory.name
        if not self.directory.is_dir():
            self._swap(None)
            raise no_tree(self.directory)
        if self._options.trusted_only:
            check_tree(self.directory)
        depmod_config = read_depmod_config(root, release, objection=self._objection(root))
        store = self._options.store
        database = rebuild(
            str(self.directory),
            release,
            config=depmod_config,
            previous=old.database if old else None,
            remembered=store.load(str(self.directory)) if store and not old else None,
            progress=progress,
        )
        paths = self._options.modprobe_config or None
        config = read_config(
            root,
            command_line=self._options.command_line,
            paths=paths,
            objection=self._objection(Path("/") if paths else root),
        )
        unread = depmod_config.unread + config.unread
        self._options.unread.tell(unread)
        same = old is not None and _says_the_same(old, database, config, unread)
        if not same:
            _log_problems(config, database)
            self._contested = False
        generation = Generation(
            number=(old.number if old else 0) + (not same),
            release=release,
            directory=self.directory,
            database=database,
            config=config,
            built=old.built if old and same else datetime.now(UTC),
            problem=old.problem if old and self._contested else "",
            trusted_only=self._options.trusted_only,
            unread=unread,
        )
        if self._contested or not self._options.publish:
            return generation
        return self._published(generation, old.publication if old else None, asked=insist)

    def _objection(self, root: Path) -> Objection | None:
        """Return what has nothing but root's own read below ``root``, where that is wanted."""
        return partial(objection, root=root) if self._options.trusted_only else None

    def _published(
        self, generation: Generation, before: Publication | None, *, asked: bool = False
    ) -> Generation:
        """Write the databases; where that cannot be done they serve from memory alone.

        Writing again what was there ``before`` counts against whoever wrote over it, unless
        somebody ``asked`` for it.
        """
        directory, database = str(self.directory), generation.database
        ours = not asked and before is not None and before.files is database.files
        try:
            publication = publish(database.files, directory, before)
        except TreeError as error:
            if self.generation is None or self.generation.problem != error.message:
                log.warning("%s; the databases are in force in memory", error.message)
            return replace(generation, publication=None, problem=error.message)
        if publication.written:
            log.info(
                "%s: generation %d, %d modules, %d files written",
                directory,
                generation.number,
                len(database.modules),
                len(publication.written),
            )
        done = replace(generation, publication=publication, problem="")
        return self._count_overwriting(done) if ours and publication.written else done

    def _count_overwriting(self, generation: Generation) -> Generation:
        """Note that others wrote over our files; the second time soon after, give in."""
        now = time.monotonic()
        again = now - self._overwritten_at < CONTEST
        self._overwritten_at = now
        if not again:
            log.warning("%s: another program wrote over the databases", self.directory)
            return generation
        self._contested = True
        problem = f"{self.directory}: another program keeps writing over the databases"
        log.error("%s; they are left to it until a module changes", problem)
        return replace(generation, publication=None, problem=problem)

    def _keep_old(self, error: TreeError) -> None:
        log.error("%s: %s", self.directory, error.message)
        if self.generation is not None:
            self._swap(replace(self.generation, problem=error.message))


def no_tree(directory: Path) -> TreeError:
    """Return the error for a release that has no directory."""
    return TreeError(
        Reason.TREE_NOT_FOUND,
        f"could not open directory {directory}: No such file or directory",
        detail=str(directory),
    )


def _says_the_same(
    old: Generation, database: Database, config: Config, unread: tuple[str, ...]
) -> bool:
    """Tell whether a reading of the tree and of the configuration came to the same as before."""
    if database is not old.database or unread != old.unread:
        return False
    return all(
        getattr(config, each.name) == getattr(old.config, each.name) for each in fields(config)
    )


def _log_problems(config: Config, database: Database) -> None:
    for problem in config.problems:
        log.warning("%s", problem)
    for problem in database.problems[:PROBLEMS_LOGGED]:
        log.info("%s", problem)
