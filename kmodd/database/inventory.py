# SPDX-License-Identifier: Apache-2.0
"""What was found in a module tree: its directories, its files, and a record of each module.

All values here are frozen, and made anew by the next scan.
"""

from __future__ import annotations

import marshal

from kmodd.records import field, record
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from kmodd.config.depmod import DepmodConfig


class FileStamp(NamedTuple):
    """What tells that a file is still the one that was read (stat(2)); times in nanoseconds.

    A tuple like ModuleRecord, since a tree has thousands of both.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


NO_STAMP = FileStamp._make((0,) * 5)
"""Of a file that could not even be looked at."""


class ModuleRecord(NamedTuple):
    """One module file of a tree and what the database needs of its contents.

    ``path`` is relative to the tree's directory, in the spelling on disk, or absolute where the
    file lies outside it (depmod.d's ``external``). ``exports`` are the symbols with their CRCs as
    depmod sees them, ``imports`` the symbols that the module needs of others, in the order of its
    symbol table. ``aliases``, ``softdeps`` and ``weakdeps`` are the raw strings of .modinfo in
    file order, ``description`` is the first of that name, cut short where it is very long.
    ``error`` says why the file could not be read; such a record is listed with nothing of its
    contents.
    """

    path: str
    name: str
    stamp: FileStamp
    exports: tuple[tuple[str, int], ...] = ()
    imports: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    weakdeps: tuple[str, ...] = ()
    vermagic: str = ""
    description: str = ""
    error: str = ""


Identity: TypeAlias = "tuple[int, int, int, int]"
"""A directory's device, inode, mtime and ctime in nanoseconds."""


@record
class DirectoryListing:
    """What one directory of a tree held: paths relative to the tree, each kind sorted.

    ``identity`` tells that nothing came or went.
    """

    identity: Identity
    files: tuple[str, ...]
    directories: tuple[str, ...]
    links: tuple[str, ...]


@record
class Looks:
    """What an unchanged tree shows, by paths relative to it: its directories' identities, and the
    stamps of the modules that count.
    """

    directories: tuple[tuple[str, Identity], ...]
    modules: tuple[tuple[str, FileStamp], ...]

    def packed(self) -> bytes:
        """Return the same in a fifth of the memory, the two apart."""
        modules = [(path, tuple(stamp)) for path, stamp in self.modules]
        return marshal.dumps((marshal.dumps(self.directories), marshal.dumps(modules)))

    @classmethod
    def unpacked(cls, data: bytes) -> Looks:
        """Return what ``packed`` made bytes of."""
        directories, modules = map(marshal.loads, marshal.loads(data))
        return cls(directories, tuple([(path, FileStamp(*stamp)) for path, stamp in modules]))

    @classmethod
    def directories_alone(cls, data: bytes) -> Looks:
        """Return the same without the modules, in a tenth of the time."""
        directories, _ = marshal.loads(data)
        return cls(marshal.loads(directories), ())


class ScanMemory:
    """What the next scan of a tree may take as read; the one thing here that is not frozen.

    ``config`` is what the scan went by, if there was one. ``listings`` are directories by path,
    each to be used while its identity is the same; ``complete`` tells whether there are no
    others, and nothing else that could change unseen. ``unsettled`` are the names of modules to
    read again whatever their stamps say. ``looks`` is made of all that when it is first wanted.

    A rebuild that finds nothing new renews the memory of what it gives back. Rebuilds of one tree
    come one after the other; any other thread may read one field.
    """

    __slots__ = ("complete", "config", "listings", "looks", "unsettled")

    def __init__(
        self,
        config: DepmodConfig | None = None,
        listings: Mapping[str, DirectoryListing] | None = None,
        complete: bool = False,
        unsettled: frozenset[str] = frozenset(),
        looks: Looks | None = None,
    ) -> None:
        self.config = config
        self.listings = listings or {}
        self.complete = complete
        self.unsettled = unsettled
        self.looks = looks

    def renew(self, newer: ScanMemory) -> None:
        """Take over what a later scan remembers."""
        self.config = newer.config
        self.listings = newer.listings
        self.complete = newer.complete
        self.unsettled = newer.unsettled
        self.looks = newer.looks


@record(kw_only=True)
class Inventory:
    """What a scan found in a tree: all that a database is built from.

    ``records`` holds one record for each module, by name. ``order``, ``builtin`` and
    ``builtin_modinfo`` are the files of the kernel's build, None for one that is not there.
    ``problems`` are what depmod warns of as it reads the modules and their order; ``unread`` is
    what it says of a list of builtin modules that it cannot read, by the name of the file, since
    it reads these to make the indexes of them.
    Equal inventories make equal databases; ``memory`` is no part of that.
    """

    release: str
    directory: str
    records: Mapping[str, ModuleRecord]
    order: bytes | None = None
    builtin: bytes | None = None
    builtin_modinfo: bytes | None = None
    problems: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    memory: ScanMemory = field(default_factory=ScanMemory, compare=False)

    @property
    def listings(self) -> Mapping[str, DirectoryListing]:
        """The directories of the tree as they were listed, those that were at rest, by path."""
        return self.memory.listings
