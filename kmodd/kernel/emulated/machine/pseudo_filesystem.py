# SPDX-License-Identifier: Apache-2.0
"""A tree of names that modules have made: /proc, debugfs, /dev, /sys."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

DEPTH_MAX = 64
"""How deep a tree may become."""


DIRECTORY_MODE = 0o755
"""The permissions of a directory that nobody has given any."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    parent: int
    is_directory: bool
    mode: int
    module: str
    content: Any


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as a listing has it. ``mode`` are its permissions, ``module`` who has made it.

    ``content`` is what can be opened (functions/open_files.py), None where nothing can.
    """

    entry: int
    path: str
    is_directory: bool
    mode: int
    module: str
    content: Any = None


class PseudoFilesystem:
    """Entries by the number that stands for each; 0, and what is not known, is the root.

    ``kind`` is what an entry is called on a ledger, ``root`` the path of the tree.
    """

    def __init__(self, kind: str, root: str) -> None:
        self.kind = kind
        self.root = root
        self._entries: dict[int, _Entry] = {}
        self._named: dict[tuple[int, str], list[int]] = {}
        self._below: dict[int, dict[int, None]] = {}
        self._made: dict[str, dict[int, None]] = {}

    def add(
        self,
        entry: int,
        parent: int,
        name: str,
        *,
        is_directory: bool,
        mode: int = 0,
        module: str = "",
        content: Any = None,
    ) -> str:
        """Add an entry and return its path; ``name`` may lead through directories of the tree.

        ``mode`` are its permissions, ``module`` is who makes it, ``content`` what can be opened.
        """
        above = parent if parent in self._entries else 0
        through, _, last = name.rpartition("/")
        directory = self.find(above, through) if through else None
        if directory is not None:
            above, name = directory, last
        mode = mode or (DIRECTORY_MODE if is_directory else 0)
        self._drop(entry)
        self._named.setdefault((above, name), []).append(entry)
        self._below.setdefault(above, {})[entry] = None
        self._made.setdefault(module, {})[entry] = None
        self._entries[entry] = _Entry(name, above, is_directory, mode, module, content)
        return self.path(entry)

    def find(self, parent: int, name: str) -> int | None:
        """Return the entry of that name, which may be a path below ``parent``."""
        above = parent if parent in self._entries else 0
        if found := self._named.get((above, name)):
            return found[0]
        # A name may itself have a slash: where no directory was there for its beginning.
        for at in (at for at, letter in enumerate(name) if letter == "/"):
            for directory in self._named.get((above, name[:at]), ()):
                if (entry := self.find(directory, name[at + 1 :])) is not None:
                    return entry
        return None

    def child(self, parent: int, name: str) -> int | None:
        """Return the entry of that name right below ``parent``."""
        named = self._named.get((parent if parent in self._entries else 0, name))
        return named[-1] if named else None

    def remove(self, entry: int) -> tuple[int, ...]:
        """Remove an entry, and return it and all that was below it."""
        if entry not in self._entries:
            return ()
        gone = [entry]
        for each in gone:
            gone += self._below.get(each, ())
        for each in gone:
            self._drop(each)
            self._below.pop(each, None)
        return tuple(gone)

    def remove_listed(self, entry: int) -> tuple[Listed, ...]:
        """Remove an entry, and return as a listing has them it and all that was below it."""
        below = [entry] if entry in self._entries else []
        for each in below:
            below += self._below.get(each, ())
        found = tuple(map(self.listed, below))
        self.remove(entry)
        return found

    def rename(self, entry: int, name: str) -> None:
        """Give an entry another name."""
        data = self._entries[entry]
        self._forget_name(entry, data)
        self._named.setdefault((data.parent, name), []).append(entry)
        self._entries[entry] = replace(data, name=name)

    def parent(self, entry: int) -> int:
        """Return the entry that another is right below, 0 for the root."""
        return self._entries[entry].parent

    def _drop(self, entry: int) -> None:
        data = self._entries.pop(entry, None)
        if data is not None:
            self._forget_name(entry, data)
            self._below.get(data.parent, {}).pop(entry, None)
            made = self._made[data.module]
            del made[entry]
            if not made:
                del self._made[data.module]

    def _forget_name(self, entry: int, data: _Entry) -> None:
        named = self._named[data.parent, data.name]
        named.remove(entry)
        if not named:
            del self._named[data.parent, data.name]

    def path(self, entry: int) -> str:
        """Return the path of an entry."""
        names = list[str]()
        while entry in self._entries and len(names) < DEPTH_MAX:
            names.append(self._entries[entry].name)
            entry = self._entries[entry].parent
        return "/".join([self.root, *reversed(names)])

    def forget(self, module: str) -> None:
        """Remove what a module has made, and all that is below it."""
        for entry in tuple(self._made.get(module, ())):
            self.remove(entry)

    def __contains__(self, entry: int) -> bool:
        """Tell whether there is such an entry."""
        return entry in self._entries

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def listing(self) -> Iterator[Listed]:
        """Yield each entry."""
        for entry in self._entries:
            yield self.listed(entry)

    def listed(self, entry: int) -> Listed:
        """Return an entry as a listing has it."""
        data, path = self._entries[entry], self.path(entry)
        return Listed(entry, path, data.is_directory, data.mode, data.module, data.content)


class Mounts:
    """Those that a machine has; for who holds it."""

    def __init__(self) -> None:
        self.proc = PseudoFilesystem("proc entry", "/proc")
        self.debugfs = PseudoFilesystem("debugfs entry", "/sys/kernel/debug")
        self.dev = PseudoFilesystem("device node", "/dev")
        self.sysfs = PseudoFilesystem("sysfs entry", "/sys")
        self._all = self.dev, self.proc, self.debugfs, self.sysfs

    def listing(self) -> Iterator[Listed]:
        """Yield each entry of all of them."""
        for each in self._all:
            yield from each.listing()

    def find(self, path: str) -> Listed | None:
        """Return the entry of an absolute path, which is in order, if there is one."""
        for tree in self._all:
            if path.startswith(tree.root + "/"):
                entry = tree.find(0, path[len(tree.root) + 1 :])
                if entry is not None:
                    return tree.listed(entry)
        return None
