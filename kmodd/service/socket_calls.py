# SPDX-License-Identifier: Apache-2.0
"""The calls that come in by one socket: how many, of which kind, by which user, and their end."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import grpc

from kmodd.access.caller import Caller, Role
from kmodd.access.policy import Lane
from kmodd.errors import KmoddError, LimitError, Reason
from kmodd.host.transport import abstract_name, abstract_peer
from kmodd.service.places import Places
from kmodd.service.served_calls import ServedCall, ServedCalls
from kmodd.settings import Limits

if TYPE_CHECKING:
    from kmodd.host.carried import Carried, Watched


class ServedConnection:
    """One connection: who called, at which socket, and how many calls are under way.

    ``caller`` is one reference, which is swapped where the socket's settings change. ``peer`` is
    what grpc calls the peer of the connection, ``number`` what a front knows it by, and ``carried``
    what the relay has of it. ``over`` is told of its end. Once ``is_leaving`` is set it is to end
    with its last call.

    Whoever may connect can have thousands of these.
    """

    __slots__ = ("caller", "calls", "carried", "is_leaving", "number", "over", "peer", "under_way")

    def __init__(self, name: str, caller: Caller, calls: "SocketCalls") -> None:
        self.peer = abstract_peer(name)
        self.number = 0
        self.caller = caller
        self.calls = calls
        self.carried: Carried | Watched[ServedConnection] | None = None
        self.over: Callable[[ServedConnection], None] = _no_end
        self.under_way = 0
        self.is_leaving = False

    @property
    def address(self) -> bytes:
        """The abstract name to bind the socket to that goes on to the server (unix(7))."""
        return b"\0" + abstract_name(self.peer).encode()


def _no_end(_connection: ServedConnection) -> None:
    """Tell nobody."""


class SocketCalls:
    """The calls of one socket. ``_lock`` guards what users have, and counts of connections.

    Where a socket ``is_shared``, one user who is no admin has a part of it at most, so that who
    fills his own leaves others theirs.
    """

    def __init__(
        self, limits: Limits, left: Callable[[ServedConnection], None], *, is_shared: bool
    ) -> None:
        """``left`` is called with a connection that is to end and has no call under way."""
        self.is_shared = is_shared
        self._left = left
        self.draining = threading.Event()
        self._bounds = {
            Lane.READ: limits.readers,
            Lane.MUTATION: limits.mutations,
            Lane.STREAM: limits.streams,
            Lane.HOLD: limits.holds,
        }
        self._part = limits.user_share
        self._places = {lane: Places(lane, bound) for lane, bound in self._bounds.items()}
        self._served = ServedCalls(limits.concurrent_calls, limits.client_idle)
        self._calls_of_one = max(1, int(limits.concurrent_calls * self._part))
        self._lock = threading.Lock()
        self._users: dict[int, _User] = {}

    def begin(
        self, method: str, context: grpc.ServicerContext, connection: ServedConnection
    ) -> ServedCall:
        """Return a call that has come in, waiting for its request.

        Raises LimitError where there are too many, and ends the call whose client has gone.
        """
        with self._lock:
            user = self._user_of(connection.caller)
            if user is not None and user.calls >= self._calls_of_one:
                raise LimitError(
                    Reason.LIMIT_REACHED,
                    f"{self._calls_of_one} calls of uid {user.uid} are under way at this socket",
                )
            self._count(connection, user, 1)
        call = ServedCall(method, context, connection, user, self._ended)
        try:
            self._served.begin(call)
        except LimitError:
            self._ended(call)
            raise
        return call

    def place(self, lane: Lane, caller: Caller) -> AbstractContextManager[None]:
        """Return a place for a call; to enter it raises LimitError where there is none."""
        if caller.role is Role.ADMIN:
            return self._places[lane]
        with self._lock:
            user = self._user_of(caller)
            own = None if user is None else user.places(lane)
        return self._places[lane] if own is None else _both(own, self._places[lane])

    def mutating(self) -> bool:
        """Tell whether a mutation is under way."""
        return self._served.mutating()

    def end(self, error: KmoddError) -> None:
        """End the calls under way."""
        self._served.end(error)

    def under_way(self) -> bool:
        """Tell whether a call is under way."""
        return self._served.under_way()

    def leave(self, connection: ServedConnection) -> None:
        """Have a connection end as soon as no call of its is under way."""
        with self._lock:
            connection.is_leaving = True
            idle = connection.under_way == 0
        if idle:
            self._left(connection)

    def close(self) -> None:
        """Look for late clients no more."""
        self._served.close()

    def _user_of(self, caller: Caller) -> "_User | None":
        """Return what a user has of a socket, None where he may have all of it; with the lock."""
        if not self.is_shared or caller.role is Role.ADMIN or caller.peer is None:
            return None
        uid = caller.peer.uid
        user = self._users.get(uid)
        if user is None:
            user = self._users[uid] = _User(uid, self._bounds, self._part)
        return user

    def _ended(self, call: ServedCall) -> None:
        connection = call.connection
        with self._lock:
            self._count(connection, call.user, -1)
            left = connection.is_leaving and connection.under_way == 0
        if left:
            self._left(connection)

    def _count(self, connection: ServedConnection, user: "_User | None", change: int) -> None:
        connection.under_way += change
        if user is not None:
            user.calls += change
            if user.calls == 0:
                del self._users[user.uid]


class _User:
    """What one user who has calls under way has of a socket: these, and places in each lane."""

    __slots__ = ("_bounds", "_part", "_places", "calls", "uid")

    def __init__(self, uid: int, bounds: Mapping[Lane, int], part: float) -> None:
        self.uid = uid
        self.calls = 0
        self._bounds = bounds
        self._part = part
        self._places: dict[Lane, Places] = {}

    def places(self, lane: Lane) -> Places:
        """Return the user's own places in a lane."""
        found = self._places.get(lane)
        if found is None:
            bound = max(1, int(self._bounds[lane] * self._part))
            found = self._places[lane] = Places(lane, bound, f" of uid {self.uid}")
        return found


@contextmanager
def _both(first: Places, second: Places) -> Iterator[None]:
    with first, second:
        yield
