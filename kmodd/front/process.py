# SPDX-License-Identifier: Apache-2.0
"""The front's process: takes over connections, reads what they send, and passes the calls on."""

import array  # noqa: F401  # which socket.recv_fds imports, and no file can be opened by then
import json
import os
import queue
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial

import grpc

from kmodd.front.confinement import give_up_privileges
from kmodd.front.wire import ANSWER_MAX, CREDITS, Frame, FrameKind, Opening, Status, Wire
from kmodd.host.allowance import Allowance
from kmodd.host.directories import by_descriptor
from kmodd.host.nameless import nameless
from kmodd.host.relay import Relay
from kmodd.host.transport import STATUS_KEY, TOKEN_KEY, abstract_peer, cancel_call

STACK = 256 << 10
"""Bytes of a thread's stack: there may be as many threads as calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """What a front is told at its start. Sizes in bytes, times in seconds.

    ``methods`` are all that there are, ``streaming`` those that take a stream of requests, and
    ``answering`` those that answer with one.
    """

    methods: tuple[str, ...]
    streaming: tuple[str, ...]
    answering: tuple[str, ...]
    message_bytes: int
    header_bytes: int
    streams: int
    calls: int
    user_bytes: int
    connection_idle: float
    ping_interval: float
    handshake: float
    memory: int

    def words(self) -> str:
        """Return it as an argument of the process."""
        return json.dumps(asdict(self))


class _Link:
    """The calls that are under way to the daemon. ``_lock`` guards their table."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._last = 0

    def begin(self, context: grpc.ServicerContext, opening: Opening) -> "_Call | None":
        """Tell the daemon of a call, before its request has come; None where its client has gone.

        So the daemon knows how many calls each user has, and how long they keep it waiting.
        """
        with self._lock:
            self._last += 1
            call = self._calls[self._last] = _Call(self, self._last, context)
        self.wire.send(FrameKind.OPEN, call.stream, opening.packed())
        if context.add_callback(call.over):
            return call
        call.over()
        return None

    def end(self, call: "_Call") -> None:
        """Forget a call, and tell the daemon that its client waits no more."""
        with self._lock:
            if self._calls.pop(call.stream, None) is None:
                return
        call.arrived.put(None)
        self.wire.send(FrameKind.OVER, call.stream)

    def receive(self) -> None:
        """Hand what the daemon says to the calls, until it has gone."""
        for frame in self.wire.frames():
            with self._lock:
                call = self._calls.get(frame.stream)
            if call is None:
                continue
            if frame.kind is FrameKind.CREDIT:
                call.credits.release()
            elif frame.kind is FrameKind.CUT:  # whatever its thread waits for
                status = Status.unpacked(frame.payload)
                cancel_call(call.context, status.code, status.message)
            else:
                call.arrived.put(frame)


