# SPDX-License-Identifier: Apache-2.0
"""The front's process: takes over connections, reads what they send, and passes the calls on."""

import array  # noqa: F401  # which socket.recv_fds imports, and no file can be opened by then
import itertools
import os
import secrets
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import grpc

from kmodd.freed_memory import give_memory_back
from kmodd.front.calls import CallHandlers, CallLink
from kmodd.front.confinement import give_up_privileges
from kmodd.front.ledger import Ledger, OwnMemory
from kmodd.front.settings import FrontSettings
from kmodd.front.wire import ANSWER_MAX, GREETING, FrameKind, Wire
from kmodd.host.allowance import Allowance
from kmodd.host.directories import by_descriptor
from kmodd.host.nameless import nameless
from kmodd.host.peers import uid_of
from kmodd.host.relay import Relay
from kmodd.host.systemd import lent_sockets
from kmodd.host.transport import abstract_peer

if TYPE_CHECKING:
    from kmodd.host.carried import Carried

STACK = 256 << 10
"""Bytes of a thread's stack: there may be as many threads as calls."""

THREAD_LOST = 70
"""The exit status of a front one of whose threads has ended in an error."""

IDLE = 30.0
"""Seconds that a unit without a daemon stays."""

LOOK = 0.02
"""Seconds between two looks at the memory while somebody sends: a bomb of headers makes some 2 MiB
in that time."""

LOOKS_TO_GIVE = 16
"""Looks until memory is given back that is to go, which takes some milliseconds."""

SETTINGS_MAX = 64 << 10
"""Bytes of the settings."""

NO_DESCRIPTORS = "there is no descriptor for one more"


class _Meter(Allowance):
    """What one connection may send, which is also taken of what its user may, and told to all."""

    def __init__(self, rate: float, user: Allowance, sent: Callable[[int], None]) -> None:
        super().__init__(rate)
        self._user = user
        self._sent = sent

    def take(self, count: int) -> float:
        """Take ``count`` bytes, and return in how many seconds there may be more."""
        self._sent(count)
        return max(super().take(count), self._user.take(count))


class _Front:
    """The server, and the connections that it has been given.

    The relay's thread alone changes which there are.
    """

    def __init__(self, wire: Wire, given: socket.socket, settings: FrontSettings) -> None:
        self._given = given
        self._settings = settings
        self._life = secrets.token_hex(8)
        self._numbers: dict[str, int] = {}
        self._carried: dict[int, Carried] = {}
        self._is_busy = threading.Event()
        self._allowances: dict[int, Allowance] = {}
        self._relay = Relay()
        self._wire = wire
        self._ledger = Ledger(settings.memory_eased, OwnMemory())
        self._link = CallLink(wire, self._ledger.note_call)
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
        threading.Thread(target=self._watch, name="kmodd-front-memory", daemon=True).start()
        self._relay.attend(self._given, self._take)
        self._relay.start()
        self._link.receive()

    def _take(self) -> None:
        """Serve a connection that the daemon hands over, with its number and its user's.

        With its number alone it is one to be ended.
        """
        data, descriptors, _, _ = socket.recv_fds(self._given, 64, 1)
        if not data:
            os._exit(0)  # the daemon has gone
        number, *others = map(int, data.split())
        if not others:
            self._part(number)
            return
        uid = others[0]
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
        self._ledger.open(number)
        meter = _Meter(
            self._settings.connection_bytes, self._allowance(uid), partial(self._note, number)
        )
        over = partial(self._over, number, peer)
        self._carried[number] = self._relay.carry(near, far, over, meter)

    def _part(self, number: int) -> None:
        """End a connection, unless it has ended, once what was answered has been sent."""
        carried = self._carried.get(number)
        if carried is not None:
            self._relay.end(carried)

    def _over(self, number: int, peer: str) -> None:
        self._numbers.pop(peer, None)
        self._carried.pop(number, None)
        self._ledger.close(number)

    def _note(self, number: int, count: int) -> None:
        self._ledger.note(number, count)
        if not self._is_busy.is_set():
            self._is_busy.set()

    def _watch(self) -> None:
        """While somebody sends, end the connections that cost most where memory is short."""
        while self._is_busy.wait():
            self._is_busy.clear()
            time.sleep(LOOK)
            for count in itertools.count(1):
                for number in self._ledger.look():
                    self._shed(number)
                if self._ledger.is_quiet():
                    break
                time.sleep(LOOK)
                if count % LOOKS_TO_GIVE == 0 and self._ledger.is_easing():
                    give_memory_back()
            if self._ledger.has_grown():
                give_memory_back()

    def _shed(self, number: int) -> None:
        """End a connection for the memory that it costs."""
        carried = self._carried.get(number)
        if carried is not None:
            cost = self._ledger.costs().get(number, 0)
            self._relay.cut(carried)
            self._ledger.close(number)
            self._drop(number, f"it cost {cost / (1 << 20):.1f} MiB of memory, which is short")

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
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h).

    Its protection from overload is off: that counts calls which have ended and are not yet
    forgotten, and refuses the next of a client's that keeps to the number it was told.
    """
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_metadata_size", settings.header_bytes),
        ("grpc.absolute_max_metadata_size", settings.header_bytes),
        ("grpc.max_concurrent_streams", settings.streams),
        ("grpc.http.overload_protection", 0),
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
