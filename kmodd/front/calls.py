# SPDX-License-Identifier: Apache-2.0
"""The calls that a front reads, each passed on to the daemon as frames."""

import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial

import grpc

from kmodd.front.settings import FrontSettings
from kmodd.front.wire import CREDITS, Frame, FrameKind, Opening, Status, Wire
from kmodd.host.transport import STATUS_KEY, TOKEN_KEY, cancel_call


class CallLink:
    """The calls that are under way to the daemon. ``_lock`` guards their table."""

    def __init__(self, wire: Wire, ended: Callable[[int, int], None]) -> None:
        """``ended`` is told of each call at its end: its connection, and its requests' bytes."""
        self.wire = wire
        self._ended = ended
        self._lock = threading.Lock()
        self._calls: dict[int, FrontCall] = {}
        self._last = 0

    def begin(self, context: grpc.ServicerContext, opening: Opening) -> "FrontCall | None":
        """Tell the daemon of a call, before its request has come; None where its client has gone.

        So the daemon knows how many calls each user has, and how long they keep it waiting.
        """
        with self._lock:
            self._last += 1
            call = FrontCall(self, self._last, opening.connection, context)
            self._calls[self._last] = call
        self.wire.send(FrameKind.OPEN, call.stream, opening.packed())
        if context.add_callback(call.over):
            return call
        call.over()
        return None

    def end(self, call: "FrontCall") -> None:
        """Forget a call, and tell the daemon that its client waits no more."""
        with self._lock:
            if self._calls.pop(call.stream, None) is None:
                return
        self._ended(call.connection, call.size)
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


class FrontCall:
    """One call. ``arrived`` is what the daemon has said; None once nobody waits for it."""

    __slots__ = (
        *("_link", "arrived", "connection", "context", "credits", "is_over", "size", "stream"),
    )

    def __init__(
        self, link: CallLink, stream: int, connection: int, context: grpc.ServicerContext
    ) -> None:
        self._link = link
        self.stream = stream
        self.connection = connection
        self.size = 0
        self.context = context
        self.arrived: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self.credits = threading.Semaphore(CREDITS)
        self.is_over = False

    def send_only(self, requests: Iterator[bytes]) -> None:
        """Pass the one request of a call on; raises grpc.RpcError where the client has gone."""
        end = Frame(FrameKind.HALF_CLOSE, self.stream)
        for request in requests:
            self.size = len(request)
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
                self.size += len(request)
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


class CallHandlers(grpc.GenericRpcHandler):
    """Answers every method by what the daemon answers."""

    def __init__(
        self, link: CallLink, settings: FrontSettings, served: Callable[[str], int]
    ) -> None:
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
        def begun(requests: Iterator[bytes], context: grpc.ServicerContext) -> FrontCall | None:
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
