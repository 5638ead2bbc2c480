# SPDX-License-Identifier: Apache-2.0
"""What is in force for a release: with its database in memory, or with that on disk alone."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from kmodd.access.trusted_files import first_untrusted
from kmodd.config import Config
from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database, FileStamp, ModuleRecord
from kmodd.database.inventory import NO_STAMP, DirectoryListing, Looks
from kmodd.database.publish import Place, Publication
from kmodd.database.walk import looks_of, stamp_at, with_own_root
from kmodd.records import record, replace

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
"""The files beside the databases that a kernel's build leaves, and that depmod reads."""

TOLD_MAX = 100
"""Lines of each kind that are told of a tree."""


@record(kw_only=True)
class TreeSummary:
    """What is told of a release's tree and of the generation in force for it.

    ``left_out`` are modules that cannot be loaded, each with the reason in words. Of these,
    ``warnings`` and ``unread`` there are at most TOLD_MAX.
    """

    release: str
    directory: Path
    number: int
    built: datetime
    module_count: int
    published: bool
    problem: str
    warnings: tuple[str, ...]
    unread: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@record
class Generation:
    """One state of a release's tree and configuration; never changes once it is in force.

    ``publication`` are the files on disk, None where they could not or should not be written;
    ``problem`` says why not, or why a newer state of the tree could not be taken in. With
    ``trusted_only`` a module is only loaded from a file that none but root could have put there.
    ``unread`` say which directories and files of the configuration are not read for that reason.
    ``from_disk`` tells that the database is what the files on disk say, no tree having been read.
    The ``number`` is 0 where there is no tree, 1 for the first of it.
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
    from_disk: bool = False

    def believes(self, record: ModuleRecord) -> bool:
        """Tell whether what the file of a module in the tree says of other modules counts."""
        return not (self.trusted_only and first_untrusted(self.directory / record.path))

    @property
    def is_provisional(self) -> bool:
        """Tell whether it is what an earlier life has left on disk, which is yet to be verified."""
        return self.from_disk and not self.problem

    @property
    def is_published(self) -> bool:
        """Tell whether all of the database is on disk."""
        if self.is_provisional:
            return True
        return self.publication is not None and not self.database.unwritable

    @property
    def is_treeless(self) -> bool:
        """Tell whether there is no tree, but the configuration alone."""
        return self.number == 0

    @property
    def summary(self) -> TreeSummary:
        """What is told of it."""
        left_out = sorted(self.database.left_out.items())
        return TreeSummary(
            release=self.release,
            directory=self.directory,
            number=self.number,
            built=self.built,
            module_count=len(self.database.modules),
            published=self.is_published,
            problem=self.problem,
            warnings=self.database.problems[:TOLD_MAX],
            unread=self.unread[:TOLD_MAX],
            left_out=tuple(left_out[:TOLD_MAX]),
        )


@record(kw_only=True)
class GivenUp:
    """What is kept of a generation whose database was given up: its files on disk have it.

    ``mark`` tells the contents of the files from others; ``publication`` is as the generation's,
    without contents. ``looks`` (packed) is what the tree shows while it is as it was read, None
    where no look is enough; ``root`` is what was in its own directory. ``inputs`` are the stamps of
    the kernel's build lists, and ``depmod_config`` is what it was read by. ``links`` lead to
    directories outside the tree.
    """

    summary: TreeSummary
    config: Config
    unread: tuple[str, ...]
    publication: Publication | None
    mark: int
    looks: bytes | None
    root: DirectoryListing | None
    inputs: tuple[FileStamp, ...]
    depmod_config: DepmodConfig
    links: tuple[Path, ...]
    trusted_only: bool

    def shown(self) -> Looks | None:
        """Return what the tree shows while it is untouched."""
        if self.looks is None:
            return None
        directory = str(self.summary.directory)
        return with_own_root(directory, Looks.unpacked(self.looks), self.root)

    def shown_directories(self) -> Looks | None:
        """Return the same of the directories alone."""
        if self.looks is None:
            return None
        directory = str(self.summary.directory)
        return with_own_root(directory, Looks.directories_alone(self.looks), self.root)

    def is_on_disk(self) -> bool:
        """Tell whether the files on disk have its database still, and all of it."""
        publication = self.publication
        return self.summary.published and publication is not None and publication.stands()

    def with_database(self, database: Database) -> Generation:
        """Return the generation again, with what the files on disk say as its database."""
        return Generation(
            number=self.number,
            release=self.summary.release,
            directory=self.summary.directory,
            database=database,
            config=self.config,
            built=self.built,
            publication=self.publication,
            problem=self.problem,
            trusted_only=self.trusted_only,
            unread=self.unread,
            from_disk=True,
        )

    @property
    def number(self) -> int:
        """Which generation it is."""
        return self.summary.number

    @property
    def built(self) -> datetime:
        """When it came into force."""
        return self.summary.built

    @property
    def problem(self) -> str:
        """Why the files are not published, or not renewed."""
        return self.summary.problem


def no_summary(directory: Path, problem: str) -> TreeSummary:
    """Return what is told of a tree that there is no generation for, and why."""
    return TreeSummary(
        release=directory.name,
        directory=directory,
        number=0,
        built=datetime.fromtimestamp(0, UTC),
        module_count=0,
        published=False,
        problem=problem,
        warnings=(),
        unread=(),
        left_out=(),
    )


def given_up(
    generation: Generation, inputs: tuple[FileStamp, ...], depmod_config: DepmodConfig
) -> GivenUp:
    """Return what is to be kept of ``generation``, which was read from ``inputs`` and so on."""
    looks = looks_of(generation.database.inventory)
    publication = generation.publication
    return GivenUp(
        summary=generation.summary,
        config=generation.config,
        unread=generation.unread,
        publication=replace(publication, files={}) if publication else None,
        mark=_mark_of(generation.database.files),
        looks=looks.packed() if looks else None,
        root=generation.database.inventory.listings.get(""),
        inputs=inputs,
        depmod_config=depmod_config,
        links=links_of(generation),
        trusted_only=generation.trusted_only,
    )


def is_built_of(found: Generation | GivenUp, database: Database) -> bool:
    """Tell whether ``database`` is no other than that of ``found``."""
    if isinstance(found, Generation):
        return found.database is database
    return found.mark == _mark_of(database.files)


class TreePlaces:
    """Where the directories of what is in force are: worked out once, and swapped as one."""

    def __init__(self) -> None:
        self._known: tuple[object, frozenset[Place]] = (None, frozenset())

    def of(self, found: Generation | GivenUp | None) -> frozenset[Place] | None:
        """Return the places, None where the directories are not all that modules can come by."""
        memory = found.database.inventory.memory if isinstance(found, Generation) else None
        if found is None or (memory is not None and not memory.complete):
            return None
        key, known = self._known
        source = found if memory is None else memory.listings
        if key is not source:
            identities = _identities(found)
            if identities is None:
                return None
            known = frozenset((device, inode) for device, inode, *_ in identities)
            self._known = source, known
        return known


def _identities(found: Generation | GivenUp) -> Iterable[tuple[int, int, int, int]] | None:
    if isinstance(found, Generation):
        return [each.identity for each in found.database.inventory.listings.values()]
    looks = found.shown_directories()
    return [identity for _, identity in looks.directories] if looks else None


def is_current(database: Database) -> bool:
    """Tell whether the databases on disk, read as ``database``, look like those of their tree.

    All modules are there, and none has come or changed since. What is there besides does not show.
    """
    written = stamp_at(database.directory, "modules.dep.bin").ctime_ns
    stamps = [record.stamp for record in database.modules.values()]
    return NO_STAMP not in stamps and all(stamp.ctime_ns <= written for stamp in stamps)


def links_of(generation: Generation) -> tuple[Path, ...]:
    """Return the directories outside the tree that links in it, or depmod.d's externals, lead to.

    What is below another of them is left out.
    """
    listings = generation.database.inventory.listings
    links = (link for listing in listings.values() for link in listing.links if link in listings)
    tops = (path for path in listings if path.startswith("/"))
    externals = (path for path in tops if path.rpartition("/")[0] not in listings)
    return tuple(Path(generation.directory, path).resolve() for path in (*links, *externals))


def inputs_of(directory: Path) -> tuple[FileStamp, ...]:
    """Return the stamps of the files that a database is built from beside the modules."""
    return tuple(stamp_at(str(directory), name) for name in INPUTS)


def _mark_of(files: Mapping[str, bytes]) -> int:
    """Return a number that other contents do not have in this process."""
    return hash(tuple(files.items()))
