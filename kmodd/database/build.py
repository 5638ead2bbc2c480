# SPDX-License-Identifier: Apache-2.0
"""From an inventory to a Database: pure, and no more work than has changed since the last one."""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from kmodd.database import files, text
from kmodd.database.assistant import AssistantError
from kmodd.database.database import Database
from kmodd.database.large_files import DatabaseFiles
from kmodd.database.order import (
    direct_dependencies,
    priority_order,
    resolve,
    symbol_owners,
    wanted_symbols,
)
from kmodd.database.parts import Made, Part
from kmodd.database.symbol_index import symbol_files, symbol_part_of, symbol_row
from kmodd.errors import CycleError, TreeError
from kmodd.names import symbol_key
from kmodd.records import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    from kmodd.database.assistant import Assistant
    from kmodd.database.database import Dependencies
    from kmodd.database.inventory import Inventory, ModuleRecord
    from kmodd.database.parts import Filed
    from kmodd.database.symbol_index import SymbolPart

    T = TypeVar("T")
    P = TypeVar("P", bound=Filed)

FEW = 256
"""Modules that have changed, and are put into what there is of all the others."""


class _Makings:
    """What a database is made of, each thing taken over if it is made of the same again."""

    def __init__(self, previous: Database | None, *, lasting: bool) -> None:
        """Without ``lasting`` nothing is kept for a next build."""
        self._old = previous.makings if previous else {}
        self.lasting = lasting
        self.made: dict[str, Made] = {}

    def get(self, name: str, made_of: object, make: Callable[[T | None], T]) -> T:
        """Return what ``make`` makes of ``made_of``, which must be all that goes into it.

        ``make`` gets what was made before, which may only make it quicker.
        """
        old = self._old.get(name)
        if old is None or old.made_of != made_of:
            old = Made(made_of, make(old.value if old else None))
        if self.lasting:
            self.made[name] = old
        value: T = old.value
        return value

    def renew(self, name: str, made_of: tuple[Any, ...], make: Callable[[Made | None], T]) -> T:
        """Return what ``make`` makes, which gets what was made before with what it was made of."""
        made = Made(made_of, make(self._old.get(name)))
        if self.lasting:
            self.made[name] = made
        value: T = made.value
        return value

    def carry(self, name: str) -> None:
        """Keep what was made before for the next build, though this one has not asked for it."""
        if self.lasting and name in self._old:
            self.made[name] = self._old[name]

    def part(self, name: str, made_of: object, make: Callable[[P | None], P]) -> Part:
        """Return the files that ``make`` makes of ``made_of``, as ``get`` does."""
        made = self.get(name, made_of, make)
        return Part(made.files, made.problems)


def build(
    inventory: Inventory,
    previous: Database | None = None,
    *,
    symbol_prefix: str = "",
    assistant: Assistant | None = None,
    leave_out: bool = False,
    lasting: bool = True,
) -> Database:
    """Return the database of what a scan found; ``previous`` only makes it quicker.

    One that is not ``lasting`` is of no use as the previous one, and takes less memory.

    ``symbol_prefix`` is taken off the symbols that begin with it (``depmod -P``). With
    ``leave_out`` modules in a dependency cycle, and those that need one, are not among the others,
    and dependencies that modules.dep has no room for cost its files alone.

    Raises TreeError: CycleError, or LIMIT_REACHED where the files would grow beyond their format.
    """
    makings = _Makings(previous, lasting=lasting)
    try:
        return _built(inventory, makings, symbol_prefix, assistant, leave_out=leave_out)
    except CycleError as error:
        if not leave_out:
            raise
        cycles = error
    good = {
        name: record for name, record in inventory.records.items() if name not in cycles.left_out
    }
    makings = _Makings(previous, lasting=lasting)
    among_good = replace(inventory, records=good)
    database = _built(among_good, makings, symbol_prefix, None, leave_out=leave_out)
    return replace(database, inventory=inventory, cycles=cycles)


