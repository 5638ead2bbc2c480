# SPDX-License-Identifier: Apache-2.0
"""A tree's databases as its files have them, searched in place for one question.

They are read as libkmod reads them: a module is what modules.dep.bin lists. What is missing is
empty.
"""

from __future__ import annotations

import os
from mmap import ACCESS_READ, mmap

from kmodd.database import trie
from kmodd.database.inventory import NO_STAMP, ModuleRecord
from kmodd.database.text import decode, read_softdeps
from kmodd.errors import Reason, TreeError
from kmodd.names import module_name_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    Found = TypeVar("Found")

FILE_MAX = 1 << 28
"""Bytes of the largest file that is read: as far as the offsets in an index reach."""


class IndexFiles:
    """The files of a directory by their names, each mapped when it is first asked for."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._mapped: dict[str, bytes | mmap] = {}

    def __getitem__(self, name: str) -> bytes | mmap:
        if name not in self._mapped:
            self._mapped[name] = _mapped(f"{self._directory}/{name}")
        return self._mapped[name]

    def read(self, name: str) -> bytes:
        """Return the bytes of a file that is read as a whole."""
        return bytes(self[name])


class IndexedTree:
    """The databases at ``directory``, of which nothing is read before it is asked for.

    It answers what a Database answers to those who plan and look up names. A search raises
    TreeError (TREE_UNREADABLE) for an index that is damaged.
    """

    def __init__(self, directory: str, release: str) -> None:
        self.directory = directory
        self.release = release
        self.files = IndexFiles(directory)
        self.left_out: Mapping[str, str] = {}
        self._records: dict[str, ModuleRecord | None] = {}
        self._needs: dict[str, tuple[str, ...]] = {}
        self._softdeps: tuple[tuple[str, str], ...] | None = None

    @property
    def softdeps(self) -> tuple[tuple[str, str], ...]:
        """The lines of modules.softdep as (module, text)."""
        if self._softdeps is None:
            self._softdeps = read_softdeps(self.files.read("modules.softdep"))
        return self._softdeps

    @property
    def weakdeps(self) -> tuple[tuple[str, str], ...]:
        """The lines of modules.weakdep as (module, text)."""
        return read_softdeps(self.files.read("modules.weakdep"), "weakdep")

    @property
    def builtin_modinfo(self) -> bytes:
        """What modules.builtin.modinfo has."""
        return self.files.read("modules.builtin.modinfo")

    def add(self, record: ModuleRecord, needs: tuple[str, ...]) -> None:
        """Have a module that is in no file; ``needs`` are in the order to load them."""
        self._records[record.name] = record
        self._needs[record.name] = needs

    def names(self) -> list[str]:
        """Return the names of all modules."""

        def keys(index: bytes | mmap, _query: str) -> list[str]:
            return [decode(key) for key, _, _ in trie.read_index(index)]

        return self._search(keys, "modules.dep.bin", "")

    def module(self, name: str) -> ModuleRecord | None:
        """Return the record of the module ``name``: its path and its soft dependencies."""
        if name not in self._records:
            self._records[name] = self._looked_up(name)
        return self._records[name]

    def dependencies(self, name: str) -> tuple[ModuleRecord, ...]:
        """Return all that ``name`` needs in the order to load it, itself left out.

        Raises KeyError for a module that the tree does not hold. What has no line of its own is
        passed over.
        """
        if self.module(name) is None:
            raise KeyError(name)
        return tuple(filter(None, map(self.module, self._needs[name])))

    def search_aliases(self, query: str) -> tuple[str, ...]:
        """Return the modules with an alias that matches ``query``, by rising priority."""
        return self._search(trie.search_wild, "modules.alias.bin", query)

    def search_symbols(self, query: str) -> tuple[str, ...]:
        """Return the modules that export the symbol of ``query`` (``symbol:NAME``)."""
        return self._search(trie.search_wild, "modules.symbols.bin", query)

    def search_builtin_aliases(self, query: str) -> tuple[str, ...]:
        """Return the kernel's builtin modules with an alias that matches ``query``."""
        return self._search(trie.search_wild, "modules.builtin.alias.bin", query)

    def is_builtin(self, name: str) -> bool:
        """Tell whether the module ``name`` is part of the kernel itself."""
        return self._search(trie.search_exact, "modules.builtin.bin", name) is not None

    def _search(self, how: Callable[[bytes | mmap, str], Found], file: str, query: str) -> Found:
        """Search an index; raises TreeError that names it where it is damaged."""
        try:
            return how(self.files[file], query)
        except TreeError as error:
            what = f"{self.directory}/{file}: {error.message}"
            raise TreeError(error.reason, what, detail=self.directory) from None

    def _looked_up(self, name: str) -> ModuleRecord | None:
        line = self._search(trie.search_exact, "modules.dep.bin", name)
        if line is None:
            return None
        path, _, needs = line.partition(":")
        self._needs[name] = tuple(map(module_name_of_path, reversed(needs.split())))
        own = tuple(words for module, words in self.softdeps if module == name)
        return ModuleRecord(path, name, NO_STAMP, softdeps=own)


def _mapped(path: str) -> bytes | mmap:
    """Return the file's bytes, none where it cannot be read; raises TreeError for a huge one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        size = os.fstat(fd).st_size
        if size > FILE_MAX:
            raise TreeError(
                Reason.TREE_UNREADABLE,
                f"{path}: it has more than {FILE_MAX} bytes",
                detail=os.path.dirname(path),
            )
        return mmap(fd, size, access=ACCESS_READ) if size else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
