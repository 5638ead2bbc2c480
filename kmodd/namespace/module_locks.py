# SPDX-License-Identifier: Apache-2.0
"""The lock of a module: who may load or unload it now, who keeps it, and who waits for whom.

A *flight* is one kernel call (a load or an unload) on one module. At most one flight per module
is in the air; its *leader* is the thread that makes the call, everybody else who wants the
module waits for it to land. A *pin* keeps a module from being unloaded while an operation that
found or put it there still counts on it. A *keeper* has pins that outlast operations. A
*reservation* is one operation's that takes modules out and puts them back: others give way to it.

Nothing here can deadlock: a thread leads at most one flight at a time, never waits for another
flight while it leads one, and pins are refused, never waited for. Nobody reserves who has reserved
already, and who gives way does so for a while: what a module's init asks for may come back by a
program that nobody knows to be its own. An operation whose module asks
for others while it is in the air has them loaded by operations that belong to it, and those may not
wait for what waits for them: that is a failure.
"""

import copy
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from kmodd.errors import KmoddError, Reason, StateError
from kmodd.namespace.operation import Operation
from kmodd.records import record
from kmodd.tallies import Durations

WAKE = 0.2
"""Seconds after which an operation that waits for another looks whether it is still wanted."""

GIVE_WAY = 5.0
"""Seconds that a load gives way to an operation that has taken its module out for a moment."""

Answer = TypeVar("Answer")


class Keeper(Protocol):
    """Who keeps modules from being unloaded beyond an operation; its str() names it to people."""

    pins: frozenset[str]


@record
class Running:
    """An operation under way, and what it does at this moment.

    ``pins`` are its pins. ``leads`` is the module that it loads or unloads. ``waits_for`` is the
    module that it cannot get at, and ``behind`` the number of the operation that is at it; "" and
    0 for none.
    """

    operation: Operation
    pins: frozenset[str]
    leads: str
    waits_for: str
    behind: int