def _built(
    inventory: Inventory,
    makings: _Makings,
    symbol_prefix: str,
    assistant: Assistant | None,
    *,
    leave_out: bool,
) -> Database:
    given = _columns(inventory, symbol_prefix, makings)
    names, exports, imports = given.names, given.exports, given.imports
    owners = makings.get("owners", exports, lambda _: symbol_owners(exports))
    symbols = _meanwhile(assistant, names, owners, lasting=makings.lasting)
    wanted = makings.get(
        "wanted",
        (names, exports, imports),
        partial(wanted_symbols, names, imports, owners.keys()),
    )
    needs = makings.get(
        "needs",
        (names, exports, imports),
        lambda _: resolve(names, direct_dependencies(wanted, owners)),
    )
    dependencies, unwritable = _dependency_part(given, needs, makings, leave_out=leave_out)
    parts = (dependencies, *_parts(given, inventory, symbols, makings))
    return Database(
        release=inventory.release,
        directory=inventory.directory,
        modules=given.modules,
        builtins=frozenset(text.read_builtin(inventory.builtin or b"")[0]),
        needs=needs,
        softdeps=given.softdeps,
        weakdeps=given.weakdeps,
        files=DatabaseFiles(parts),
        file_problems={name: said for part in parts for name, said in part.problems.items()},
        inventory=inventory,
        makings=makings.made,
        symbol_prefix=symbol_prefix,
        unwritable=unwritable,
    )


@record(kw_only=True)
class _Columns:
    """What a database is made of, the fields of all modules each by itself in their order."""

    modules: Mapping[str, ModuleRecord]
    names: tuple[str, ...]
    paths: tuple[str, ...]
    exports: tuple[tuple[tuple[str, int], ...], ...]
    imports: tuple[tuple[str, ...], ...]
    aliases: tuple[tuple[str, ...], ...]
    softdeps: text.Pairs
    weakdeps: text.Pairs


def _columns(inventory: Inventory, prefix: str, makings: _Makings) -> _Columns:
    """Return the columns, those of before where few modules have changed and not in these fields.

    To touch each record of tens of thousands once more costs as much as to look at its file.
    """
    order = inventory.order or b""

    def make(old: Made | None) -> _Columns:
        if old is not None and old.made_of[1:] == (order, prefix) and not prefix:
            changed = _changed(old.made_of[0], inventory.records)
            if changed is not None:
                makings.carry("order")
                return _with(old.value, changed)
        return _all_columns(inventory, prefix, makings)

    return makings.renew("columns", (inventory.records, order, prefix), make)


def _changed(
    before: Mapping[str, ModuleRecord], now: Mapping[str, ModuleRecord]
) -> list[ModuleRecord] | None:
    """Return the records that are other ones than before, None where they are not few.

    Nor may a module have come, gone or moved, which changes the order.
    """
    if len(before) != len(now):
        return None
    changed: list[ModuleRecord] = []
    for name, found in now.items():
        old = before.get(name)
        if old is found:
            continue
        if old is None or old.path != found.path or len(changed) == FEW:
            return None
        changed.append(found)
    return changed


def _with(old: _Columns, changed: Iterable[ModuleRecord]) -> _Columns:
    """Return the columns with other records of modules that are among them."""
    modules = dict(old.modules)
    fields: set[str] = set()
    for each in changed:
        before, modules[each.name] = modules[each.name], each
        fields |= {name for name in _FIELDS if getattr(before, name) != getattr(each, name)}
    columns = {name: _FIELDS[name](modules, name) for name in fields}
    return replace(old, modules=modules, **columns)


def _all_columns(inventory: Inventory, prefix: str, makings: _Makings) -> _Columns:
    modules = in_order(inventory, makings)
    exports, imports = _column(modules, "exports"), _column(modules, "imports")
    if prefix:
        exports, imports = _without_prefix(exports, imports, prefix)
    return _Columns(
        modules=modules,
        names=tuple(modules),
        paths=_column(modules, "path"),
        exports=exports,
        imports=imports,
        aliases=_column(modules, "aliases"),
        softdeps=_strings(modules, "softdeps"),
        weakdeps=_strings(modules, "weakdeps"),
    )


