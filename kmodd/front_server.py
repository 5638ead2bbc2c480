# SPDX-License-Identifier: Apache-2.0
"""The server that answers everybody but admins: a front reads what they send, the daemon serves it.

The front is started anew when it ends, whatever it ended of. Who has a connection then loses it;
connections that come meanwhile wait for the next front.
"""

import errno
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import kmodd
from kmodd.front.confinement import CAPABILITIES
from kmodd.front.process import FrontSettings
from kmodd.front.wire import REQUEST_MAX, Wire, WireError
from kmodd.host.carried import Watched
from kmodd.host.relay import Relay
from kmodd.host.transport import transport_environment
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

MEMORY = 512 << 20
"""Bytes of data that a front may have."""

PAUSE = 0.05
"""Seconds until a front that ended is started anew, twice as long each time, up to a second."""

LONGEST_PAUSE = 1.0

WAITING = 256
"""Connections that may wait for a front."""

log = logging.getLogger(__name__)


class FrontServer:
    """The front and what it passes on, from ``start`` to ``stop``.

    ``_lock`` guards which front there is, and who waits for one.
    """

    def __init__(self, api: ServedApi, relay: Relay, limits: Limits) -> None:
        self.api = api
        self._relay = relay
        self._limits = limits
        self._methods = Methods()
        api.add_to(self._methods)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._given: socket.socket | None = None
        self._wire: Wire | None = None
        self._live: dict[int, tuple[ServedConnection, Watched]] = {}
        self._waiting: list[tuple[socket.socket, ServedConnection]] = []
        self._last = 0
        self._thread = threading.Thread(target=self._run, name="kmodd-front", daemon=True)

    def start(self) -> None:
        """Have a front, which is ready some time later."""
        self.api.begin()
        self._thread.start()

    def serve(
        self, taken: socket.socket, connection: ServedConnection, over: Callable[[], None]
    ) -> Watched:
        """Have a connection served, and call ``over`` when it has ended; raises OSError."""
        with self._lock:
            self._last += 1
            number = connection.number = self._last

            def ended() -> None:
                with self._lock:
                    self._live.pop(number, None)
                over()

            if not self._gives(taken, connection):
                if len(self._waiting) >= WAITING or self._stopping.is_set():
                    raise ConnectionRefusedError(errno.ECONNREFUSED, "there is no front")
                self._waiting.append((taken.dup(), connection))
            watched = self._relay.watch(taken, ended)
            self._live[number] = connection, watched
            return watched

    def stop(self) -> None:
        """End what is left after a while."""
        self.api.end_streams()
        deadline = time.monotonic() + GRACE
        while self._is_busy() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping.set()
        with self._lock:
            wire, waiting, self._waiting = self._wire, self._waiting, []
        for taken, _ in waiting:
            taken.close()
        if wire is not None:
            wire.close()
        if self._thread.ident is not None:
            self._thread.join()
        self.api.interceptor.close()

    def _is_busy(self) -> bool:
        with self._lock:
            return any(connection.under_way for connection, _ in self._live.values())

    def _run(self) -> None:
        """Have one front after the other."""
        pause = PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            why = self._serve_one()
            if self._stopping.is_set():
                return
            log.error("the front has ended (%s): starting another", why)
            pause = PAUSE if time.monotonic() - began > 10 else min(2 * pause, LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _serve_one(self) -> str:
        """Start a front, and serve what it passes on until it ends; returns why it did."""
        why = ""
        wire_end, its_wire = socket.socketpair()
        given, its_given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_wire, its_given, given:
            given.setblocking(False)
            try:
                process = subprocess.Popen(
                    _command(self._settings(), its_wire, its_given),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(its_wire.fileno(), its_given.fileno()),
                    env=transport_environment(),
                )
            except OSError as error:
                wire_end.close()
                return f"it could not be started: {error.strerror}"
            its_wire.close()
            its_given.close()
            wire = Wire(wire_end, REQUEST_MAX)
            self._begin(wire, given)
            try:
                FrontedCalls(
                    wire, self._methods, self.api.interceptor, self._peer_of, _tell_ready
                ).serve()
            except WireError as error:
                why = str(error)
            finally:
                self._end(wire)
                process.kill()
                process.wait()
        return why or f"exit status {process.returncode}"

    def _begin(self, wire: Wire, given: socket.socket) -> None:
        with self._lock:
            if self._stopping.is_set():
                wire.close()
                return
            self._wire, self._given = wire, given
            waiting, self._waiting = self._waiting, []
            for taken, connection in waiting:
                with taken:
                    if connection.number in self._live:
                        try:
                            given_on = self._gives(taken, connection)
                        except OSError:
                            given_on = False
                        if not given_on:
                            self._relay.end(self._live[connection.number][1])

    def _end(self, wire: Wire) -> None:
        with self._lock:
            self._wire = self._given = None
            waiting = {connection.number for _, connection in self._waiting}
            lost = [watched for number, (_, watched) in self._live.items() if number not in waiting]
        wire.close()
        for watched in lost:
            self._relay.end(watched)

    def _gives(self, taken: socket.socket, connection: ServedConnection) -> bool:
        """Hand a connection to the front; False where there is none, OSError where it is behind."""
        if self._given is None:
            return False
        peer = connection.caller.peer
        words = f"{connection.number} {peer.uid if peer else 0}".encode()
        try:
            socket.send_fds(self._given, [words], [taken.fileno()])
        except BlockingIOError:
            raise
        except OSError:  # it has ended, and another one comes
            return False
        return True

    def _peer_of(self, number: int) -> str:
        """Return what a connection is known by that the front has been given, "" for no such."""
        with self._lock:
            found = self._live.get(number)
        return found[0].peer if found else ""

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
            connection_idle=limits.connection_idle,
            ping_interval=limits.ping_interval,
            handshake=limits.client_idle,
            memory=MEMORY,
        )


def _tell_ready(refused: list[str]) -> None:
    """Log what the front could not give up; that it kept capabilities is more than a remark."""
    log.debug("the front is ready, and gave up all but: %s", "; ".join(refused) or "nothing")
    for line in refused:
        if line.startswith(CAPABILITIES):
            log.error("the front has kept its rights (%s)", line)


_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from kmodd.front.process import main; "
    "main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)


def _command(settings: FrontSettings, wire: socket.socket, given: socket.socket) -> list[str]:
    """Return the command that a front is started with: neither environment nor directory count."""
    paths = [str(Path(kmodd.__file__).parents[1]), *map(os.path.abspath, sys.path)]
    python = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOTSTRAP]
    return [*python, json.dumps(paths), settings.words(), str(wire.fileno()), str(given.fileno())]
