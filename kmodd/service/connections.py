# SPDX-License-Identifier: Apache-2.0
"""The connections that the daemon has accepted, by the name that their calls come with.

A call's peer, as grpc tells it, is the name of the socket by which the daemon itself connected the
caller to its server. So the name stands for the connection, and it is in no client's hands.
"""

import itertools
import secrets
from collections import Counter

import grpc

from kmodd.access.caller import Caller, Role
from kmodd.errors import AccessError, Reason
from kmodd.service.precedence import Precedence
from kmodd.service.socket_calls import ServedConnection, SocketCalls
from kmodd.tallies import Tally


class Connections:
    """Those that there are. Any thread may look one up, one adds and removes them."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._known: dict[str, ServedConnection] = {}
        self.precedence = Precedence()
        """Of admins' calls among all that come by them."""
        self.taken = Tally()
        """How many there have been, by the role they began with."""
        self.refused = Tally()
        """How many were closed at once, by the role they would have had: there were too many."""
        self.denials = Tally()
        """Calls that were refused before anything was done for them, by role and reason."""

    def add(self, caller: Caller, calls: SocketCalls) -> ServedConnection:
        """Return a new connection, whose calls are known by its name from now on."""
        connection = ServedConnection(f"kmodd-{self._life}-{next(self._numbers)}", caller, calls)
        self._known[connection.peer] = connection
        self.taken.add(caller.role)
        if caller.role is Role.ADMIN:
            self.precedence.note()
        return connection

    def remove(self, connection: ServedConnection) -> None:
        """Have the name stand for nothing."""
        self._known.pop(connection.peer, None)

    def roles(self) -> Counter[str]:
        """Return how many there are for each role."""
        return Counter(str(each.caller.role) for each in tuple(self._known.values()))

    def of(self, context: grpc.ServicerContext) -> ServedConnection:
        """Return the connection that a call comes by.

        Raises AccessError where there is none: it has ended, or somebody found another way in.
        """
        connection = self._known.get(context.peer())
        if connection is None:
            raise AccessError(Reason.ACCESS_DENIED, "this connection has no role: it has ended")
        return connection
