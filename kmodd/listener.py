# SPDX-License-Identifier: Apache-2.0
"""A socket that the daemon listens on, and the connections that have come in by it."""

import logging
import os
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable

from kmodd.access.caller import Caller, Role
from kmodd.access.grants import SOURCE, Grants
from kmodd.access.peer import Peer
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.front_server import FrontServer
from kmodd.host.peers import peer_of
from kmodd.host.relay import Relay
from kmodd.host.sockets import SocketAccess, SocketPlace, access_of
from kmodd.records import replace
from kmodd.server import ApiServer, Parts
from kmodd.service.connections import Connections
from kmodd.service.socket_calls import ServedConnection, SocketCalls
from kmodd.settings import SocketSettings

BACKLOG = 4096
"""Connections that wait to be taken, as far as the machine allows (net.core.somaxconn)."""

log = logging.getLogger(__name__)

ServerOf = Callable[[Role], ApiServer | FrontServer]
"""Returns the server that answers the callers of a role."""


class Listener:
    """A socket, from ``start`` to ``stop``; ``settings`` are those it goes by.

    Each connection is given its caller when it is taken, before a byte of it is read. ``_lock``
    guards the settings and the connections.
    """

    def __init__(
        self,
        place: SocketPlace,
        settings: SocketSettings,
        grants: Grants,
        parts: Parts,
        relay: Relay,
        connections: Connections,
        server_of: ServerOf,
        most: int,
    ) -> None:
        """There may be ``most`` connections at once.

        Raises RequestError where the settings name a user or group of nobody.
        """
        self._access = access_of(settings)
        self.settings = settings
        self.calls = SocketCalls(parts.limits, self._left, is_shared=settings.is_shared)
        self.most = most
        self._grants = grants
        self._place = place
        self._namespace = parts.namespace
        self._limits = parts.limits
        self._relay = relay
        self._connections = connections
        self._server_of = server_of
        self._listening: socket.socket | None = None
        self._is_lent = False
        self._lock = threading.Lock()
        self._live: set[ServedConnection] = set()
        self._over: Callable[[ServedConnection], None] = self._forget  # one for all connections
        self._users: Counter[int] = Counter()
        self._latest: Caller | None = None

    def start(self, inherited: socket.socket | None = None) -> None:
        """Bind, listen, and only then show the socket at its path; raises StateError.

        One that is ``inherited`` listens already, where it is, unless it was removed there.
        """
        if inherited is not None:
            try:
                is_there = self._place.adopt(inherited)
            except KmoddError:
                inherited.close()
                raise
            if is_there:
                self._take_from(inherited, is_lent=True)
                return
            inherited.close()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listening.bind(str(self._place.stage()))
            listening.listen(BACKLOG)
            self._place.reveal(self._access)
        except OSError as error:
            listening.close()
            raise StateError(
                Reason.INTERNAL, f"{self.settings.path}: cannot listen there: {error.strerror}"
            ) from error
        except KmoddError:
            listening.close()
            raise
        self._take_from(listening)
        if inherited is not None:
            log.warning("%s was removed: made again", self.settings.path)

    def go_on_by(self, settings: SocketSettings, grants: Grants) -> None:
        """Serve the next calls by ``settings`` and ``grants``, those of the connections there are.

        Connections stay, but for those of callers who could not connect now, and of those who are
        an admin now and were none or the other way round: these end with the calls under way.
        Raises RequestError where the settings name a user or group of nobody, and StateError where
        the socket cannot be theirs; then all is as it was.
        """
        access = access_of(settings)
        if access != self._access:
            self._place.change(self._access, access)
        with self._lock:
            self.settings, self._access, self._grants = settings, access, grants
            self.calls.is_shared = settings.is_shared
            leaving = [each for each in self._live if not self._renew(each)]
        for connection in leaving:
            self.calls.leave(connection)

    def drain(self) -> None:
        """Refuse new mutations; who comes to a socket that was lent waits for the next daemon."""
        self.calls.draining.set()
        if self._is_lent:
            self._let_go()

    def is_mutating(self) -> bool:
        """Tell whether a mutation is under way, or a hold is loading or being released."""
        return self.calls.mutating() or self._namespace.is_busy_for(str(self.settings.path))

    def end(self) -> None:
        """Take no more connections, and end the calls under way."""
        self._let_go()
        self.calls.end(
            StateError(Reason.SHUTTING_DOWN, f"kmodd listens on {self.settings.path} no more")
        )

    def stop(self) -> None:
        """End what is left, once the calls have."""
        self._let_go()
        self.calls.close()
        with self._lock:
            live = tuple(self._live)
        for connection in live:
            self._left(connection)

    def _take_from(self, listening: socket.socket, *, is_lent: bool = False) -> None:
        self._let_go()
        self._is_lent = is_lent
        self._listening = listening
        self._relay.listen(listening, self._accept)

    def _let_go(self) -> None:
        if self._listening is not None:
            self._relay.listen_no_more(self._listening)
            self._listening = None

    def _accept(self, taken: socket.socket) -> None:
        """Have a connection served, or close it where there may be none; raises OSError."""
        peer = peer_of(taken)
        with self._lock:
            if self._is_lent and not _may_connect(peer, self._access):
                taken.close()  # whatever mode the service manager has given it
                return
            caller = self._latest = _shared(self._caller(peer), self._latest)
            is_bounded = caller.role is not Role.ADMIN and self.settings.is_shared
            if not self._has_room(peer.uid, is_bounded=is_bounded):
                self._connections.refused.add(caller.role)
                taken.close()
                return
            connection = self._connections.add(caller, self.calls)
            server = self._server_of(caller.role)
            connection.over = self._over
            try:
                server.serve(taken, connection)
            except OSError:
                self._connections.remove(connection)
                raise
            self._live.add(connection)
            self._users[peer.uid] += 1

    def _left(self, connection: ServedConnection) -> None:
        """End a connection that has no call under way."""
        carried = connection.carried
        if carried is not None:
            self._relay.end(carried)

    def _forget(self, connection: ServedConnection) -> None:
        """Forget a connection that has ended."""
        connection.carried = None  # each has the other
        self._connections.remove(connection)
        with self._lock:
            if connection not in self._live:
                return
            self._live.remove(connection)
            if connection.caller.peer:
                uid = connection.caller.peer.uid
                self._users[uid] -= 1
                if not self._users[uid]:
                    del self._users[uid]

    def _caller(self, peer: Peer) -> Caller:
        """Return ``peer`` as a caller of this socket."""
        settings = self.settings
        path = str(settings.path)
        if settings.grants:
            return self._grants.caller(path, settings.role, settings.default, peer)
        return Caller(
            path,
            settings.role,
            settings.allow,
            settings.deny,
            settings.parameters,
            settings.source or (SOURCE if settings.role is Role.STEWARD else ""),
            peer,
        )

    def _renew(self, connection: ServedConnection) -> bool:
        """Give a connection the caller of now; tell whether it stays."""
        before = connection.caller
        if before.peer is None:
            return True
        may_connect = _may_connect(before.peer, self._access)
        now = self._caller(before.peer) if may_connect else replace(before, role=Role.NONE)
        connection.caller = now
        return may_connect and (before.role is Role.ADMIN) == (now.role is Role.ADMIN)

    def _has_room(self, uid: int, *, is_bounded: bool) -> bool:
        if len(self._live) >= self.most:
            return False
        return not is_bounded or self._users[uid] < max(1, self.most * self._limits.user_share)


def _may_connect(peer: Peer, access: SocketAccess) -> bool:
    """Tell whether ``peer`` could connect to a socket by its mode (unix(7)): it takes writing."""
    if peer.uid == 0:
        return True
    owner = os.geteuid() if access.owner == -1 else access.owner
    group = os.getegid() if access.group == -1 else access.group
    if peer.uid == owner:
        return bool(access.mode & stat.S_IWUSR)
    if group in peer.gids:
        return bool(access.mode & stat.S_IWGRP)
    return bool(access.mode & stat.S_IWOTH)


def _shared(caller: Caller, latest: Caller | None) -> Caller:
    """Return ``latest`` where it is the same caller: a crowd of one process's has one of them.

    Callers count as equal by what they may do; here the process has to be the same, too.
    """
    return latest if latest == caller and latest.peer == caller.peer else caller
