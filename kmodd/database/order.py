# SPDX-License-Identifier: Apache-2.0
"""The order of a tree's modules, which is their priority, and the order to load them in.

Both follow kmod's tools/depmod.c to the letter, since the order decides which of two modules
with the same alias is tried first, and what the files hold byte for byte.
"""

from __future__ import annotations

from kmodd.database.closures import united
from kmodd.database.cycles import cycle_error
from kmodd.database.database import Dependencies
from kmodd.database.hashing import MODULE_BUCKETS, in_chain_order
from kmodd.database.text import encode
from kmodd.names import symbol_key
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from kmodd.database.closures import Closure
    from kmodd.database.cycles import Graph

LARGE = 16_384
"""Modules of a tree of which each needs few of all."""


def priority_order(paths: Mapping[str, str], lines: Iterable[str]) -> tuple[str, ...]:
    """Return the names of modules, of which ``paths`` gives the files, first priority first.

    Those that the ``lines`` of modules.order name come in that order, by the path without a
    compression suffix; all others follow in the order of depmod's hash table.
    """
    names = {encode(name): name for name in paths}
    hashed = (names[key] for _, key in in_chain_order(names, MODULE_BUCKETS))
    unlisted = {_plain_path(paths[name], name): name for name in hashed}
    listed = [unlisted.pop(line) for line in lines if line in unlisted]
    return (*listed, *unlisted.values())


def _plain_path(path: str, name: str) -> str:
    """Return the path by which modules.order has a file: as far as its module's name and ``.ko``.

    So a file with more dots in its name is never listed.
    """
    return path[: path.rfind("/") + 1 + len(name) + len(".ko")]


def symbol_owners(exports: Iterable[Iterable[tuple[str, int]]]) -> dict[str, int]:
    """Return the place of the module that each symbol belongs to: the last one to export it.

    ``exports`` are the symbols of all modules, with their CRCs, in the order of priority.
    """
    return {symbol: place for place, each in enumerate(exports) for symbol, _ in each}


@record
class WantedSymbols:
    """What modules need of each other: for each the symbols it imports, and the ``known`` ones
    among those that they are looked up by.

    A symbol is known if a module exports it; nine of ten imports are the kernel's own.
    """

    known: Set[str]
    symbols: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


def _spellings(known: Set[str]) -> Set[str]:
    """Return all names that modules may spell ``known`` ones by."""
    return {*known, *(f".{symbol}" for symbol in known)}


def _known_ones(symbols: tuple[str, ...], spelled: Set[str], known: Set[str]) -> tuple[str, ...]:
    """Return the ``known`` names that ``symbols`` are looked up by; ``spelled`` are their
    ``_spellings``.
    """
    # Looking at all names for a dot takes as long as this, and hardly any module has one.
    found = tuple(filter(spelled.__contains__, symbols))
    if "\0." not in "\0".join(("", *found)):
        return found
    return tuple(filter(known.__contains__, map(symbol_key, found)))


def wanted_symbols(
    names: Iterable[str],
    imports: Iterable[tuple[str, ...]],
    known: Set[str],
    previous: WantedSymbols | None = None,
) -> WantedSymbols:
    """Return which of their ``imports`` the modules ``names`` need of each other, in that order.

    ``previous`` saves going through all of them.
    """
    old = previous.symbols if previous else {}
    # A symbol that is known no more spoils everything: it stands among many modules' wishes.
    same = previous is not None and known >= previous.known
    new = known - previous.known if previous else known
    if same:
        new = new | {f".{symbol}" for symbol in new}
    spelled: Set[str] = frozenset()
    wanted = {}
    for name, needed in zip(names, imports, strict=True):
        before = old.get(name)
        if same and before and before[0] is needed and (not new or new.isdisjoint(needed)):
            wanted[name] = before
        else:
            spelled = spelled or _spellings(known)
            wanted[name] = needed, _known_ones(needed, spelled, known)
    return WantedSymbols(known, wanted)


def direct_dependencies(wanted: WantedSymbols, owners: Mapping[str, int]) -> list[list[int]]:
    """Return what each module needs of others, in the order in which it first names them."""
    owner = owners.__getitem__
    return [list(dict.fromkeys(map(owner, symbols))) for _, symbols in wanted.symbols.values()]


def resolve(names: Sequence[str], graph: Graph) -> Dependencies:
    """Return the closed dependencies of the modules ``names`` with the edges ``graph``.

    Raises CycleError with depmod's lines about the cycles as its log.
    """
    order = _users_before_needed(graph)
    if len(order) < len(names):
        raise cycle_error(names, graph)
    order.reverse()
    closures = _scattered(graph, order) if len(names) > LARGE else _close(graph, order)
    return Dependencies(
        order=tuple(names[place] for place in order),
        closures=dict(zip(names, closures, strict=True)),
    )


def _close(graph: Graph, order: Iterable[int]) -> list[Closure]:
    """Return what each module needs as bits; ``order`` has what is needed first."""
    bits = [0] * len(graph)
    closures = [0] * len(graph)
    for position, place in enumerate(order):
        bits[place] = 1 << position
        closure = 0
        for needed in graph[place]:
            closure |= bits[needed] | closures[needed]
        closures[place] = closure
    return [*closures]


def _scattered(graph: Graph, order: Iterable[int]) -> list[Closure]:
    """Return the same where bits would take more than a gigabyte for 100,000 modules."""
    positions = [0] * len(graph)
    closures: list[Closure] = [b""] * len(graph)
    for position, place in enumerate(order):
        positions[place] = position
        needed = graph[place]
        if needed:
            below = [closures[each] for each in needed]
            closures[place] = united([positions[each] for each in needed], below)
    return closures


def _users_before_needed(graph: Graph) -> list[int]:
    """Return all places, each before what it needs; those in and below a cycle are left out.

    This is Kahn's algorithm with the modules that nobody uses on a stack to start with, so the
    last of them comes first, as depmod has it.
    """
    users = [0] * len(graph)
    for needs in graph:
        for needed in needs:
            users[needed] += 1
    free = [place for place, count in enumerate(users) if not count]
    order = []
    while free:
        place = free.pop()
        order.append(place)
        for needed in graph[place]:
            users[needed] -= 1
            if not users[needed]:
                free.append(needed)
    return order
