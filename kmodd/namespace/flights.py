# SPDX-License-Identifier: Apache-2.0
"""Single flight per module, and pins: who may touch a module now, and who waits for whom.

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
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from kmodd.access.caller import DAEMON, Caller
from kmodd.errors import KmoddError, Reason, StateError

_current: ContextVar["Operation | None"] = ContextVar("operation", default=None)


class Operation:
    """One request that changes the namespace, from its start to its end.

    Owned by the thread that runs it; others read single fields to show them. ``pins`` is guarded
    by the lock of the Flights that made it. A request that a command makes, which ``parent`` runs,
    belongs to that: what pins the parent has are no hindrance, ``running`` tells it which command
    it must not start again, and it counts as made by the parent's ``caller``. ``awaits`` is a
    module that it waits for to be unused. ``loaded`` and ``unloaded`` are what it has changed in
    the kernel so far, ``acted`` tells that it had any effect, and ``error`` why it failed.
    ``asked`` are the modules that code wants to be loaded when all else is done.
    """

    def __init__(
        self,
        number: int,
        action: str,
        what: str,
        caller: Caller = DAEMON,
        parent: "Operation | None" = None,
    ) -> None:
        """``action`` and ``what`` say in words what is done to what; ``caller`` asked for it."""
        self.number = number
        self.action = action
        self.what = what
        self.caller: Caller = parent.caller if parent else caller
        self.parent = parent
        self.began = time.time()
        self._token = ""
        self.running = ""
        self.awaits = ""
        self.pins: set[str] = set()
        self.loaded: list[str] = []
        self.asked: list[str] = []
        self.unloaded: list[str] = []
        self.acted = False
        self.error: KmoddError | None = None

    def __str__(self) -> str:
        return f"operation {self.number} ({self.action} {self.what})"

    @property
    def token(self) -> str:
        """What a command's own calls show of this operation; made when it is first asked for."""
        if not self._token:
            self._token = secrets.token_urlsafe(24)
        return self._token

    def has_token(self, token: str) -> bool:
        """Tell whether ``token`` is this operation's."""
        return bool(self._token) and secrets.compare_digest(self._token, token)

    def line(self) -> "Iterator[Operation]":
        """Yield this operation, the one it belongs to, and so on."""
        operation: Operation | None = self
        while operation is not None:
            yield operation
            operation = operation.parent


class Keeper(Protocol):
    """Who keeps modules from being unloaded beyond an operation; its str() names it to people."""

    pins: frozenset[str]


@dataclass(frozen=True, slots=True)
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


class Flights:
    """The flights and pins of one namespace. ``_lock`` guards every field, and no call blocks
    while holding it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._waits: dict[Operation, tuple[str, _Flight]] = {}
        self._pins: Counter[str] = Counter()
        self._operations: dict[int, Operation] = {}
        self._keepers: list[Keeper] = []
        self._last_number = 0

    @contextmanager
    def operation(
        self, action: str, what: str, *, caller: Caller = DAEMON, token: str = ""
    ) -> Iterator[Operation]:
        """Open an operation for the calling thread; its pins and its token end with it.

        ``token`` is that of the operation it belongs to. Raises StateError (OPERATION_ENDED) for
        one that is not under way.
        """
        with self._lock:
            parent = self._holder_of(token)
            self._last_number += 1
            operation = Operation(self._last_number, action, what, caller, parent)
            self._operations[operation.number] = operation
        outer = _current.set(operation)
        try:
            yield operation
        finally:
            _current.reset(outer)
            with self._lock:
                if operation.pins:
                    self._pins.subtract(operation.pins)
                    self._pins += Counter()
                del self._operations[operation.number]

    def current(self) -> Operation | None:
        """Return the operation that this context is in."""
        operation = _current.get()
        with self._lock:
            known = operation is not None and self._operations.get(operation.number) is operation
        return operation if known else None

    def origin(self, token: str) -> Caller:
        """Return who started the operation that has this token; raises as ``operation`` does."""
        with self._lock:
            operation = self._holder_of(token)
            return operation.caller if operation else DAEMON

    def pin(self, name: str, operation: Operation) -> None:
        """Keep ``name`` loaded until ``operation`` ends, waiting for an unload under way to end."""
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None or flight.purpose is not _UNLOAD:
                    if name not in operation.pins:
                        operation.pins.add(name)
                        self._pins[name] += 1
                    return
            self._wait(name, flight, operation)

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

    def unload(self, name: str, operation: Operation, call: Callable[[], bool]) -> bool:
        """Make ``call``, which unloads ``name``, once nobody else is at it; return what it does.

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

    def running(self) -> tuple[Running, ...]:
        """Return the operations under way, the oldest first, and who waits for whom."""
        with self._lock:
            leads = {flight.leader: name for name, flight in self._flights.items()}
            found = []
            for operation in self._operations.values():
                name, flight = self._waits.get(operation, ("", None))
                behind = flight.leader.number if flight else 0
                leading, waits_for = leads.get(operation, ""), name or operation.awaits
                pins = frozenset(operation.pins)
                found.append(Running(operation, pins, leading, waits_for, behind))
            return tuple(found)

    def idle(self) -> bool:
        """Tell whether no flight, pin or operation is left."""
        with self._lock:
            return not (self._flights or self._operations or self._pins or self._waits)

    def _holder_of(self, token: str) -> Operation | None:
        if not token:
            return None
        for operation in self._operations.values():
            if operation.has_token(token):
                return operation
        raise StateError(
            Reason.OPERATION_ENDED, "the operation that this call belongs to is not under way"
        )

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
        if self._pins[name] > sum(name in each.pins for each in line):
            others = (one for one in self._operations.values() if one not in line)
            pinner = next((one for one in others if name in one.pins), "another operation")
            raise StateError(
                Reason.MODULE_IN_USE, f"module {name} is in use by {pinner}", module=name
            )

    def _wait(self, name: str, flight: _Flight, operation: Operation) -> None:
        """Wait for another's flight to land.

        Raises StateError (MODULE_BUSY) where the other waits for this operation.
        """
        with self._lock:
            if self._waits_for(flight.leader, operation):
                why = f"module {name} waits for the module that asks for it"
                raise StateError(Reason.MODULE_BUSY, why, module=name)
            self._waits[operation] = name, flight
        flight.landed.wait()
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

    def _lead(self, name: str, flight: _Flight, call: Callable[[], bool]) -> bool:
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
