# SPDX-License-Identifier: Apache-2.0
"""What those who look up names and plan ask of a tree's databases, wherever these are."""

from collections.abc import Iterable, Mapping
from mmap import mmap
from typing import Protocol

from kmodd.database.inventory import ModuleRecord


class Files(Protocol):
    """The files by their names; of what there is no file there are no bytes."""

    def __getitem__(self, name: str, /) -> bytes | mmap:
        """Return a file's bytes."""


class Tables(Protocol):
    """A Database, or what answers as one does; see there for what each of these is."""

    @property
    def directory(self) -> str:
        """The tree's directory."""

    @property
    def files(self) -> Files:
        """The files."""

    @property
    def softdeps(self) -> tuple[tuple[str, str], ...]:
        """The lines of modules.softdep."""

    @property
    def weakdeps(self) -> tuple[tuple[str, str], ...]:
        """The lines of modules.weakdep."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """The modules that cannot be loaded, each with the reason."""

    @property
    def builtin_modinfo(self) -> bytes:
        """What builtin modules say of themselves."""

    def names(self) -> Iterable[str]:
        """Return the names of all modules."""

    def module(self, name: str, /) -> ModuleRecord | None:
        """Return the record of a module."""

    def dependencies(self, name: str, /) -> tuple[ModuleRecord, ...]:
        """Return all that a module needs, in the order to load it."""

    def search_aliases(self, query: str, /) -> tuple[str, ...]:
        """Return the modules with an alias that matches."""

    def search_symbols(self, query: str, /) -> tuple[str, ...]:
        """Return the modules that export a symbol."""

    def search_builtin_aliases(self, query: str, /) -> tuple[str, ...]:
        """Return the builtin modules with an alias that matches."""

    def is_builtin(self, name: str, /) -> bool:
        """Tell whether a module is part of the kernel itself."""
