# SPDX-License-Identifier: Apache-2.0
"""One release's module tree: what is in force for it, its rebuilds, and its files on disk."""

import logging
import threading
import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from kmodd.access.trusted_files import check_files, check_tree
from kmodd.config import Config
from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database, FileStamp
from kmodd.database.collector import collector_paused
from kmodd.database.database import OUTPUTS
from kmodd.database.freshness import has_fresh_directories, is_fresh
from kmodd.database.large_files import let_go
from kmodd.database.publish import Place, Publication
from kmodd.database.published import read_published
from kmodd.database.reading import Progress
from kmodd.database.rebuild import rebuild
from kmodd.database.walk import is_untouched, shows_the_same
from kmodd.errors import Reason, TreeError
from kmodd.freed_memory import give_memory_back
from kmodd.log_kinds import LogKind, told
from kmodd.records import replace
from kmodd.state import RecordStore, Retries
from kmodd.trees.generation import (
    Generation,
    GivenUp,
    TreePlaces,
    TreeSummary,
    given_up,
    inputs_of,
    is_built_of,
    is_current,
    links_of,
)
from kmodd.trees.options import TreeOptions
from kmodd.trees.publisher import Publisher
from kmodd.trees.sight import SharedLook

PROBLEMS_LOGGED = 20
"""Problems of one tree that are logged; the rest is told by ListTrees."""

RETRY = 60.0
"""Seconds after which what could not be written is built again to be written."""

LINGER = 10.0
"""Seconds that the database of another release stays in memory when somebody had it built."""

log = logging.getLogger(__name__)


