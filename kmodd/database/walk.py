# SPDX-License-Identifier: Apache-2.0
"""A walk through a module tree: which module files there are, and whether any of it has changed.

The walk takes what depmod takes: every file with a module's suffix, through symbolic links too,
but for what is called ``build`` or ``source``. It differs where depmod goes astray: a link that
leads back to a directory above itself is not followed (depmod goes round until the path is too
long).
"""

from __future__ import annotations

import errno
import os
import stat

from kmodd.database.inventory import NO_STAMP, DirectoryListing, FileStamp, Inventory, Looks
from kmodd.errors import Reason, TreeError
from kmodd.names import MODULE_SUFFIXES
from kmodd.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kmodd.config.depmod import DepmodConfig
    from kmodd.database.inventory import Identity, ModuleRecord

SKIPPED = frozenset({"build", "source"})
"""Links to the kernel's sources that lie beside the modules; depmod skips them at any depth."""

MAX_DIRECTORIES = 100_000
"""Directories of one tree, each way to one counted; Debian's tree has 883."""

_Place = tuple[int, int]
"""The device and inode of a directory."""

_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Walk:
    """One walk through a tree.

    ``known`` are listings of an earlier walk, and ``read`` what is known of files by their paths.
    ``listings`` gathers those that the next one may
    use: of directories that were at rest since ``settled_before`` (nanoseconds of the clock);
    ``complete`` tells whether that is all there is to know.
    """

    def __init__(
        self,
        directory: str,
        config: DepmodConfig,
        known: Mapping[str, DirectoryListing],
        read: Mapping[str, ModuleRecord],
        settled_before: int,
    ) -> None:
        self.directory = directory
        self.listings: dict[str, DirectoryListing] = {}
        self.problems: list[str] = []
        self.complete = True
        self._config = config
        self._known = known
        self._read = read
        self._settled_before = settled_before

    def files(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of each module file, relative to the tree, and whether it is as known.

        A file that is not known is not looked at, since it is to be read. Raises TreeError
        (TREE_UNREADABLE) for a tree that has no end.
        """
        try:
            root = os.open(self.directory, _OPEN_DIRECTORY)
        except OSError:
            root = -1
        try:
            yield from self._files(root)
        finally:
            if root >= 0:
                os.close(root)

    def _files(self, root: int) -> Iterator[tuple[str, bool]]:
        """Yield the same; ``root`` is the tree's directory, -1 where it cannot be opened."""
        pending: list[tuple[str, tuple[_Place, ...]]]
        pending = [(each, ()) for each in (*self._config.externals, "")]
        visits = 0
        while pending:
            path, above = pending.pop()
            status = self._stat(path, expected=path in self._config.externals)
            if status is None or (status.st_dev, status.st_ino) in above:
                continue
            visits += 1
            if visits > MAX_DIRECTORIES:
                raise TreeError(
                    Reason.TREE_UNREADABLE,
                    f"{self.directory} has more than {MAX_DIRECTORIES} directories",
                )
            listing = self._listing(path, status)
            read, stat_of = self._read, os.stat
            for file in listing.files:
                record = read.get(file)
                if record is None:
                    yield file, False
                    continue
                try:
                    found = stat_of(file, dir_fd=root)  # the tree's own path is looked up once
                except OSError:
                    lost = self._stat(file)
                    if lost is None:
                        continue
                    found = lost
                yield file, is_same(record.stamp, found)
            directories = list(listing.directories)
            for link in listing.links:
                target = self._stat(link)
                if target and stat.S_ISDIR(target.st_mode):
                    directories.append(link)
                elif target and _is_module(link, target):
                    yield link, self._is_known(link, target)
                else:
                    self.complete = False
            above = (*above, (status.st_dev, status.st_ino))
            pending += ((each, above) for each in directories)

    def named(self, paths: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Yield the same for the files at ``paths``, which are absolute, whatever their names."""
        self.complete = False
        for path in paths:
            inside = path.removeprefix(f"{self.directory}/")
            status = self._stat(inside)
            if status and stat.S_ISREG(status.st_mode):
                yield inside, self._is_known(inside, status)
            else:
                self.problems.append(f"ERROR: {path} is no module file")

    def lose(self, path: str, why: str) -> None:
        """Take note of a file that was listed, but could not be looked at for that reason."""
        self.complete = False
        if why != os.strerror(errno.ENOENT):
            self._complain(path, why)

    def _is_known(self, path: str, status: os.stat_result) -> bool:
        record = self._read.get(path)
        return record is not None and is_same(record.stamp, status)

    def _stat(self, path: str, *, expected: bool = False) -> os.stat_result | None:
        """Return what stat(2) says, None for what is not there (any more).

        That is a problem where it is ``expected``, and where a link leads there.
        """
        place = full_path(self.directory, path)
        try:
            return os.stat(place)
        except OSError as error:
            if error.errno == errno.ENOENT and not expected and not os.path.islink(place):
                self.complete = False
                return None
            self._complain(path, os.strerror(error.errno or 0))
        return None

    def _listing(self, path: str, status: os.stat_result) -> DirectoryListing:
        """Return what is in the directory ``path``, read only if that may have changed."""
        identity = _identity(status)
        listing = self._known.get(path)
        if listing is None or listing.identity != identity:
            try:
                listing = _list(self.directory, path, identity)
            except OSError as error:
                self._complain(path, os.strerror(error.errno or 0))
                return DirectoryListing(identity, (), (), ())
        if status.st_ctime_ns < self._settled_before:
            self.listings[path] = listing
        else:
            self.complete = False
        return _without(listing, self._config.excludes) if self._config.excludes else listing

    def _complain(self, path: str, why: str) -> None:
        self.complete = False
        self.problems.append(f"ERROR: could not open {full_path(self.directory, path)}: {why}")


def full_path(directory: str, path: str) -> str:
    """Return the path to open for one relative to ``directory``, or absolute outside of it."""
    return path if path.startswith("/") else f"{directory}/{path}"


def file_stamp(status: os.stat_result) -> FileStamp:
    """Return the stamp of the file that ``status`` describes."""
    return FileStamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def stamp_at(directory: str, path: str) -> FileStamp:
    """Return the stamp of a file, relative to ``directory`` or absolute; NO_STAMP without one."""
    try:
        return file_stamp(os.stat(full_path(directory, path)))
    except OSError:
        return NO_STAMP


def is_same(stamp: FileStamp, status: os.stat_result) -> bool:
    """Tell whether ``status`` is of the file that ``stamp`` was taken of, unchanged."""
    return (
        stamp.ctime_ns == status.st_ctime_ns
        and stamp.inode == status.st_ino
        and stamp.mtime_ns == status.st_mtime_ns
        and stamp.size == status.st_size
        and stamp.device == status.st_dev
    )


def is_untouched(inventory: Inventory) -> bool:
    """Tell whether a whole tree is as it was when ``inventory`` was taken of it.

    Nothing is listed, every directory and module is looked at; False where that is not enough
    to be sure.
    """
    if inventory.memory.looks is None and not _has_same_directories(inventory):
        return False  # which is seldom a module's fault, and saves making its looks
    looks = looks_of(inventory)
    return looks is not None and shows_the_same(inventory.directory, looks)


def looks_of(inventory: Inventory) -> Looks | None:
    """Return what the tree shows while it is untouched, None where no look is enough."""
    memory = inventory.memory
    if not memory.complete or memory.unsettled:
        return None
    if memory.looks is None:
        memory.looks = _looks(inventory)
    return memory.looks


def shows_the_same(directory: str, looks: Looks) -> bool:
    """Tell whether the tree at ``directory`` still looks like that."""
    try:
        root = os.open(directory, _OPEN_DIRECTORY)
    except OSError:
        return False
    try:
        return _shows_the_same(root, looks)
    except OSError:
        return False
    finally:
        os.close(root)


def with_own_root(directory: str, looks: Looks, root: DirectoryListing | None) -> Looks:
    """Return ``looks`` with the tree's own directory as it is now, if that holds what ``root`` did.

    The databases come and go there, and change its times.
    """
    try:
        identity = _identity(os.stat(directory))
        now = _list(directory, "", identity) if root else None
    except OSError:
        return looks
    if root is None or now is None or replace(now, identity=root.identity) != root:
        return looks
    (name, _), *rest = looks.directories
    return Looks(((name, identity), *rest), looks.modules)


def _looks(inventory: Inventory) -> Looks:
    return Looks(
        _directories(inventory),
        tuple([(record.path, record.stamp) for record in inventory.records.values()]),
    )


def _directories(inventory: Inventory) -> tuple[tuple[str, Identity], ...]:
    listings = inventory.memory.listings.items()
    return tuple([(path or ".", listing.identity) for path, listing in listings])


def _has_same_directories(inventory: Inventory) -> bool:
    return shows_the_same(inventory.directory, Looks(_directories(inventory), ()))


def _shows_the_same(root: int, looks: Looks) -> bool:
    """Tell whether all directories, and the modules that count, are as they were.

    A module's mtime is left out, since nothing changes it without the ctime. Debian's 4,023 take
    9 ms, nearly all of it system calls.
    """
    stat_of = os.stat
    for path, identity in looks.directories:
        if _identity(stat_of(path, dir_fd=root)) != identity:
            return False
    for path, stamp in looks.modules:
        status = stat_of(path, dir_fd=root)
        if (
            status.st_ctime_ns != stamp.ctime_ns
            or status.st_ino != stamp.inode
            or status.st_size != stamp.size
        ):
            return False
    return True


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _is_module(path: str, status: os.stat_result) -> bool:
    return path.endswith(MODULE_SUFFIXES) and stat.S_ISREG(status.st_mode)


def _list(directory: str, path: str, identity: Identity) -> DirectoryListing:
    files, directories, links = [], [], []
    with os.scandir(full_path(directory, path)) as entries:
        for entry in entries:
            name = entry.name
            if name in SKIPPED:
                continue
            inside = f"{path}/{name}" if path else name
            if entry.is_symlink():
                links.append(inside)
            elif entry.is_dir(follow_symlinks=False):
                directories.append(inside)
            elif name.endswith(MODULE_SUFFIXES) and entry.is_file(follow_symlinks=False):
                files.append(inside)
    return DirectoryListing(
        identity, tuple(sorted(files)), tuple(sorted(directories)), tuple(sorted(links))
    )


def _without(listing: DirectoryListing, excludes: frozenset[str]) -> DirectoryListing:
    """Return ``listing`` without what depmod.d excludes by its name."""

    def kept(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(path for path in paths if path.rpartition("/")[2] not in excludes)

    return DirectoryListing(
        listing.identity, kept(listing.files), kept(listing.directories), kept(listing.links)
    )