class _Call:
    """One call. ``arrived`` is what the daemon has said; None once nobody waits for it."""

    __slots__ = ("_link", "arrived", "context", "credits", "is_over", "stream")

    def __init__(self, link: _Link, stream: int, context: grpc.ServicerContext) -> None:
        self._link = link
        self.stream = stream
        self.context = context
        self.arrived: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self.credits = threading.Semaphore(CREDITS)
        self.is_over = False

    def send_only(self, requests: Iterator[bytes]) -> None:
        """Pass the one request of a call on; raises grpc.RpcError where the client has gone."""
        end = Frame(FrameKind.HALF_CLOSE, self.stream)
        for request in requests:
            self._link.wire.send(FrameKind.MESSAGE, self.stream, request, end)
            return
        self._link.wire.send(FrameKind.HALF_CLOSE, self.stream)

    def over(self) -> None:
        """Note that its client waits no more."""
        self.is_over = True
        self.credits.release()
        self._link.end(self)

    def pump(self, requests: Iterator[bytes]) -> None:
        """Pass the rest of a stream of requests on."""
        try:
            for request in requests:
                self.credits.acquire()
                if self.is_over:
                    return
                self._link.wire.send(FrameKind.MESSAGE, self.stream, request)
        except grpc.RpcError:
            return  # the client has gone, which the call is told by itself
        except OSError:
            return
        self._link.wire.send(FrameKind.HALF_CLOSE, self.stream)

    def answers(self, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Yield the answers, and end the call as the daemon says."""
        while (frame := self.arrived.get()) is not None:
            if frame.kind is FrameKind.MESSAGE:
                yield frame.payload
                self._link.wire.send(FrameKind.CREDIT, self.stream)
            elif frame.kind is FrameKind.INITIAL:
                context.send_initial_metadata(())
            else:
                _end(Status.unpacked(frame.payload), context)
                return
        context.abort(grpc.StatusCode.CANCELLED, "the client has gone")


class _Handlers(grpc.GenericRpcHandler):
    """Answers every method by what the daemon answers."""

    def __init__(self, link: _Link, settings: FrontSettings, served: Callable[[str], int]) -> None:
        """``served`` returns the number of the connection that has a peer's name."""
        self._link = link
        self._served = served
        self._known = {
            method: self._handler(
                method,
                streaming=method in settings.streaming,
                answering=method in settings.answering,
            )
            for method in settings.methods
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Return the method's handler, None for a method that nobody serves."""
        return self._known.get(handler_call_details.method)

    def _handler(self, method: str, *, streaming: bool, answering: bool) -> grpc.RpcMethodHandler:
        def begun(requests: Iterator[bytes], context: grpc.ServicerContext) -> _Call | None:
            tokens = (value for key, value in context.invocation_metadata() if key == TOKEN_KEY)
            opening = Opening(self._served(context.peer()), method, str(next(tokens, "")))
            call = self._link.begin(context, opening)
            if call is None:
                return None
            if streaming:
                pumping = partial(call.pump, requests)
                threading.Thread(target=pumping, name="kmodd-front-pump", daemon=True).start()
            else:
                call.send_only(requests)
            return call

        def many(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            call = begun(requests, context)
            if call is not None:
                yield from call.answers(context)

        def one(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            call = begun(requests, context)
            return b"".join(call.answers(context)) if call is not None else b""

        if answering:
            return grpc.stream_stream_rpc_method_handler(many)
        return grpc.stream_unary_rpc_method_handler(one)


def _end(status: Status, context: grpc.ServicerContext) -> None:
    """End a call as the daemon says."""
    if status.code == 0:
        return
    if status.details:
        context.set_trailing_metadata(((STATUS_KEY, status.details),))
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    context.abort(code, status.message)


class _Front:
    """The server, and the connections that it has been given."""

    def __init__(self, wire: Wire, given: socket.socket, settings: FrontSettings) -> None:
        self._given = given
        self._settings = settings
        self._life = secrets.token_hex(8)
        self._numbers: dict[str, int] = {}
        self._allowances: dict[int, Allowance] = {}
        self._relay = Relay()
        self.link = _Link(wire)
        threads = ThreadPoolExecutor(settings.calls, thread_name_prefix="kmodd-front-call")
        self._server = grpc.server(
            threads,
            [_Handlers(self.link, settings, lambda peer: self._numbers.get(peer, 0))],
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
        self.link.receive()

    def _take(self) -> None:
        """Serve a connection that the daemon hands over, with its number and its user's."""
        data, descriptors, _, _ = socket.recv_fds(self._given, 64, 1)
        if not descriptors:
            os._exit(0)  # the daemon has gone
        number, uid = map(int, data.split())
        near = socket.socket(fileno=descriptors[0])
        near.setblocking(False)
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        name = f"kmodd-{self._life}-{number}"
        peer = abstract_peer(name)
        far.bind(b"\0" + name.encode())
        far.connect(by_descriptor(self._node))
        far.setblocking(False)
        self._numbers[peer] = number
        self._relay.carry(near, far, lambda: self._over(peer), self._allowance(uid))

    def _over(self, peer: str) -> None:
        self._numbers.pop(peer, None)

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


def main(words: str, wire: int, given: int) -> None:
    """Serve until the daemon closes its end of the ``wire``.

    ``words`` are the settings, and at ``given`` the connections come.
    """
    # A service manager and a terminal signal all processes: this one ends with the daemon.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    settings = FrontSettings(**json.loads(words))
    threading.stack_size(STACK)
    front = _Front(
        Wire(socket.socket(fileno=wire), ANSWER_MAX), socket.socket(fileno=given), settings
    )
    front.listen()
    front.link.wire.send(
        FrameKind.READY, 0, "\n".join(give_up_privileges(settings.memory)).encode()
    )
    front.run()
    os._exit(0)  # threads of calls wait for a daemon that has gone


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
