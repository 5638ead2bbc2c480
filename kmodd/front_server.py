# SPDX-License-Identifier: Apache-2.0
"""The server that answers everybody but admins: a front reads what they send, the daemon serves it.

The front is started anew when it ends, whatever it ended of. Who has a connection then loses it;
connections that come meanwhile, or that it has not begun to read, wait for the next front.
"""

import logging
import math
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kmodd.front.confinement import CAPABILITIES
from kmodd.front.fronts import Front, NoFrontError, have_front
from kmodd.front.handing_over import HandingOver
from kmodd.front.settings import FrontSettings
from kmodd.front.wire import Wire, WireError
from kmodd.host.relay import Relay
from kmodd.log_kinds import LogKind, told
from kmodd.server import GRACE, ServedApi
from kmodd.service.fronted import FrontedCalls, Methods
from kmodd.service.socket_calls import ServedConnection
from kmodd.settings import Limits

SMALL_MESSAGE = 256 << 10
"""Bytes of a message where nobody may upload: the names in one request need no more, and so the
calls of those who are no admins cannot take all memory."""

HEADERS = 16 << 10
"""Bytes of the headers of one call; grpc's own clients send some 200."""

STREAMS = 32
"""Calls at a time on one connection."""

MEMORY = 1 << 30
"""Bytes of data that a front may have, all of the stacks of its threads among it, which use little
of that."""

MEMORY_EASED = 256 << 20
"""Bytes in use from which a front ends connections that cost most. More comes until these are gone:
grpc is behind with what they have sent."""

PAUSE = 0.05
"""Seconds until a front that ended is started anew, twice as long each time, up to a second."""

