# SPDX-License-Identifier: Apache-2.0
"""The sockets of a daemon, the two servers behind them, and how their settings change.

One server answers admins, the other everybody else: what these send is smaller, and they take no
thread that an admin needs. Which of them a connection goes to is decided when it is taken.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodd.access.caller import Role
from kmodd.access.grants import Grants
from kmodd.errors import KmoddError, Reason
from kmodd.front_server import FrontServer
from kmodd.host.descriptors import connections
from kmodd.host.relay import Relay
from kmodd.host.sockets import SocketPlace, access_of
from kmodd.listener import Listener
from kmodd.log_kinds import LogKind, told
from kmodd.server import GRACE, ApiServer, Parts, ServedApi
from kmodd.service.connections import Connections
from kmodd.settings import SocketSettings
from kmodd.trees import Generation

LOOK = 2.0
"""Seconds between two looks whether the sockets are still there."""

PAUSE = 0.01
"""Seconds between two looks whether calls have ended."""

log = logging.getLogger(__name__)


class Servers:
    """The sockets of a daemon, and its servers.

    ``_changing`` has one thread at a time change which there are; ``_lock`` guards all but
    ``_places`` against those that only look meanwhile.
    """

    def __init__(
        self,
        drain: float,
        lent: Mapping[str, socket.socket] | None = None,
        front: Path | None = None,
    ) -> None:
        """``drain`` is how long mutations may go on when a server stops, in seconds.

        ``lent`` are listening sockets that the service manager has made, by name and by path, and
        ``front`` is the socket of the front's unit, where it is one's.
        """
        self._drain = drain
        self._front = front
        self._lent = dict(lent or {})
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._places: dict[Path, SocketPlace] = {}
        self._listeners: dict[Path, Listener] = {}
        self._leaving: list[Listener] = []
        self._refused: dict[Path, str] = {}
        self._lost: dict[Path, str] = {}
        self._relay = Relay()
        self.connections = Connections()
        self._apis: dict[bool, ApiServer | FrontServer] = {}
        self._is_started = False

    def claim(self, wanted: Iterable[SocketSettings]) -> None:
        """Make sure that nobody else listens on these sockets, but for those that cannot be had.

        Raises KmoddError where another daemon listens on one, or where none can be had.
        """
        failures: list[KmoddError] = []
        for settings in wanted:
            try:
                access_of(settings)
                self._places[settings.path] = SocketPlace(settings.path).take()
            except KmoddError as error:
                if error.reason is Reason.LIMIT_REACHED:
                    raise
                failures.append(error)
        if failures and not self._places:
            raise failures[0]

    def apply(self, wanted: Iterable[SocketSettings], parts: Parts, grants: Grants) -> None:
        """Listen on these sockets and no others, and return without waiting for any caller.

        What is under way on a socket goes on, by its new settings from the next call; on one that
        is wanted no more it ends. Where new settings are wrong the socket stays as it was, and one
        that cannot be had is left out; the log says so. Raises KmoddError, and changes nothing,
        where no socket could be had at all.
        """
        wanted = list(wanted)
        share = connections(parts.limits.connections, len(wanted))
        failures: list[KmoddError] = []
        for line in grants.unknown:
            log.warning("%s", line)
        with self._changing:
            refused: dict[Path, str] = {}
            self._start(wanted, parts)
            for settings in wanted:
                try:
                    self._listen(settings, parts, grants, share)
                except KmoddError as error:
                    failures.append(error)
                    then = "stays as it was" if settings.path in self._listeners else "is left out"
                    about = told(LogKind.SOCKET_LEFT_OUT, socket=str(settings.path))
                    log.error("%s; the socket %s", error.message, then, extra=about)
                    refused[settings.path] = error.message
            with self._lock:
                self._refused = refused
            paths = {settings.path for settings in wanted}
            if failures and paths.isdisjoint(self._listeners):
                raise failures[0]
            self._take_out([path for path in self._places if path not in paths])
        self._warn_of_unanswered(paths)

    def started(self) -> None:
        """Note that the daemon has started, which a front that nobody asks for does not hold up."""
        with self._changing:
            self._is_started = True
            self._want_front()

    def own(self) -> Path:
        """Return where the daemon itself calls: the first socket for admins, where there is one."""
        with self._lock:
            roles = {path: each.settings.role for path, each in self._listeners.items()}
        return next((path for path in roles if roles[path] is Role.ADMIN), next(iter(roles)))

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the sockets that are wanted."""
        with self._lock:
            return (*self._refused.values(), *self._lost.values())

    def note_database(self, generation: Generation | None) -> None:
        """Show in every server's health how the databases of the kernel's release fare."""
        for server in tuple(self._apis.values()):
            server.api.note_database(generation)

    @contextmanager
    def tended(self) -> Iterator[None]:
        """While the context is open, make sockets again that somebody removes.

        And have no more threads than are of use.
        """
        over = threading.Event()

        def tend() -> None:
            while not over.wait(LOOK):
                self.tend()
                for server in tuple(self._apis.values()):
                    if isinstance(server, ApiServer):
                        server.rest()

        tending = threading.Thread(target=tend, name="kmodd-sockets", daemon=True)
        tending.start()
        try:
            yield
        finally:
            over.set()
            tending.join()

    def tend(self) -> None:
        """Make the sockets and locks again that have been removed, and say so."""
        lost: dict[Path, str] = {}
        with self._changing:
            for path, listener in list(self._listeners.items()):
                try:
                    self._mend(path, listener)
                except KmoddError as error:
                    if self._lost.get(path) != error.message:
                        log.error("%s was removed: %s", path, error.message)
                    lost[path] = error.message
            with self._lock:
                self._lost = lost

    def stop(self) -> None:
        """End all that is under way, and give up what was claimed."""
        with self._changing:
            with self._lock:
                listeners = [*self._listeners.values(), *self._leaving]
                self._listeners, self._leaving = {}, []
            for server in self._apis.values():
                server.api.drain()
            self._drain_all(listeners)
            for server in self._apis.values():
                server.stop()
            for listener in listeners:
                listener.stop()
            self._relay.stop()
            for lent in self._lent.values():
                lent.close()
            self._apis = {}
            for place in self._places.values():
                place.leave()
            self._places = {}

    def _start(self, wanted: Sequence[SocketSettings], parts: Parts) -> None:
        """Have the servers that these sockets need, each from the first time on; raises StateError.

        Each takes the calls of as many sockets as there are at its start.
        """
        needed = {settings.role is Role.ADMIN for settings in wanted}
        if any(settings.grants for settings in wanted):
            needed.add(False)
        if not self._apis:
            self._relay.start()
        most = parts.limits.concurrent_calls * len(wanted)
        for for_admins in needed - self._apis.keys():
            api = ServedApi(parts, self.connections, most)
            server = (
                ApiServer(api, self._relay, parts.limits)
                if for_admins
                else FrontServer(api, self._relay, parts.limits, self._front)
            )
            server.start()
            self._apis[for_admins] = server
        self._want_front()

    def _want_front(self) -> None:
        server = self._apis.get(False)
        if self._is_started and isinstance(server, FrontServer):
            server.want_front()

    def _server_of(self, role: Role) -> ApiServer | FrontServer:
        return self._apis[role is Role.ADMIN]

    def _listen(self, settings: SocketSettings, parts: Parts, grants: Grants, share: int) -> None:
        """Have a socket by these settings; raises KmoddError, and then it is as it was."""
        path = settings.path
        old = self._listeners.get(path)
        if old is not None:
            old.go_on_by(settings, grants)
            old.most = share
            return
        place = self._places.get(path) or SocketPlace(path)
        try:
            listener = Listener(
                place.take(),
                settings,
                grants,
                parts,
                self._relay,
                self.connections,
                self._server_of,
                share,
            )
            try:
                listener.start(self._borrowed(settings))
            except KmoddError:
                listener.stop()
                raise
        except KmoddError:
            place.leave()
            self._places.pop(path, None)
            raise
        self._places[path] = place
        with self._lock:
            self._listeners[path] = listener
        log.info("listening on %s as %s", path, settings.role)

    def _warn_of_unanswered(self, paths: Iterable[Path]) -> None:
        """Say which sockets are lent that are not among ``paths``: whoever connects there waits."""
        lent = {each.getsockname() for each in self._lent.values()}
        for path in sorted(lent.difference(map(str, paths))):
            log.warning("%s: nobody answers there: no [[socket]] is for what systemd made", path)

    def _borrowed(self, settings: SocketSettings) -> socket.socket | None:
        """Return the socket that the service manager has for this one; it keeps its own."""
        lent = self._lent.get(settings.name) or self._lent.get(str(settings.path))
        return lent.dup() if lent is not None else None

    def _mend(self, path: Path, listener: Listener) -> None:
        """Make a socket, or its lock, again if it is not there; raises KmoddError."""
        place = self._places[path]
        if place.is_whole():
            return
        place.take()
        if not place.shows():
            listener.start()
        log.warning("%s or its lock was removed: made again", path)

    def _take_out(self, paths: Sequence[Path]) -> None:
        """Have nobody else come in there, and end what is under way on a thread of its own."""
        for path in paths:
            self._places.pop(path).leave()
        with self._lock:
            listeners = [self._listeners.pop(path) for path in paths if path in self._listeners]
            self._leaving += listeners
        for listener in listeners:
            log.info("listening on %s no more", listener.settings.path)
        if listeners:
            threading.Thread(
                target=self._end, args=(listeners,), name="kmodd-drain", daemon=True
            ).start()

    def _end(self, listeners: Sequence[Listener]) -> None:
        """Refuse new mutations, let those under way finish within the limit, end the rest."""
        self._drain_all(listeners)
        for listener in listeners:
            listener.end()
        deadline = time.monotonic() + GRACE
        while any(each.calls.under_way() for each in listeners) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        for listener in listeners:
            listener.stop()
        with self._lock:
            self._leaving = [each for each in self._leaving if each not in listeners]

    def _drain_all(self, listeners: Sequence[Listener]) -> None:
        """Refuse new mutations, and wait for those under way, within the limit."""
        for listener in listeners:
            listener.drain()
        deadline = time.monotonic() + self._drain
        while any(each.is_mutating() for each in listeners) and time.monotonic() < deadline:
            time.sleep(PAUSE)
