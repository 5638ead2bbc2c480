# SPDX-License-Identifier: Apache-2.0
"""Single flight per module, and pins: who may touch a module now, and who waits for whom.

A *flight* is one kernel call (a load or an unload) on one module. At most one flight per module
is in the air; its *leader* is the thread that makes the call, everybody else who wants the
module waits for it to land. A *pin* keeps a module from being unloaded while an operation that
found or put it there still counts on it.

Nothing here can deadlock: a thread leads at most one flight at a time, never waits for another
flight while it leads one, and pins are refused, never waited for.
"""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kmodd.caller import DAEMON, Caller
from kmodd.errors import KmoddError, Reason, StateError


class Operation:
    """One request that changes the namespace, from its start to its end.

    Owned by the thread that runs it. ``pins`` is guarded by the lock of the Flights that made it.
    A request that a command makes, which ``parent`` runs, belongs to that: what pins the parent
    has are no hindrance, ``running`` tells it which command it must not start again, and it counts
    as made by the parent's ``caller``.
    """

    def __init__(
        self,
        number: int,
        title: str,
        parent: "Operation | None" = None,
        caller: Caller = DAEMON,
    ) -> None:
        self.number = number
        self.title = title
        self.parent = parent
        self.caller: Caller = parent.caller if parent else caller
        self.token = secrets.token_urlsafe(24)
        self.running = ""
        self.pins: set[str] = set()

    def __str__(self) -> str:
        return f"operation {self.number} ({self.title})"

    def line(self) -> "Iterator[Operation]":
        """Yield this operation, the one it belongs to, and so on."""
        operation: Operation | None = self
        while operation is not None:
            yield operation
            operation = operation.parent


@dataclass(slots=True, eq=False)
class _Flight:
    """A kernel call under way. ``error`` is written once, before ``landed`` is set."""

    purpose: object
    landed: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class Flights:
    """The flights and pins of one namespace. ``_lock`` guards every field, and no call blocks
    while holding it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._pins: Counter[str] = Counter()
        self._operations: dict[int, Operation] = {}
        self._last_number = 0

    @contextmanager
    def operation(
        self, title: str, token: str = "", caller: Caller = DAEMON
    ) -> Iterator[Operation]:
        """Open an operation for the calling thread; its pins and its token end with it.

        ``token`` is that of the operation it belongs to. Raises StateError (OPERATION_ENDED) for
        one that is not under way.
        """
        with self._lock:
            parent = self._holder_of(token)
            self._last_number += 1
            operation = Operation(self._last_number, title, parent, caller)
            self._operations[operation.number] = operation
        try:
            yield operation
        finally:
            with self._lock:
                self._pins.subtract(operation.pins)
                self._pins += Counter()
                del self._operations[operation.number]

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
            flight.landed.wait()

    def load(self, name: str, purpose: object, call: Callable[[], bool]) -> bool:
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
                    flight = self._flights[name] = _Flight(purpose)
                    break
            flight.landed.wait()
            if flight.purpose == purpose:
                if flight.error is not None:
                    raise _for_follower(flight.error)
                return False
        return self._lead(name, flight, call)

    def unload(self, name: str, operation: Operation, call: Callable[[], bool]) -> bool:
        """Make ``call``, which unloads ``name``, once nobody else is at it; return what it does.

        Raises StateError (MODULE_IN_USE) while another operation has pinned the module.
        """
        while True:
            with self._lock:
                flight = self._flights.get(name)
                if flight is None:
                    own = sum(name in each.pins for each in operation.line())
                    if self._pins[name] > own:
                        raise StateError(
                            Reason.MODULE_IN_USE,
                            f"module {name} is in use by {self._pinner(name, operation)}",
                            module=name,
                        )
                    flight = self._flights[name] = _Flight(_UNLOAD)
                    break
            flight.landed.wait()
        return self._lead(name, flight, call)

    def idle(self) -> bool:
        """Tell whether no flight, pin or operation is left."""
        with self._lock:
            return not (self._flights or self._operations or self._pins)

    def _holder_of(self, token: str) -> Operation | None:
        if not token:
            return None
        for operation in self._operations.values():
            if secrets.compare_digest(operation.token, token):
                return operation
        raise StateError(
            Reason.OPERATION_ENDED, "the operation that this call belongs to is not under way"
        )

    def _pinner(self, name: str, but: Operation) -> str:
        line = set(but.line())
        others = (one for one in self._operations.values() if one not in line and name in one.pins)
        return str(next(others, "another operation"))

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
    return StateError(Reason.INTERNAL, f"the load ended with {error!r}")
