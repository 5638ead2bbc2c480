# SPDX-License-Identifier: Apache-2.0
"""The lock of a module: who may load or unload it now, who keeps it, and who waits for whom.

A *flight* is one kernel call (a load or an unload) on one module. At most one flight per module
is in the air; its *leader* is the thread that makes the call, everybody else who wants the
module waits for it to land. A *pin* keeps a module from being unloaded while an operation that
found or put it there still counts on it. A *keeper* has pins that outlast operations.

Nothing here can deadlock: a thread leads at most one flight at a time, never waits for another
flight while it leads one, and pins are refused, never waited for. An operation whose module asks
for others while it is in the air has them loaded by operations that belong to it, and those may not
wait for what waits for them: that is a failure.
"""

import copy
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from kmodd.errors import KmoddError, Reason, StateError
from kmodd.namespace.operation import Operation
from kmodd.records import record
from kmodd.tallies import Durations

WAKE = 0.2
"""Seconds after which an operation that waits for another looks whether it is still wanted."""

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

    def pin(self, name: str, operation: Operation) -> None:
        """Keep ``name`` loaded until ``operation`` ends, waiting for an unload under way to end."""
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None or flight.purpose is not _UNLOAD:
                    if name not in operation.pins:
                        operation.pins.add(name)
                        self._pinners.setdefault(name, []).append(operation)
                    return
            self._wait(name, flight, operation)

    def release(self, operation: Operation) -> None:
        """End the pins of an operation."""
        if not operation.pins:
            return
        with self._lock:
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

    def unload(self, name: str, operation: Operation, call: Callable[[], Answer]) -> Answer:
        """Make ``call``, which unloads ``name``, once nobody else is at it; return its answer.

        Raises StateError: MODULE_HELD while a keeper has pinned the module, MODULE_IN_USE while
        another operation has.
        """
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None:
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
            return not (self._flights or self._pinners or self._waits)

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

    def _wait(self, name: str, flight: _Flight, operation: Operation) -> None:
        """Wait for another's flight to land.

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
            while not flight.landed.wait(WAKE):
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


def _for_follower(error: BaseException) -> BaseException:
    """The leader's failure as a follower raises it: a traceback belongs to one thread only."""
    if isinstance(error, KmoddError):
        return error.copy()
    if isinstance(error, Exception):
        return copy.copy(
            error
        )  # a file that has changed is each follower's own reason to plan anew
    return StateError(Reason.INTERNAL, f"the load ended with {error!r}")
