# SPDX-License-Identifier: Apache-2.0
"""Looks at what wishes are about: the tree, the listing, and parameters where they are wished."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from kmodd.database import Database, ModuleRecord
from kmodd.desired.wish import Wish
from kmodd.kernel.base import LoadedModule, ParameterValue
from kmodd.modulefile import parameters_of
from kmodd.queries.modinfo import info_of_record

Shown = Mapping[str, ParameterValue]
"""The parameters that a module shows, by name with underscores."""


class WishLook:
    """What was seen last; for one thread.

    A kernel tells nobody that a parameter was set, and to read them all takes a while. So they are
    read where a module is another one than it was, and where somebody asks for a fresh look.
    """

    def __init__(self, read: Callable[[str], Shown]) -> None:
        """``read`` returns what a module shows now; nothing for one that is not loaded."""
        self._read = read
        self._shown: dict[str, tuple[LoadedModule, Shown]] = {}
        self._declared: dict[str, tuple[ModuleRecord, frozenset[str] | None]] = {}

    def parameters(
        self, wishes: Iterable[Wish], loaded: Mapping[str, LoadedModule], fresh: Collection[str]
    ) -> dict[str, Shown]:
        """Return what the loaded modules show that have wishes for parameters.

        Those of ``fresh`` are read in any case.
        """
        found: dict[str, tuple[LoadedModule, Shown]] = {}
        for wish in wishes:
            module = loaded.get(wish.name)
            if module is None or not wish.parameters:
                continue
            before, shown = self._shown.get(wish.name, (None, {}))
            is_same = before is not None and _is_same(before, module)
            if not is_same or wish.name in fresh:
                shown = self._read(wish.name)
            found[wish.name] = module, shown
        self._shown = found
        return {name: shown for name, (_, shown) in found.items()}

    def seen(self) -> dict[str, Shown]:
        """Return what was seen last, of each module."""
        return {name: shown for name, (_, shown) in self._shown.items()}

    def declared(self, wishes: Iterable[Wish], database: Database) -> dict[str, frozenset[str]]:
        """Return the parameters that the files of modules declare which have wishes for any.

        Those of a file that cannot be read are left out.
        """
        found = dict(self._read_declared(wishes, database))
        self._declared = found
        return {name: names for name, (_, names) in found.items() if names is not None}

    def _read_declared(
        self, wishes: Iterable[Wish], database: Database
    ) -> Iterator[tuple[str, tuple[ModuleRecord, frozenset[str] | None]]]:
        for wish in wishes:
            record = database.module(wish.name) if wish.parameters else None
            if record is None:
                continue
            known = self._declared.get(wish.name)
            if known is not None and known[0] == record:
                yield wish.name, known
                continue
            info = info_of_record(record, database)
            names = frozenset(each.name.replace("-", "_") for each in parameters_of(info.fields))
            yield wish.name, (record, None if info.error else names)


def _is_same(before: LoadedModule, now: LoadedModule) -> bool:
    """Tell whether a module is the one that it was: nobody has loaded it anew."""
    return before.address == now.address and before.size == now.size