LONGEST_PAUSE = 1.0

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class FrontServer:
    """The front and what it passes on, from ``start`` to ``stop``.

    ``_lock`` guards the connections, and which wire there is.
    """

    def __init__(
        self, api: ServedApi, relay: Relay, limits: Limits, place: Path | None = None
    ) -> None:
        """``place`` is the socket of the front's unit, where it is one's."""
        self.api = api
        self._relay = relay
        self._limits = limits
        self._place = place
        self._methods = Methods()
        api.add_to(self._methods)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._wire: Wire | None = None
        self._live: dict[int, ServedConnection] = {}
        self._over: Callable[[ServedConnection], None] = self._ended  # one for all connections
        self._part: Callable[[ServedConnection], bool] = self._parted
        self._handing_over = HandingOver(self._is_live)
        self._last = 0
        self._told = -math.inf
        self._thread = threading.Thread(target=self._run, name="kmodd-front", daemon=True)

    def start(self) -> None:
        """Take connections; there is a front some time after the first, or after ``want_front``."""
        self.api.begin()
        self._handing_over.start()
        self._thread.start()

    def want_front(self) -> None:
        """Have a front, before anybody connects: it takes a while to start."""
        self._wanted.set()

    def serve(self, taken: socket.socket, connection: ServedConnection) -> None:
        """Have a connection served, whose ``over`` is called at its end; raises OSError."""
        self.want_front()
        with self._lock:
            self._last += 1
            number = connection.number = self._last
            peer = connection.caller.peer
            self._handing_over.add(number, peer.uid if peer else 0, taken)
            connection.carried = self._relay.watch(taken, self._over, self._part, connection)
            self._live[number] = connection

    def stop(self) -> None:
        """End what is left after a while."""
        self.api.end_streams()
        _wait_until(lambda: not self._is_busy())
        with self._lock:
            live = [each.carried for each in self._live.values()]
        for carried in live:
            if carried is not None:
                self._relay.end(carried)
        _wait_until(lambda: not self._live)
        self._stopping.set()
        self._wanted.set()
        with self._lock:
            wire = self._wire
        if wire is not None:
            wire.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._handing_over.stop()
        self.api.interceptor.close()

    def _ended(self, connection: ServedConnection) -> None:
        with self._lock:
            self._live.pop(connection.number, None)
        connection.over(connection)

    def _parted(self, connection: ServedConnection) -> bool:
        """Have the front end a connection in good order; tell whether a front has it."""
        return self._handing_over.part(connection.number)

    def _is_live(self, number: int) -> bool:
        with self._lock:
            return number in self._live

    def _is_busy(self) -> bool:
        with self._lock:
            return any(connection.under_way for connection in self._live.values())

    def _run(self) -> None:
        """Have one front after the other."""
        pause = PAUSE
        self._wanted.wait()
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                front = have_front(self._settings(), self._place, self._stopping.is_set)
                why = self._serve(front)
            except NoFrontError as error:
                why = str(error)
            if self._stopping.is_set():
                return
            about = told(LogKind.FRONT_ENDED)
            log.error("the front has ended (%s): starting another", why, extra=about)
            pause = PAUSE if time.monotonic() - began > 10 else min(2 * pause, LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _serve(self, front: Front) -> str:
        """Serve what a front passes on until it ends; returns why it did."""
        why = ""
        with self._lock:
            self._wire = front.wire
        try:
            if not self._stopping.is_set():
                self._handing_over.begin(front.given)
                FrontedCalls(
                    front.wire,
                    self._methods,
                    self.api.interceptor,
                    self._peer_of,
                    _tell_ready,
                    self._handing_over.taken,
                    self._dropped,
                ).serve()
        except WireError as error:
            why = str(error)
        finally:
            self._end()
            how = front.end()
        return why or how

    def _end(self) -> None:
        """End the connections that the front was given."""
        waiting = self._handing_over.pause()
        with self._lock:
            self._wire = None
            lost = [each for number, each in self._live.items() if number not in waiting]
        for connection in lost:
            self._end_served(connection)

    def _dropped(self, number: int, why: str) -> None:
        """End a connection that the front serves no more.

        The log counts those that are many, and one a second is an event.
        """
        self._handing_over.taken(number)
        with self._lock:
            connection = self._live.get(number)
        if connection is not None:
            caller = connection.caller
            identity = f"uid {caller.peer.uid if caller.peer else 0} at {caller.socket}"
            log.warning(
                "the connection of %s at %s is ended: %s",
                *(caller.peer, caller.socket, why),
                extra={"identity": identity, "said": "ended"},
            )
            if time.monotonic() - self._told >= 1.0:
                self._told = time.monotonic()
                self.api.note_ended(caller, why)
            self._end_served(connection)

    def _end_served(self, connection: ServedConnection) -> None:
        carried = connection.carried
        if carried is not None:
            self._relay.cut(carried)

    def _peer_of(self, number: int) -> str:
        """Return what a connection is known by that the front has been given, "" for no such."""
        with self._lock:
            found = self._live.get(number)
        return found.peer if found else ""

    def _settings(self) -> FrontSettings:
        limits = self._limits
        handlers = self._methods.handlers
        return FrontSettings(
            methods=tuple(handlers),
            streaming=tuple(name for name, each in handlers.items() if each.request_streaming),
            answering=tuple(name for name, each in handlers.items() if each.response_streaming),
            message_bytes=min(SMALL_MESSAGE, limits.message_bytes),
            header_bytes=HEADERS,
            streams=STREAMS,
            calls=self.api.interceptor.most,
            user_bytes=limits.user_bytes,
            connection_bytes=limits.connection_bytes,
            connection_idle=limits.connection_idle,
            ping_interval=limits.ping_interval,
            handshake=limits.client_idle,
            memory=MEMORY,
            memory_eased=MEMORY_EASED,
        )


def _wait_until(condition: "Callable[[], bool]") -> None:
    """Wait until something holds, or for as long as there is for the last words of a daemon."""
    deadline = time.monotonic() + GRACE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def _tell_ready(refused: list[str]) -> None:
    """Log what the front could not give up; that it kept capabilities is more than a remark."""
    log.debug("the front is ready, and gave up all but: %s", "; ".join(refused) or "nothing")
    for line in refused:
        if line.startswith(CAPABILITIES):
            log.error("the front has kept its rights (%s)", line)
