# SPDX-License-Identifier: Apache-2.0
"""The front's process: takes over connections, reads what they send, and passes the calls on."""

import array  # noqa: F401  # which socket.recv_fds imports, and no file can be opened by then
import os
import secrets
import select
import signal
import socket
import sys
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import grpc

from kmodd.front.calls import CallHandlers, CallLink
from kmodd.front.confinement import give_up_privileges
from kmodd.front.settings import FrontSettings
from kmodd.front.wire import ANSWER_MAX, GREETING, FrameKind, Wire
from kmodd.host.allowance import Allowance
from kmodd.host.directories import by_descriptor
from kmodd.host.nameless import nameless
from kmodd.host.peers import uid_of
from kmodd.host.relay import Relay
from kmodd.host.systemd import lent_sockets
from kmodd.host.transport import abstract_peer

STACK = 256 << 10
"""Bytes of a thread's stack: there may be as many threads as calls."""

THREAD_LOST = 70
"""The exit status of a front one of whose threads has ended in an error."""

IDLE = 30.0
"""Seconds that a unit without a daemon stays."""

SETTINGS_MAX = 64 << 10
"""Bytes of the settings."""

NO_DESCRIPTORS = "there is no descriptor for one more"


class _Front:
    """The server, and the connections that it has been given."""

    def __init__(self, wire: Wire, given: socket.socket, settings: FrontSettings) -> None:
        self._given = given
        self._settings = settings
        self._life = secrets.token_hex(8)
        self._numbers: dict[str, int] = {}
        self._allowances: dict[int, Allowance] = {}
        self._relay = Relay()
        self._wire = wire
        self._link = CallLink(wire)
        threads = ThreadPoolExecutor(settings.calls, thread_name_prefix="kmodd-front-call")
        self._server = grpc.server(
            threads,
            [CallHandlers(self._link, settings, lambda peer: self._numbers.get(peer, 0))],
            maximum_concurrent_rpcs=settings.calls,
            options=_options(settings),
        )

    def listen(self) -> None:
        """Have a place to connect to that has no name."""
        self._node = nameless(lambda path: self._server.add_insecure_port(f"unix:{path}"))
        os.chmod(by_descriptor(self._node), 0o666)  # for whom this process becomes

    def run(self) -> None:
        """Serve what comes until the daemon has gone."""
        self._server.start()
        self._relay.attend(self._given, self._take)
        self._relay.start()
        self._link.receive()

    def _take(self) -> None:
        """Serve a connection that the daemon hands over, with its number and its user's."""
        data, descriptors, _, _ = socket.recv_fds(self._given, 64, 1)
        if not data:
            os._exit(0)  # the daemon has gone
        number, uid = map(int, data.split())
        if not descriptors:  # there is no room for one
            self._drop(number, NO_DESCRIPTORS)
            return
        near = socket.socket(fileno=descriptors[0])
        try:
            self._serve(near, number, uid)
        except OSError as error:
            near.close()
            self._drop(number, error.strerror or NO_DESCRIPTORS)

    def _serve(self, near: socket.socket, number: int, uid: int) -> None:
        """Connect a connection to the server; raises OSError."""
        near.setblocking(False)
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        name = f"kmodd-{self._life}-{number}"
        peer = abstract_peer(name)
        try:
            far.bind(b"\0" + name.encode())
            far.connect(by_descriptor(self._node))
        except OSError:
            far.close()
            raise
        far.setblocking(False)
        self._wire.send(FrameKind.TAKEN, number)
        self._numbers[peer] = number
        self._relay.carry(near, far, lambda: self._over(peer), self._allowance(uid))

    def _over(self, peer: str) -> None:
        self._numbers.pop(peer, None)

    def _drop(self, number: int, why: str) -> None:
        """Have the daemon know that a connection is served no more."""
        self._wire.send(FrameKind.DROPPED, number, why.encode())

    def _allowance(self, uid: int) -> Allowance:
        found = self._allowances.get(uid)
        if found is None:
            for each in [uid for uid, had in self._allowances.items() if had.is_full()]:
                del self._allowances[each]
            found = self._allowances[uid] = Allowance(self._settings.user_bytes)
        return found


def _options(settings: FrontSettings) -> tuple[tuple[str, int], ...]:
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h)."""
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_metadata_size", settings.header_bytes),
        ("grpc.absolute_max_metadata_size", settings.header_bytes),
        ("grpc.max_concurrent_streams", settings.streams),
        ("grpc.max_connection_idle_ms", round(settings.connection_idle * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(settings.ping_interval * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake * 1000)),
    )


def main(given: socket.socket) -> None:
    """Serve until the daemon has gone, which is at the other end of ``given``.

    It says what the settings are, and from then on hands connections over.
    """
    words, descriptors, _, _ = socket.recv_fds(given, SETTINGS_MAX, 1)
    if not descriptors:  # it has gone, or speaks to nobody here
        sys.exit(1)
    # Without one of its threads it would keep all who wait: with none it is replaced.
    threading.excepthook = lambda _: os._exit(THREAD_LOST)
    wire = Wire(socket.socket(fileno=descriptors[0]), ANSWER_MAX)
    settings = FrontSettings.of(words.decode())
    threading.stack_size(STACK)
    front = _Front(wire, given, settings)
    front.listen()
    wire.send(FrameKind.READY, 0, "\n".join(give_up_privileges(settings.memory)).encode())
    front.run()
    os._exit(0)  # threads of calls wait for a daemon that has gone


def run_as_child(given: int) -> None:
    """Serve the daemon that has started this process."""
    # A service manager and a terminal signal all processes: this one ends with the daemon.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    main(socket.socket(fileno=given))


def run_as_unit() -> int:
    """Serve each daemon that connects to the socket which the service manager has made.

    Each has a process of its own, which is forked off one that has imported all, and so is there
    at once after one has died. Returns the exit status: once there has been no daemon for a while,
    or where there is no socket.
    """
    lent = list(lent_sockets().values())
    if not lent:
        print("kmodd: front is for kmodd-public.service: no socket is lent", file=sys.stderr)
        return 1
    listening = lent[0]
    fronts: dict[int, int] = {}
    while ready := select.select([listening.fileno(), *fronts], [], [], _patience(fronts))[0]:
        if listening.fileno() in ready:
            process = _fork_for(listening)
            fronts[os.pidfd_open(process)] = process
        for each in fronts.keys() & ready:
            os.close(each)
            os.waitpid(fronts.pop(each), 0)
    return 0


def _patience(fronts: Collection[int]) -> float | None:
    return None if fronts else IDLE


def _fork_for(listening: socket.socket) -> int:
    """Have a process serve the daemon that has connected, and return it."""
    given, _ = listening.accept()
    process = os.fork()
    if process:
        given.close()
        return process
    listening.close()
    if uid_of(given) in (0, os.geteuid()):  # root's, or of this process's own user
        given.sendall(GREETING)  # by which it sees who this is
        main(given)
    os._exit(0)
