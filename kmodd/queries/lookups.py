# SPDX-License-Identifier: Apache-2.0
"""Questions about a release's modules and configuration, which change nothing."""

from __future__ import annotations

from kmodd.config import Config
from kmodd.errors import NotFoundError
from kmodd.names import check_query, module_name
from kmodd.plan import Resolution, resolve, resolve_module
from kmodd.queries.modinfo import ModuleInfo, info_of_builtin, info_of_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol, TypeVar

    from kmodd.database.device_nodes import DeviceNode
    from kmodd.database.tables import Tables
    from kmodd.queries.dependencies import ModuleNeeds
    from kmodd.queries.search import FoundModule, Search

    Answer = TypeVar("Answer")

    class State(Protocol):
        """The state of a release's tree at one moment: a Generation, or what serves as one."""

        @property
        def release(self) -> str:
            """The release."""

        @property
        def number(self) -> int:
            """Counts the states of a tree."""

        @property
        def database(self) -> Tables:
            """The databases."""

        @property
        def config(self) -> Config:
            """The configuration."""

        @property
        def is_treeless(self) -> bool:
            """Whether there is nothing to look at once more."""

        @property
        def from_disk(self) -> bool:
            """Whether the databases do not tell what modules import."""

    class Source(Protocol):
        """Where states come from: Trees, or what serves as them."""

        def current(self, release: str = "", /, *, treeless: bool = False) -> State:
            """Return the state in force."""

        def confirm(self, state: Any, /) -> State:
            """Return the state that tells what is on disk."""

        def rebuild(self, release: str = "", /) -> State:
            """Return a state that tells what modules import."""


_NO_CONFIG = Config()


class Lookups:
    """Answers from the generation in force; holds no state of its own.

    ``release`` is "" for the kernel's own. Without a tree the configuration is all there is, and
    answers for what it names. Where a tree has changed since it was last scanned, a
    name that is not found is looked up once more in the new state of it.
    """

    def __init__(self, trees: Source) -> None:
        self._trees = trees

    def resolve(self, name: str, release: str = "") -> tuple[Resolution, Config]:
        """Return what ``name`` stands for, and the configuration that said so (``modprobe -R``).

        Raises as ``kmodd.plan.resolve`` does.
        """

        def ask(generation: State) -> tuple[Resolution, Config]:
            found = resolve(name, generation.database, generation.config)
            return found, generation.config

        return self._answer(release, ask, treeless=True)

    def module_infos(
        self,
        name: str,
        release: str = "",
        *,
        by_module_name: bool = False,
        symbols: bool = False,
    ) -> tuple[ModuleInfo, ...]:
        """Return what each module says of itself that ``name`` stands for (modinfo(8)).

        The configuration's aliases do not count, nor do others with ``by_module_name``. What is
        imported and exported is told with ``symbols``. Raises as ``resolve`` does.
        """

        def ask(generation: State) -> tuple[ModuleInfo, ...]:
            database = generation.database
            if by_module_name:
                found = resolve_module(module_name(check_query(name)), database)
            else:
                found = resolve(name, database, _NO_CONFIG)
            return tuple(_info(target.name, database, symbols=symbols) for target in found.targets)

        return self._answer(release, ask)

    def configuration(self, release: str = "") -> tuple[Config, Tables]:
        """Return the configuration as it is in force for a release's modules, and their database.

        The lines of modules.softdep and modules.weakdep are sorted in (``modprobe -c``).
        """
        generation = self._trees.current(release, treeless=True)
        database = generation.database
        return generation.config.with_tree(database.softdeps, database.weakdeps), database

    def needs(
        self, name: str, release: str = ""
    ) -> tuple[tuple[str, ...], tuple[ModuleNeeds, ...]]:
        """Return the modules that ``name`` stands for, and what they and all below them need.

        Raises as ``resolve`` does.
        """
        from kmodd.queries.dependencies import needs_of

        def ask(generation: State) -> tuple[tuple[str, ...], tuple[ModuleNeeds, ...]]:
            if generation.from_disk:  # which tells what all of it needs together, and no more
                generation = self._trees.rebuild(release)
            return needs_of(name, generation.database, generation.config)

        return self._answer(release, ask)

    def search(self, search: Search, release: str = "") -> Iterator[FoundModule]:
        """Yield the modules that are looked for; raises as ``search_modules`` does."""
        from kmodd.queries.search import search_modules

        generation = self._trees.current(release)
        if generation.from_disk and search.reads_descriptions:  # which are in no file on disk
            generation = self._trees.rebuild(release)
        return search_modules(search, generation.database)

    def device_nodes(self, release: str = "") -> tuple[DeviceNode, ...]:
        """Return the device nodes whose opening loads a module (modules.devname)."""
        from kmodd.database.device_nodes import read_device_nodes

        return read_device_nodes(
            bytes(self._trees.current(release).database.files["modules.devname"])
        )

    def _answer(
        self, release: str, ask: Callable[[State], Answer], *, treeless: bool = False
    ) -> Answer:
        generation = self._trees.current(release, treeless=treeless)
        try:
            return ask(generation)
        except NotFoundError:
            if generation.is_treeless:
                raise
            fresh = self._trees.confirm(generation)
            if fresh.number == generation.number:
                raise
            return ask(fresh)


def _info(name: str, database: Tables, *, symbols: bool) -> ModuleInfo:
    record = database.module(name)
    if record is not None and not database.is_builtin(name):
        return info_of_record(record, database, symbols=symbols)
    return info_of_builtin(name, database)