@dataclass(slots=True, eq=False)
class _Flight:
    """A kernel call under way. ``error`` is written once, before ``landed`` is set."""

    purpose: object
    leader: Operation
    landed: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class ModuleLocks:
    """The flights and pins of one namespace. ``_lock`` guards every field, and no call blocks
    while holding it.
    """

    def __init__(self) -> None:
        self.waits = Durations()
        """How long operations waited for another to be done with a module."""
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._waits: dict[Operation, tuple[str, _Flight]] = {}
        self._pinners: dict[str, list[Operation]] = {}
        self._keepers: list[Keeper] = []
        self._reserved: dict[str, _Flight] = {}

    def reserve(self, names: Collection[str], operation: Operation) -> set[str]:
        """Have others give way at ``names``, which are pinned, until ``operation`` ends.

        Whoever is at one of them is waited for, and so is who has reserved some; returns which
        these were. Raises StateError (MODULE_BUSY, CALLER_GONE) as a load does.
        """
        seen_to = set[str]()
        while True:
            with self._lock:
                found = self._first_at(names, operation)
                if found is None:
                    reservation = _Flight(_RESERVED, operation)
                    self._reserved.update(dict.fromkeys(names, reservation))
                    for name in names:
                        self._pin(name, operation)
                    return seen_to
                name, flight = found
                seen_to |= {each for each in names if self._reserved.get(each) is flight}
            self._wait(name, flight, operation)

    def await_reserved(self, names: Set[str] | None, operation: Operation) -> set[str]:
        """Wait until no other operation has reserved any of ``names``, or any module for None.

        Returns those that were. Raises as ``reserve`` does.
        """
        seen_to = set[str]()
        while True:
            with self._lock:
                at = self._reserved if names is None else names & self._reserved.keys()
                flight = next((self._reserved[name] for name in at), None)
                if flight is None or flight.leader is operation:
                    return seen_to
                reserved = [name for name, each in self._reserved.items() if each is flight]
            seen_to.update(reserved)
            self._wait(reserved[0], flight, operation)

    def check_others(self, name: str, operation: Operation, *, despite_keepers: bool) -> None:
        """Raise StateError where ``unload`` would for what others have pinned."""
        with self._lock:
            if not despite_keepers:
                self._check_kept(name)
            self._check_pins(name, operation)

    def pin(self, name: str, operation: Operation) -> None:
        """Keep ``name`` loaded until ``operation`` ends, waiting for an unload under way to end."""
        self._give_way(name, operation)
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None or flight.purpose is not _UNLOAD:
                    self._pin(name, operation)
                    return
            self._wait(name, flight, operation)

    def release(self, operation: Operation) -> None:
        """End the pins of an operation, and what it has reserved."""
        if not operation.pins:
            return
        with self._lock:
            for name in operation.pins & self._reserved.keys():
                if self._reserved[name].leader is operation:
                    self._reserved.pop(name).landed.set()
            for name in operation.pins:
                pinners = self._pinners[name]
                pinners.remove(operation)
                if not pinners:
                    del self._pinners[name]
            operation.pins.clear()

    def load(
        self, name: str, purpose: object, operation: Operation, call: Callable[[], bool]
    ) -> bool:
        """Make ``call``, which loads ``name``, or wait for the same call of another to land.

        Two loads are the same when their ``purpose`` is equal: the same file of the same tree. A
        load for another purpose is waited for, and then this one is made. Returns what ``call``
        returned, which is whether it changed anything; False for a follower, who raises what its
        leader raised.
        """
        self._give_way(name, operation)
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None:
                    flight = self._flights[name] = _Flight(purpose, operation)
                    break
            self._wait(name, flight, operation)
            if flight.purpose == purpose:
                if flight.error is not None:
                    raise _for_follower(flight.error)
                return False
        return self._lead(name, flight, call)

    def unload(
        self,
        name: str,
        operation: Operation,
        call: Callable[[], Answer],
        *,
        despite_keepers: bool = False,
    ) -> Answer:
        """Make ``call``, which unloads ``name``, once nobody else is at it; return its answer.

        Raises StateError: MODULE_HELD while a keeper has pinned the module, unless it is unloaded
        ``despite_keepers``; MODULE_IN_USE while another operation has.
        """
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None:
                    if not despite_keepers:
                        self._check_kept(name)
                    self._check_pins(name, operation)
                    flight = self._flights[name] = _Flight(_UNLOAD, operation)
                    break
            self._wait(name, flight, operation)
        return self._lead(name, flight, call)

    def keep(self, keeper: Keeper) -> None:
        """Keep what ``keeper`` pins from being unloaded, by its own maker too.

        An operation must have it pinned, so that nobody is about to unload it.
        """
        with self._lock:
            self._keepers.append(keeper)

    def let_go(self, keeper: Keeper) -> None:
        """End what ``keep`` began."""
        with self._lock:
            self._keepers.remove(keeper)

    def check_kept(self, name: str) -> None:
        """Raise StateError (MODULE_HELD, the keepers as its detail) where a keeper has ``name``."""
        with self._lock:
            self._check_kept(name)

    def is_kept(self, name: str) -> bool:
        """Tell whether a keeper has ``name``."""
        with self._lock:
            return any(name in keeper.pins for keeper in self._keepers)

    def running(self, operations: Iterable[Operation]) -> tuple[Running, ...]:
        """Return what each of ``operations`` does at this moment, and who waits for whom."""
        with self._lock:
            leads = {flight.leader: name for name, flight in self._flights.items()}
            return tuple(self._running(each, leads.get(each, "")) for each in operations)

    def idle(self) -> bool:
        """Tell whether no flight and no pin is left."""
        with self._lock:
            return not (self._flights or self._pinners or self._waits or self._reserved)

    def _running(self, operation: Operation, leads: str) -> Running:
        name, flight = self._waits.get(operation, ("", None))
        behind = flight.leader.number if flight else 0
        pins = frozenset(operation.pins)
        return Running(operation, pins, leads, name or operation.awaits, behind)

    def _check_kept(self, name: str) -> None:
        keepers = ", ".join(str(keeper) for keeper in self._keepers if name in keeper.pins)
        if keepers:
            raise StateError(
                Reason.MODULE_HELD,
                f"module {name} is in use by: {keepers}",
                module=name,
                detail=keepers,
            )

    def _check_pins(self, name: str, operation: Operation) -> None:
        line = set(operation.line())
        for pinner in self._pinners.get(name, ()):
            if pinner not in line:
                raise StateError(
                    Reason.MODULE_IN_USE, f"module {name} is in use by {pinner}", module=name
                )

    def _pin(self, name: str, operation: Operation) -> None:
        """Pin a module; with the lock held."""
        if name not in operation.pins:
            operation.pins.add(name)
            self._pinners.setdefault(name, []).append(operation)

    def _first_at(self, names: Iterable[str], operation: Operation) -> tuple[str, _Flight] | None:
        """Return the first of ``names`` that another has reserved or is at; with the lock held."""
        line = set(operation.line())
        for name in names:
            for flight in (self._reserved.get(name), self._flights.get(name)):
                if flight is not None and flight.leader not in line:
                    return name, flight
        return None

    def _give_way(self, name: str, operation: Operation) -> None:
        """Wait a while for another operation that has reserved a module, unless it waits for us."""
        if name not in self._reserved:
            return
        deadline = time.monotonic() + GIVE_WAY
        while time.monotonic() < deadline:
            with self._lock:
                flight = self._reserved.get(name)
                if flight is None or flight.leader in operation.line():
                    return
                if self._waits_for(flight.leader, operation):
                    return
            self._wait(name, flight, operation, deadline)

    def _wait(
        self, name: str, flight: _Flight, operation: Operation, deadline: float = math.inf
    ) -> None:
        """Wait for another's flight to land, until ``deadline`` on the monotonic clock.

        Raises StateError: MODULE_BUSY where the other waits for this operation, CALLER_GONE where
        nobody waits for this one any more.
        """
        with self._lock:
            if self._waits_for(flight.leader, operation):
                why = f"module {name} waits for the module that asks for it"
                raise StateError(Reason.MODULE_BUSY, why, module=name)
            self._waits[operation] = name, flight
        began = time.monotonic()
        try:
            while not flight.landed.wait(WAKE) and time.monotonic() < deadline:
                operation.check_wanted()
        finally:
            self.waits.add(time.monotonic() - began)
            with self._lock:
                del self._waits[operation]

    def _waits_for(self, leader: Operation, operation: Operation) -> bool:
        """Tell whether the leader of a flight waits, over whatever others, for ``operation``.

        A leader waits for the operations that belong to it: its module has asked for theirs.
        """
        line, seen, left = set(operation.line()), set[Operation](), [leader]
        while left:
            each = left.pop()
            if each in line:
                return True
            if each in seen:
                continue
            seen.add(each)
            left += [
                flight.leader
                for waiter, (_, flight) in self._waits.items()
                if each in waiter.line()
            ]
        return False

    def _lead(self, name: str, flight: _Flight, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flights[name]
            flight.landed.set()


_UNLOAD = object()
"""The purpose of every unload; equal to no load's."""

_RESERVED = object()
"""The same of what is no flight: modules that an operation has reserved until it ends."""


def _for_follower(error: BaseException) -> BaseException:
    """The leader's failure as a follower raises it: a traceback belongs to one thread only."""
    if isinstance(error, KmoddError):
        return error.copy()
    if isinstance(error, Exception):
        return copy.copy(
            error
        )  # a file that has changed is each follower's own reason to plan anew
    return StateError(Reason.INTERNAL, f"the load ended with {error!r}")