class Tree:
    """One release. ``_rebuilding`` is held while a generation is made or published and guards the
    counters; what is in force is swapped as one reference and read without a lock. ``_written`` was
    published last, where what is in force has yet to be, which was ``_put_off``.

    Of a tree that is not ``resident`` no database stays in memory for long: it is read from the
    files on disk when somebody asks, or built anew where these are not those in force.
    """

    def __init__(self, directory: Path, options: TreeOptions, *, resident: bool) -> None:
        self.directory = directory
        self.refusal = ""
        """Why nothing is in force although there is a directory, where that was tried."""
        self._resident = resident
        self._options = options
        self._in_force: Generation | GivenUp | None = None
        self._publisher = Publisher(directory, options.patience, options.sight)
        self._rebuilding = threading.Lock()
        self._started = 0
        self._finished = 0
        self._kept: tuple[int, bool] | None = None
        self._retries = Retries()
        self._read_at = 0.0
        self._put_off = False
        self._written: Publication | None = None
        self._read_by: tuple[tuple[FileStamp, ...], DepmodConfig] = ((), DepmodConfig())
        self._misses_files = False
        self._look = SharedLook(directory.name, options.sight)
        self._places = TreePlaces()

    @property
    def generation(self) -> Generation | None:
        """What is in force, with its database in memory; None where that is given up, too."""
        found = self._in_force
        return found if isinstance(found, Generation) else None

    @property
    def summary(self) -> TreeSummary | None:
        """What is told of the tree, None before it has been read."""
        found = self._in_force
        return found.summary if found else None

    def serve_published(self) -> bool:
        """Put in force what the files on disk say, where they look like those of the tree.

        Tells whether that is so. It is provisional until the next rebuild.
        """
        with self._rebuilding:
            if self._in_force is not None or not self._resident:
                return False
            self._publisher.note_place()
            try:
                database = self._database_on_disk()
            except TreeError:
                return False
            if is_current(database):
                unread = self._options.depmod_config(self.directory.name).unread
                self._swap(self._next_generation(None, database, unread, "", from_disk=True))
            return self._in_force is not None

    def current(self, *, at_once: bool = False) -> Generation:
        """Return what is in force with its database: from memory, from disk, or built for this.

        What is provisional is verified first, unless it is wanted ``at_once``. Raises as
        ``rebuild`` does.
        """
        found = self._in_force
        if isinstance(found, Generation) and (at_once or not found.is_provisional):
            return found
        if isinstance(found, Generation):
            return self.rebuild()
        if found is None or not found.is_on_disk():
            return self.rebuild()
        try:
            return found.with_database(self._database_on_disk())
        except TreeError:
            return self.rebuild()

    def rebuild(
        self, *, progress: Progress | None = None, insist: bool = False, in_memory: bool = False
    ) -> Generation:
        """Read the tree anew, put the result in force and publish it.

        Callers who come while a rebuild is under way share the one that starts after it.
        ``insist`` publishes at once, even against another program that keeps overwriting the
        files. ``in_memory`` leaves the publication to the next rebuild, or to ``mend``. Raises
        TreeError where there is no tree, or no database can be made of it; then what was in force
        stays, with that as its ``problem``.
        """
        ticket = self._started + 1
        with self._rebuilding:
            shared = self._finished >= ticket and not (insist and self._publisher.waits())
            shared = shared and (in_memory or not self._put_off)
            if shared and (generation := self.generation) is not None:
                return generation
            self._started += 1
            if insist:
                self._publisher.settle()
            began, result = time.monotonic(), "failed"
            try:
                renewed = self._renew(progress, insist=insist, in_memory=in_memory)
                result = "done"
            except TreeError as error:
                self._keep_old(error)
                raise
            finally:
                self._finished = self._started
                self._options.rebuilds.add(time.monotonic() - began, result)
            self._lighten(renewed)  # which comes after the generation before is gone
            return renewed

    def refresh(self) -> None:
        """Read the tree anew where it, or what it is read by, is not as it was.

        Raises as ``rebuild`` does.
        """
        if not self._takes_over():
            self.rebuild()

    def confirm(self, generation: Generation) -> Generation:
        """Return what is in force once no file has come or gone that it does not know of.

        ``generation`` is in force now. The tree is not looked at where that can be told without;
        see sight.py. Raises as ``rebuild`` does.
        """
        asked = time.monotonic()
        if self._look.answers(asked, self.places()):
            return self.generation or generation  # which a rebuild may have put in force just now
        with self._look.lock:
            if self._look.answers(asked, self.places()):
                return self.current()
            began = time.monotonic()
            if not self.is_fresh():
                # Who wants what has just come need not wait for the disk; an event, or the next
                # look, has it written.
                is_followed = self._options.sight.observer is not None
                return self.rebuild(in_memory=self._resident and is_followed)
            self._look.note(began)
            return generation

    def places(self) -> frozenset[Place] | None:
        """Return the tree's directories, None where others may come to have modules of it."""
        return self._places.of(self._in_force)

    def is_fresh(self) -> bool:
        """Tell whether no file has come or gone since the last scan: a millisecond's look."""
        found = self._in_force
        if self.is_provisional():
            return False
        if isinstance(found, GivenUp):
            looks = found.shown_directories()
            return looks is not None and has_fresh_directories(str(self.directory), looks)
        return found is not None and (found.from_disk or is_fresh(found.database.inventory))

    def is_untouched(self) -> bool:
        """Tell whether the whole tree is as it was scanned; False where that is not sure."""
        found = self._in_force
        if self.is_provisional():
            return False
        if isinstance(found, GivenUp):
            looks = found.shown()
            return looks is not None and shows_the_same(str(self.directory), looks)
        return found is not None and (found.from_disk or is_untouched(found.database.inventory))

    def is_provisional(self) -> bool:
        """Tell whether what is in force is yet to be verified."""
        found = self.generation
        return found is not None and found.is_provisional

    def is_replaced(self) -> bool:
        """Tell whether the directory is another one than that which was read, as by a mount."""
        return self._in_force is not None and self._publisher.is_replaced()

    def note_removal(self) -> None:
        """Note that something is being removed from the tree just now; for any thread."""
        self._publisher.note_removal()

    def mend(self) -> None:
        """Publish again what another program wrote over, and what could not be written before.

        When it is written over again soon, the files are left as they are: a fight would help
        nobody. Files that have gone are not written before it shows that the modules stay. Does
        nothing while a rebuild is under way, which ends in a publication anyway.
        """
        if not self._options.publish or not self._rebuilding.acquire(blocking=False):
            return
        try:
            found = self._in_force
            if found is None or not self._is_to_mend(found):
                return
            if isinstance(found, GivenUp):
                self._renew(None, insist=False)
                return
            again = found.publication is not None
            mended = self._published(found, found.publication, asked=False, again=again)
            if mended != found:
                self._swap(mended)
            self._lighten(mended)
        except TreeError as error:
            self._keep_old(error)
        finally:
            self._rebuilding.release()

    def keep_records(self, *, insist: bool = False) -> None:
        """Store what was read of the tree, unless that was done since it last changed.

        To be called again from time to time: where there is no place for it now, one may come.
        That is tried ever less often, unless the tree has changed or the caller does ``insist``.
        """
        generation, store = self.generation, self._options.store
        if generation is None or generation.from_disk or store is None or not self._resident:
            return
        state = generation.number, generation.publication is not None
        if state == self._kept or not (insist or self._retries.are_due(state)):
            return
        if self._save(store, generation):
            self._kept = state
        else:
            self._retries.put_off(state)

    def give_up_unused(self) -> None:
        """Give up a database that somebody had built, once it is unlikely to be built again."""
        if self._resident or not self._rebuilding.acquire(blocking=False):
            return
        try:
            generation = self.generation
            is_late = time.monotonic() - self._read_at >= LINGER
            if generation is not None and is_late and not generation.from_disk:
                self._give_up(generation)
        finally:
            self._rebuilding.release()

    def linked_directories(self) -> tuple[Path, ...]:
        """Return the directories outside the tree that links in it lead to (DKMS)."""
        found = self._in_force
        if isinstance(found, GivenUp):
            return found.links
        return links_of(found) if found else ()

    def retire(self) -> bool:
        """Forget what is in force, and its records: the directory is gone, or no kernel's any more.

        What was published there is taken away, once it is quiet. Returns whether that is done.
        """
        with self._rebuilding:
            if self.directory.is_dir():
                if not self._publisher.is_quiet():
                    return False
                self._publisher.withdraw()
            if self._in_force is not None:
                log.info("%s: the module tree is gone", self.directory)
                self._swap(None)
            if self._options.store:
                self._options.store.forget(str(self.directory))
            self._kept = None
            return True

    def remember(self) -> None:
        """Take over what an earlier life published, where nothing is in force."""
        store = self._options.store
        remembered = store.load(str(self.directory)) if store else None
        if remembered is not None:
            self._publisher.adopt(remembered.published)

    def _swap(self, found: Generation | GivenUp | None) -> None:
        self._in_force = found
        self.refusal = ""
        self._options.swapped()

    def _renew(
        self, progress: Progress | None, *, insist: bool, in_memory: bool = False
    ) -> Generation:
        """Put the next generation in force, published; returns it with its database."""
        if not self.directory.is_dir():
            self._swap(None)
            raise no_tree(self.directory)
        if self._options.trusted_only:
            check_tree(self.directory)
        before, self._read_at = self._read_at, time.monotonic()
        self._publisher.note_place()
        inputs = inputs_of(self.directory)
        old, depmod_config = self._in_force, self._options.depmod_config(self.directory.name)
        database, problem = self._database(old, depmod_config, progress, lasting=insist)
        if old is not None and len(database.modules) < _count(old):
            self._publisher.note_removal_after(before)
        generation = self._next_generation(old, database, depmod_config.unread, problem)
        again = old is not None and old.publication is not None and is_built_of(old, database)
        self._written = (old.publication if old else None) or self._written
        self._put_off = in_memory
        if self._options.publish and not generation.from_disk and not in_memory:
            published = self._written
            generation = self._published(generation, published, asked=insist, again=again)
        self._read_by = inputs, depmod_config
        self._look.note(self._read_at)
        if self._resident or insist or generation.from_disk:
            self._swap(generation)
        else:
            self._give_up(generation)
        return generation

    def _lighten(self, generation: Generation) -> None:
        """Keep no large files in memory, but those that are about to be written."""
        is_due = self._put_off and self._options.publish and generation.publication is None
        if self._resident and not is_due and let_go(generation.database.files):
            give_memory_back()

    def _give_up(self, generation: Generation) -> None:
        """Keep of ``generation``, which is in force, what can be had again of the files on disk."""
        if self._options.store:
            self._save(self._options.store, generation)
        self._swap(given_up(generation, *self._read_by))

    def _next_generation(
        self,
        old: Generation | GivenUp | None,
        database: Database,
        unread: tuple[str, ...],
        problem: str,
        *,
        from_disk: bool = False,
    ) -> Generation:
        """Return the generation that ``database`` makes; with a ``problem`` it is ``from_disk``."""
        config = self._options.config()
        unread += config.unread
        self._options.unread.tell(unread)
        same = (
            old is not None and is_built_of(old, database) and _says_the_same(old, config, unread)
        )
        if not same:
            _log_problems(config, database)
            self._publisher.settle()
        return Generation(
            number=(old.number if old else 0) + (not same),
            release=self.directory.name,
            directory=self.directory,
            database=database,
            config=config,
            built=old.built if old and same else datetime.now(UTC),
            problem=problem or (database.cycles.message if database.cycles else ""),
            trusted_only=self._options.trusted_only,
            unread=unread,
            from_disk=from_disk or bool(problem),
        )

    def _database(
        self,
        old: Generation | GivenUp | None,
        config: DepmodConfig,
        progress: Progress | None,
        *,
        lasting: bool,
    ) -> tuple[Database, str]:
        """Build the database of what is in the tree now.

        Where that cannot be done, and nothing is in force, it is what the files on disk say; then
        the reason comes with it.
        """
        directory, release = str(self.directory), self.directory.name
        previous = old.database if isinstance(old, Generation) and not old.from_disk else None
        store = self._options.store
        remembered = store.load(directory) if store and previous is None else None
        if remembered is not None:
            self._publisher.adopt(remembered.published)
        try:
            database = rebuild(
                directory,
                release,
                config=config,
                previous=previous,
                remembered=remembered.inventory if remembered else None,
                progress=progress,
                leave_out=True,
                lasting=self._resident or lasting,
                objection=self._options.tree_objection(),
            )
        except TreeError as error:
            if old is not None and not (isinstance(old, Generation) and old.from_disk):
                raise
            try:
                return self._database_on_disk(), error.message
            except TreeError:
                raise error from None
        return database, ""

    def _database_on_disk(self) -> Database:
        """Return the database that the files on disk hold; raises TreeError."""
        if self._options.trusted_only:
            check_tree(self.directory)
            check_files(self.directory / name for name in OUTPUTS)
        with collector_paused():
            return read_published(
                str(self.directory), self.directory.name, self._options.tree_objection()
            )

    def _takes_over(self) -> bool:
        """Tell whether a database that was given up is still that of the tree.

        Its configuration is read anew then.
        """
        with self._rebuilding:
            found = self._in_force
            if not isinstance(found, GivenUp) or not self.is_untouched():
                return False
            depmod_config = self._options.depmod_config(self.directory.name)
            if depmod_config != found.depmod_config or inputs_of(self.directory) != found.inputs:
                return False
            config = self._options.config()
            unread = depmod_config.unread + config.unread
            if not _says_the_same(found, config, unread):
                summary = replace(found.summary, number=found.number + 1, unread=unread)
                self._swap(replace(found, summary=summary, config=config, unread=unread))
            return True

    def _is_to_mend(self, found: Generation | GivenUp) -> bool:
        """Tell whether the files on disk are not those in force, and may be written."""
        publication = found.publication
        if self._publisher.is_replaced():
            return False  # it is to be read first
        if self._publisher.is_contested or (publication and publication.stands()):
            self._misses_files = False
            return False
        is_missing = publication is not None and publication.lacks_some()
        if is_missing and not self._misses_files:
            self._publisher.note_removal()  # it may be the first of all that goes
        self._misses_files = is_missing
        if not self._publisher.is_quiet() or found.summary.left_out:
            return False
        if isinstance(found, Generation):
            return not found.from_disk
        is_late = time.monotonic() - self._read_at >= RETRY
        return publication is not None or not found.problem or is_late

    def _save(self, store: RecordStore, generation: Generation) -> bool:
        return store.save(generation.database.inventory, self._publisher.stamps)

    def _published(
        self, generation: Generation, before: Publication | None, *, asked: bool, again: bool
    ) -> Generation:
        """Write the databases; where that cannot be done they serve from memory alone."""
        database = generation.database
        publication = self._publisher.publish(database, before, asked=asked, again=again)
        self._written = None
        return replace(generation, publication=publication, problem=self._publisher.problem)

    def _keep_old(self, error: TreeError) -> None:
        about = told(LogKind.TREE_NOT_READ, release=self.directory.name)
        log.error("%s: %s", self.directory, error.message, extra=about)
        found = self._in_force
        if isinstance(found, Generation):
            self._swap(replace(found, problem=error.message))
        elif found is not None:
            summary = replace(found.summary, problem=error.message)
            self._swap(replace(found, summary=summary))
        elif error.reason is not Reason.TREE_NOT_FOUND:
            self.refusal = error.message


def no_tree(directory: Path) -> TreeError:
    """Return the error for a release that has no directory."""
    return TreeError(
        Reason.TREE_NOT_FOUND,
        f"could not open directory {directory}: No such file or directory",
        detail=str(directory),
    )


def _count(found: Generation | GivenUp) -> int:
    """Return how many modules it has."""
    if isinstance(found, GivenUp):
        return found.summary.module_count
    return len(found.database.modules)


def _says_the_same(old: Generation | GivenUp, config: Config, unread: tuple[str, ...]) -> bool:
    """Tell whether a reading of the configuration came to the same as before."""
    return unread == old.unread and all(
        getattr(config, each.name) == getattr(old.config, each.name) for each in fields(config)
    )


def _log_problems(config: Config, database: Database) -> None:
    if database.cycles:
        log.error("%s: %s", database.directory, database.cycles.message)
    for problem in config.problems:
        log.warning("%s", problem)
    for problem in database.problems[:PROBLEMS_LOGGED]:
        log.info("%s", problem)
