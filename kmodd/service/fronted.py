# SPDX-License-Identifier: Apache-2.0
"""The calls that a front passes on: served as if grpc had read them here."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping

import grpc

from kmodd.front.wire import Frame, FrameKind, Opening, Wire, WireError
from kmodd.records import record
from kmodd.service.fronted_call import CallEndedError, FrontedCall
from kmodd.service.interceptor import Interceptor

log = logging.getLogger(__name__)


@record
class Called:
    """What an interceptor is told of a call (grpc.HandlerCallDetails)."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class Methods:
    """Takes the place of a grpc.Server for those who add their methods to one."""

    def __init__(self) -> None:
        self.handlers: dict[str, grpc.RpcMethodHandler] = {}

    def add_generic_rpc_handlers(self, _handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take none: these handle what is registered by its name, too."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]
    ) -> None:
        """Take the methods of a service."""
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


class FrontedCalls:
    """Serves what comes over one wire until that ends. ``_lock`` guards the table of calls."""

    def __init__(
        self,
        wire: Wire,
        methods: Methods,
        interceptor: Interceptor,
        peer_of: Callable[[int], str],
        ready: Callable[[list[str]], None],
        taken: Callable[[int], None] = lambda _number: None,
        dropped: Callable[[int, str], None] = lambda _number, _why: None,
    ) -> None:
        """``peer_of`` returns what a connection is known by, "" for one that was never given.

        ``ready`` is told what the front could not give up, ``taken`` the number of a connection
        that it has, and ``dropped`` of one that it serves no more, and why.
        """
        self._wire = wire
        self._methods = methods
        self._interceptor = interceptor
        self._threads = interceptor.threads
        self._give_way = interceptor.precedence.give_way
        self._peer_of = peer_of
        self._ready = ready
        self._taken = taken
        self._dropped = dropped
        self._lock = threading.Lock()
        self._calls: dict[int, FrontedCall] = {}

    def serve(self) -> None:
        """Serve until the front has gone, and end all that it has begun; raises WireError."""
        try:
            for frame in self._wire.frames():
                self._take(frame)
        except OSError:
            pass
        finally:
            with self._lock:
                calls = tuple(self._calls.values())
                self._calls.clear()
            for call in calls:
                call.over()

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case FrameKind.OPEN:
                self._open(frame.stream, Opening.unpacked(frame.payload))
            case FrameKind.READY:
                self._ready(frame.payload.decode(errors="replace")[:4096].splitlines())
            case FrameKind.TAKEN:
                self._taken(frame.stream)
            case FrameKind.DROPPED:
                self._dropped(frame.stream, frame.payload.decode(errors="replace")[:256])
            case FrameKind.OVER:
                with self._lock:
                    over = self._calls.pop(frame.stream, None)
                if over is not None:
                    over.over()
            case _:
                with self._lock:
                    found = self._calls.get(frame.stream)
                if found is not None:
                    found.take(frame)

    def _open(self, stream: int, opening: Opening) -> None:
        """Begin to serve a call; raises WireError for one that cannot be."""
        call = FrontedCall(self._wire, stream, opening, self._peer_of(opening.connection))
        with self._lock:
            # A front that is full may tell of a new call before the end of an old one.
            bound = 2 * self._interceptor.most
            if stream in self._calls or len(self._calls) >= bound:
                raise WireError("a call that was not to come")
            self._calls[stream] = call
        self._give_way()
        self._threads.submit(self._run, call)

    def _run(self, call: FrontedCall) -> None:
        """Serve one call."""
        try:
            self._serve(call)
        except (CallEndedError, grpc.RpcError):
            pass
        except Exception:
            log.exception("%s", call.opening.method)
            call.set_code(grpc.StatusCode.INTERNAL)
        finally:
            call.finish()

    def _serve(self, call: FrontedCall) -> None:
        handler = self._interceptor.intercept_service(
            lambda details: self._methods.handlers.get(details.method), Called(call.opening.method)
        )
        if handler is None:
            call.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        requests = map(handler.request_deserializer, call.requests())
        if not handler.response_streaming:
            call.answer(handler.response_serializer(handler.stream_unary(requests, call)))
            return
        for answer in handler.stream_stream(requests, call):
            call.answer(handler.response_serializer(answer))