def _dependency_part(
    given: _Columns, needs: Dependencies, makings: _Makings, *, leave_out: bool
) -> tuple[Part, str]:
    """Return modules.dep and its index; none of them, with the reason, where they are too large."""
    names, paths = given.names, given.paths
    make = partial(files.dependency_files, names, paths, needs, lasting=makings.lasting)
    try:
        return makings.part("dependencies", (paths, needs), make), ""
    except TreeError as error:
        if not leave_out:
            raise
        return Part({}), error.message


def _parts(
    given: _Columns,
    inventory: Inventory,
    symbols: Callable[[SymbolPart | None], SymbolPart],
    makings: _Makings,
) -> tuple[Part, ...]:
    """Return all other files, in the order in which depmod writes them."""
    names, aliases = given.names, given.aliases
    soft = given.softdeps, given.weakdeps
    builtin = inventory.builtin, inventory.builtin_modinfo, inventory.unread
    # The symbols are an assistant's work, so all but the quickest of ours comes first.
    get = makings.part
    alias_files = partial(files.alias_files, names, aliases, lasting=makings.lasting)
    return (
        get("aliases", (names, aliases), alias_files),
        get("soft", soft, lambda _: files.softdep_files(*soft)),
        get("symbols", (names, given.exports), symbols),
        get("builtin", builtin, lambda _: files.builtin_files(*builtin)),
        get("devices", (names, aliases), lambda _: files.device_file(names, aliases)),
    )


def _meanwhile(
    assistant: Assistant | None,
    names: tuple[str, ...],
    owners: Mapping[str, int],
    *,
    lasting: bool,
) -> Callable[[SymbolPart | None], SymbolPart]:
    """Have an assistant make the files of symbols, if one is there, and return what gives them.

    It takes what was made before as its argument, which saves more than an assistant does.
    """
    if assistant is None or not assistant.has_answered:
        return partial(symbol_files, names, owners, lasting=lasting)
    promise = assistant.submit(symbol_row, names, dict(owners), lasting)

    def result(previous: SymbolPart | None) -> SymbolPart:
        try:
            return symbol_part_of(promise.result(), names, owners)
        except AssistantError:
            return symbol_files(names, owners, previous, lasting=lasting)

    return result


def in_order(inventory: Inventory, makings: _Makings | None = None) -> dict[str, ModuleRecord]:
    """Return the records by name, those of the highest priority first."""
    makings = makings or _Makings(None, lasting=False)
    paths = {name: record.path for name, record in inventory.records.items()}
    lines = inventory.order or b""
    names = makings.get(
        "order", (paths, lines), lambda _: priority_order(paths, text.read_order(lines))
    )
    return {name: inventory.records[name] for name in names}


def _column(modules: Mapping[str, ModuleRecord], field: str) -> tuple[Any, ...]:
    """Return one field of all modules, in order."""
    return tuple(map(attrgetter(field), modules.values()))


def _without_prefix(
    exports: Iterable[tuple[tuple[str, int], ...]], imports: Iterable[tuple[str, ...]], prefix: str
) -> tuple[tuple[tuple[tuple[str, int], ...], ...], tuple[tuple[str, ...], ...]]:
    """Return both columns with ``prefix`` taken off the names that begin with it.

    What is imported is then the name that it is looked up by.
    """
    return (
        tuple(tuple((name.removeprefix(prefix), crc) for name, crc in each) for each in exports),
        tuple(tuple(symbol_key(name, prefix) for name in each) for each in imports),
    )


def _strings(modules: Mapping[str, ModuleRecord], field: str) -> text.Pairs:
    """Return (module, string) of a field that holds strings, in order."""
    columns = zip(modules, _column(modules, field), strict=True)
    return tuple((name, string) for name, strings in columns for string in strings)


_FIELDS: Mapping[str, Callable[[Mapping[str, ModuleRecord], str], tuple[Any, ...]]] = {
    **dict.fromkeys(("exports", "imports", "aliases"), _column),
    **dict.fromkeys(("softdeps", "weakdeps"), _strings),
}
"""How the column of each field that may change is made."""
