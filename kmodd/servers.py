# SPDX-License-Identifier: Apache-2.0
"""The servers of a daemon, one for each socket, and how their settings change."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodd.access.caller import Role
from kmodd.errors import KmoddError, Reason
from kmodd.host.descriptors import connections
from kmodd.host.sockets import SocketPlace, access_of
from kmodd.server import Parts, SocketServer
from kmodd.settings import SocketSettings
from kmodd.trees import Generation

LOOK = 1.0
"""Seconds between two looks whether the sockets are still there."""

log = logging.getLogger(__name__)


class Servers:
    """The servers of a daemon.

    ``_changing`` has one thread at a time change which there are; ``_lock`` guards all but
    ``_places`` against those that only look meanwhile.
    """

    def __init__(self, drain: float) -> None:
        """``drain`` is how long mutations may go on when a server stops, in seconds."""
        self._drain = drain
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._places: dict[Path, SocketPlace] = {}
        self._servers: dict[Path, SocketServer] = {}
        self._leaving: list[SocketServer] = []
        self._refused: dict[Path, str] = {}
        self._lost: dict[Path, str] = {}

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

    def apply(self, wanted: Iterable[SocketSettings], parts: Parts) -> None:
        """Listen on these sockets and no others, and return without waiting for any caller.

        What is under way on a socket goes on, by its new settings from the next call; on one that
        is wanted no more it ends. Where new settings are wrong the socket stays as it was, and one
        that cannot be had is left out; the log says so. Raises KmoddError, and changes nothing,
        where no socket could be had at all.
        """
        wanted = list(wanted)
        share = connections(parts.limits.connections, len(wanted))
        failures: list[KmoddError] = []
        with self._changing:
            refused: dict[Path, str] = {}
            for settings in wanted:
                try:
                    self._listen(settings, parts, share)
                except KmoddError as error:
                    failures.append(error)
                    then = "stays as it was" if settings.path in self._servers else "is left out"
                    log.error("%s; the socket %s", error.message, then)
                    refused[settings.path] = error.message
            with self._lock:
                self._refused = refused
            paths = {settings.path for settings in wanted}
            if failures and paths.isdisjoint(self._servers):
                raise failures[0]
            self._take_out([path for path in self._places if path not in paths])

    def own(self) -> Path:
        """Return where the daemon itself calls: the first socket for admins, where there is one."""
        with self._lock:
            roles = {path: server.settings.role for path, server in self._servers.items()}
        return next((path for path in roles if roles[path] is Role.ADMIN), next(iter(roles)))

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the sockets that are wanted."""
        with self._lock:
            return (*self._refused.values(), *self._lost.values())

    def note_database(self, generation: Generation | None) -> None:
        """Show in every server's health how the databases of the kernel's release fare."""
        with self._lock:
            for server in (*self._servers.values(), *self._leaving):
                server.note_database(generation)

    @contextmanager
    def tended(self) -> Iterator[None]:
        """While the context is open, make sockets again that somebody removes."""
        over = threading.Event()

        def tend() -> None:
            while not over.wait(LOOK):
                self.tend()

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
            for path, server in list(self._servers.items()):
                try:
                    self._mend(path, server)
                except KmoddError as error:
                    if self._lost.get(path) != error.message:
                        log.error("%s was removed: %s", path, error.message)
                    lost[path] = error.message
            with self._lock:
                self._lost = lost
                over = [server for server in self._leaving if server.is_over()]
                self._leaving = [each for each in self._leaving if each not in over]
        for server in over:
            server.stop()

    def stop(self) -> None:
        """End all servers, and give up what was claimed."""
        with self._changing:
            with self._lock:
                servers = [*self._servers.values(), *self._leaving]
                self._servers, self._leaving = {}, []
            self._end(servers)
            for place in self._places.values():
                place.leave()
            self._places = {}

    def _listen(self, settings: SocketSettings, parts: Parts, share: int) -> None:
        """Have a socket by these settings; raises KmoddError, and then it is as it was."""
        path = settings.path
        old = self._servers.get(path)
        if old is not None and old.goes_on_by(settings):
            return
        place = self._places.get(path) or SocketPlace(path)
        try:
            server = SocketServer(place.take(), settings, parts, share)
            server.start()
        except KmoddError:
            if old is None:
                place.leave()
                self._places.pop(path, None)
            raise
        self._places[path] = place
        self._put(server)
        log.info("listening on %s as %s", path, settings.role)

    def _mend(self, path: Path, server: SocketServer) -> None:
        """Make a socket, or its lock, again if it is not there; raises KmoddError."""
        place = self._places[path]
        if place.is_whole():
            return
        place.take()
        if not place.shows():
            self._put(server.again())
        log.warning("%s or its lock was removed: made again", path)

    def _put(self, server: SocketServer) -> None:
        """Have ``server`` at its socket; the calls of the one that was there are finished."""
        with self._lock:
            old = self._servers.get(server.settings.path)
            self._servers[server.settings.path] = server
            if old is not None:
                self._leaving.append(old)
        if old is not None:
            old.retire()

    def _take_out(self, paths: Sequence[Path]) -> None:
        """Have nobody else come in there, and end what is under way on a thread of its own."""
        for path in paths:
            self._places.pop(path).leave()
        with self._lock:
            servers = [self._servers.pop(path) for path in paths if path in self._servers]
            self._leaving += servers
        for server in servers:
            log.info("listening on %s no more", server.settings.path)
        if servers:
            threading.Thread(
                target=self._end, args=(servers,), name="kmodd-drain", daemon=True
            ).start()

    def _end(self, servers: Sequence[SocketServer]) -> None:
        """Refuse new mutations, let those under way finish within the limit, end the rest."""
        for server in servers:
            server.drain()
        deadline = time.monotonic() + self._drain
        while any(server.mutating() for server in servers) and time.monotonic() < deadline:
            time.sleep(0.01)
        for server in servers:
            server.stop()
