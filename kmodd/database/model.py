# SPDX-License-Identifier: Apache-2.0
"""What is known of a module tree: its files as records, and the whole of it as a Database.

All values here are frozen: a rebuild makes a new Database, and whoever holds the old one reads
on undisturbed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kmodd.database import trie

if TYPE_CHECKING:
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


NO_STAMP = FileStamp(0, 0, 0, 0, 0)
"""Of a file that could not even be looked at."""


class ModuleRecord(NamedTuple):
    """One module file of a tree and what the database needs of its contents.

    ``path`` is relative to the tree's directory, in the spelling on disk, or absolute where the
    file lies outside it (depmod.d's ``external``). ``exports`` are the symbols with their CRCs as
    depmod sees them, ``imports`` the symbols that the module needs of others, in the order of its
    symbol table. ``aliases``, ``softdeps`` and ``weakdeps`` are the raw strings of .modinfo in
    file order. ``error`` says why the file could not be read; such a record is listed with
    nothing of its contents.
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
    error: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one directory of a tree held: paths relative to the tree, each kind sorted.

    ``identity`` (device, inode, mtime, ctime in nanoseconds) tells that nothing came or went.
    """

    identity: tuple[int, int, int, int]
    files: tuple[str, ...]
    directories: tuple[str, ...]
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looks:
    """What an unchanged tree shows, by paths relative to it: its directories' identities, and the
    stamps of the modules that count.
    """

    directories: tuple[tuple[str, tuple[int, int, int, int]], ...]
    modules: tuple[tuple[str, FileStamp], ...]


@dataclass(slots=True)
class ScanMemory:
    """What the next scan of a tree may take as read; the one thing here that is not frozen.

    ``config`` is what the scan went by, if there was one. ``listings`` are directories by path,
    each to be used while its identity is the same; ``complete`` tells whether there are no
    others, and nothing else that could change unseen. ``unsettled`` are the names of modules to
    read again whatever their stamps say. ``looks`` is made of all that when it is first wanted.

    A rebuild that finds nothing new renews the memory of what it gives back. Rebuilds of one tree
    come one after the other; any other thread may read one field.
    """

    config: "DepmodConfig | None" = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    complete: bool = False
    unsettled: frozenset[str] = frozenset()
    looks: Looks | None = None

    def renew(self, newer: "ScanMemory") -> None:
        """Take over what a later scan remembers."""
        self.config = newer.config
        self.listings = newer.listings
        self.complete = newer.complete
        self.unsettled = newer.unsettled
        self.looks = newer.looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a scan found in a tree: all that a database is built from.

    ``records`` holds one record for each module, by name. ``order``, ``builtin`` and
    ``builtin_modinfo`` are the files of the kernel's build, None for one that is not there.
    Equal inventories make equal databases; ``memory`` is no part of that.
    """

    release: str
    directory: str
    records: Mapping[str, ModuleRecord]
    order: bytes | None = None
    builtin: bytes | None = None
    builtin_modinfo: bytes | None = None
    problems: tuple[str, ...] = ()
    memory: ScanMemory = field(default_factory=ScanMemory, compare=False)

    @property
    def listings(self) -> Mapping[str, Listing]:
        """The directories of the tree as they were listed, those that were at rest, by path."""
        return self.memory.listings


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Which module needs which, closed: everything that must be there before it.

    ``order`` names all modules, each one after all that it needs. A closure is a set of
    positions in ``order`` as the bits of an integer, so that trees in which everything needs
    everything stay cheap.
    """

    order: tuple[str, ...]
    closures: Mapping[str, int]

    def users_first(self, name: str) -> list[str]:
        """Return all that ``name`` needs, each one before what itself needs (modules.dep)."""
        needed: list[str] = []
        rest = self.closures[name]
        while rest:
            position = rest.bit_length() - 1
            needed.append(self.order[position])
            rest ^= 1 << position
        return needed


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a database's files, and what there was to complain of when they were made."""

    files: Mapping[str, bytes]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """Something of a database, and all that it was made of: equal ingredients, equal thing."""

    made_of: object
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One generation of a module tree's database; safe to share between threads.

    ``directory`` is the tree's (``.../lib/modules/<release>``). ``modules`` maps each name to its
    record in the order of priority, ``softdeps`` and ``weakdeps`` are the lines of the files of
    these names as (module, text). ``files`` maps each file's name to its bytes in the order in
    which depmod writes them. ``problems`` are what depmod would warn of, one line each, as it
    words them after its own name. ``inventory`` and ``makings`` serve the next build alone.
    """

    release: str
    directory: str
    modules: Mapping[str, ModuleRecord]
    builtins: frozenset[str]
    needs: Dependencies
    softdeps: tuple[tuple[str, str], ...]
    weakdeps: tuple[tuple[str, str], ...]
    files: Mapping[str, bytes]
    problems: tuple[str, ...]
    inventory: Inventory
    makings: Mapping[str, Made]
    symbol_prefix: str = ""

    def module(self, name: str) -> ModuleRecord | None:
        """Return the record of the module ``name`` (spelled with underscores), if there is one."""
        return self.modules.get(name)

    def dependencies(self, name: str) -> tuple[ModuleRecord, ...]:
        """Return all that ``name`` needs in the order to load it, itself left out.

        Raises KeyError for a module that the tree does not hold.
        """
        return tuple(self.modules[each] for each in reversed(self.needs.users_first(name)))

    def search_aliases(self, query: str) -> tuple[str, ...]:
        """Return the modules with an alias that matches ``query``, by rising priority."""
        return self._search("modules.alias.bin", query)

    def search_symbols(self, query: str) -> tuple[str, ...]:
        """Return the modules that export the symbol of ``query`` (``symbol:NAME``)."""
        return self._search("modules.symbols.bin", query)

    def search_builtin_aliases(self, query: str) -> tuple[str, ...]:
        """Return the kernel's builtin modules with an alias that matches ``query``."""
        return self._search("modules.builtin.alias.bin", query)

    def is_builtin(self, name: str) -> bool:
        """Tell whether the module ``name`` is part of the kernel itself."""
        return name in self.builtins

    def _search(self, file: str, query: str) -> tuple[str, ...]:
        return trie.search_wild(self.files[file], query)
