# SPDX-License-Identifier: Apache-2.0
"""Modules that need each other in a circle: what depmod says of them, and what cannot load for it.

The words, the order and where a cycle is begun are those of kmod's tools/depmod.c.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import islice

from kmodd.errors import CycleError

MAX_CYCLES_NAMED = 32
"""Cycles that an error spells out; a tree that is all cycles has more than anybody reads."""

MAX_STEPS = 20_000
"""Modules that are come by in search of cycles from one module; depmod sets itself no bound, and
does not end where another cycle lies on the way."""

REASON_MAX = 500
"""Characters of a cycle in the reason why a module is left out."""

Graph = Sequence[Sequence[int]]
"""What each module needs of others directly, by their places in the order of priority."""


def cycle_error(names: Sequence[str], graph: Graph) -> CycleError:
    """Return the error for modules ``names`` of which some need each other, as ``graph`` says."""
    knots = [knot for knot in _components(graph) if len(knot) > 1 or knot[0] in graph[knot[0]]]
    cycles = _Search(knots, graph).cycles()
    spelled = [" -> ".join(names[place] for place in cycle) for cycle in cycles]
    total = sum(map(len, knots))
    return CycleError(
        f"{total} modules need each other in cycles: {spelled[0]}",
        module=names[cycles[0][0]],
        log=(
            *(f"ERROR: Cycle detected: {cycle}" for cycle in spelled),
            f"ERROR: Found {total} modules in dependency cycles!",
        ),
        left_out=_left_out(names, graph, knots, dict(zip(spelled, cycles, strict=True))),
    )


def _left_out(
    names: Sequence[str],
    graph: Graph,
    knots: Sequence[Sequence[int]],
    cycles: dict[str, list[int]],
) -> dict[str, str]:
    """Return the modules that no order to load them exists for, each with the reason in words."""
    reasons = {names[place]: "in a dependency cycle" for knot in knots for place in knot}
    for spelled, cycle in reversed(cycles.items()):
        reason = f"in a dependency cycle: {spelled[:REASON_MAX]}"
        reasons |= dict.fromkeys((names[place] for place in cycle), reason)
    users: list[list[int]] = [[] for _ in graph]
    for place, needs in enumerate(graph):
        for needed in needs:
            users[needed].append(place)
    reached = [place for knot in knots for place in knot]
    for place in reached:
        for user in users[place]:
            if names[user] not in reasons:
                reasons[names[user]] = f"of no use without {names[place]}"
                reached.append(user)
    return reasons


class _Search:
    """The cycles through the modules in ``knots`` and below, in depmod's order; for one thread.

    depmod has a ring of the modules that it could not put in order, and goes from the first of
    them wherever its needs lead, what it needs last first. What proves to be in a cycle, or to need
    nothing, is taken out of the ring, and the one behind it is the next to begin with.
    """

    def __init__(self, knots: Sequence[Sequence[int]], graph: Graph) -> None:
        self._graph = graph
        self._knots = {place: knot for knot in map(frozenset, knots) for place in knot}
        self._ring = _Ring(sorted(_below(self._knots, graph)))
        self._seen: set[int] = set()

    def cycles(self) -> list[list[int]]:
        """Return cycles, each from a module back to it, until each module in one is named."""
        found: list[list[int]] = []
        unnamed = set(self._knots)
        while unnamed and len(found) < MAX_CYCLES_NAMED:
            start = self._ring.first
            self._ring.take_out(start)
            knot = self._knots.get(start, frozenset())
            cycles = list(islice(self._from(start, knot), MAX_CYCLES_NAMED - len(found)))
            if not cycles and start in unnamed:
                cycles = [_shortest_cycle(start, knot, self._graph)]
            for cycle in cycles:
                unnamed.difference_update(cycle)
            found += cycles
        return found

    def _from(self, start: int, knot: Set[int]) -> Iterator[list[int]]:
        """Yield the cycles through ``start``, but for those that take more than MAX_STEPS."""
        path: dict[int, None] = {}
        pending = [(start, 0)]
        for _ in range(MAX_STEPS):
            if not pending:
                return
            place, depth = pending.pop()
            while len(path) > depth:
                path.popitem()
            if place == start and depth:
                for each in path:
                    self._ring.take_out(each)
                yield [*path, start]
            elif place not in path and (place in knot or place not in self._seen):
                self._seen.add(place)
                if not self._graph[place]:
                    self._ring.take_out(place)
                path[place] = None
                pending += [(needed, depth + 1) for needed in self._graph[place]]


class _Ring:
    """Places one behind the other, of which ``first`` is the next; there is at least one."""

    def __init__(self, places: Sequence[int]) -> None:
        self.first = places[0]
        self._after = dict(zip(places, (*places[1:], places[0]), strict=True))
        self._before = {after: place for place, after in self._after.items()}

    def take_out(self, place: int) -> None:
        """Take a place out, if it is there; the one behind it is the first then."""
        after = self._after.pop(place, None)
        if after is not None:
            before = self._before.pop(place)
            self._after[before] = self.first = after
            self._before[after] = before


def _below(places: Iterable[int], graph: Graph) -> set[int]:
    """Return ``places`` and all that they need."""
    found = set(places)
    pending = list(found)
    while pending:
        fresh = set(graph[pending.pop()]) - found
        found |= fresh
        pending += fresh
    return found


def _shortest_cycle(start: int, knot: Set[int], graph: Graph) -> list[int]:
    """Return the shortest way from ``start`` back to it, both ends included."""
    came_from: dict[int, int] = {}
    reached = [start]
    for place in reached:
        for needed in graph[place]:
            if needed in knot and needed not in came_from:
                came_from[needed] = place
                reached.append(needed)
    cycle = [start]
    while len(cycle) == 1 or cycle[-1] != start:
        cycle.append(came_from[cycle[-1]])
    cycle.reverse()
    return cycle


def _components(graph: Graph) -> Iterator[list[int]]:
    """Yield the strongly connected components (Tarjan's algorithm, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    for root in range(len(graph)):
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        while work:
            place, needs = work[-1]
            if place not in index:
                index[place] = low[place] = len(index)
                stack.append(place)
            for needed in needs:
                if needed not in index:
                    work.append((needed, iter(graph[needed])))
                    break
                if needed in low:
                    low[place] = min(low[place], low[needed])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[place])
                if low[place] == index[place]:
                    yield _unwind(stack, low, place)


def _unwind(stack: list[int], low: dict[int, int], root: int) -> list[int]:
    """Take the finished component of ``root`` off the stack of Tarjan's algorithm."""
    component: list[int] = []
    while not component or component[-1] != root:
        component.append(stack.pop())
        del low[component[-1]]
    return component
