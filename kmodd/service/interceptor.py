# SPDX-License-Identifier: Apache-2.0
"""Which calls are served at the same time, and how a call's failure leaves the daemon.

A call has a thread from the moment it comes in, up to a bound for the socket. Those that only
look, those that change something, streams and holds each have a lane, so that one kind never
keeps another from being served. Past the bound of its lane a call is answered at once with
LIMIT_REACHED; but calls that only look are quick, and first wait for their turn.

For each method grpc is told that it takes a stream of requests: for a method with one request it
would wait in a place where nobody can end the waiting (see served_calls.py).
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kmodd.access.policy import Lane, policy_of
from kmodd.errors import KmoddError, LimitError, Reason, RequestError, StateError
from kmodd.service.admission import Admission
from kmodd.service.failures import abort
from kmodd.service.served_calls import ServedCalls
from kmodd.settings import Limits

REFUSERS = 16
"""Calls beyond a socket's bound that are told so with a reason; those beyond them get grpc's own
words for it."""

TURN = 10.0
"""Seconds that a call which only looks waits for its turn."""

log = logging.getLogger(__name__)


class _Places:
    """The places in one lane, of which a call takes one. ``_changed`` guards how many are taken."""

    def __init__(self, lane: Lane, bound: int) -> None:
        self._lane = lane
        self._bound = bound
        self._turn = TURN if lane is Lane.READ else 0.0
        self._changed = threading.Condition()
        self._taken = 0

    def __enter__(self) -> None:
        with self._changed:
            if self._taken >= self._bound and not self._changed.wait_for(
                lambda: self._taken < self._bound, self._turn
            ):
                raise LimitError(
                    Reason.LIMIT_REACHED,
                    f"{self._bound} calls of the kind '{self._lane.value}' are under way already",
                )
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def taken(self) -> bool:
        """Tell whether a call has one of them."""
        with self._changed:
            return self._taken > 0


class Interceptor(grpc.ServerInterceptor):
    """Gives every call its lane, if it is admitted, and turns its exceptions into statuses."""

    def __init__(self, limits: Limits, admission: Admission) -> None:
        self._admission = admission
        bounds = {
            Lane.READ: limits.readers,
            Lane.MUTATION: limits.mutations,
            Lane.STREAM: limits.streams,
            Lane.HOLD: limits.holds,
        }
        self._places = {lane: _Places(lane, bound) for lane, bound in bounds.items()}
        self._calls = ServedCalls(limits.concurrent_calls, limits.client_idle)
        self.most = limits.concurrent_calls + REFUSERS
        self.threads = ThreadPoolExecutor(self.most, thread_name_prefix="kmodd-call")
        self._handlers: dict[str, grpc.RpcMethodHandler | None] = {}
        self._draining = threading.Event()

    def drain(self) -> None:
        """Refuse new mutations from now on."""
        self._draining.set()

    def mutating(self) -> bool:
        """Tell whether a mutation is being served."""
        return self._places[Lane.MUTATION].taken()

    def close(self) -> None:
        """Let the threads end once they are idle."""
        self._calls.close()
        self.threads.shutdown(wait=False)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the method's handler, wrapped; each method is wrapped once."""
        method = handler_call_details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self._wrapped(method, handler)
        self._handlers[method] = wrapped
        return wrapped

    def _wrapped(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        given = "stream" if handler.request_streaming else "unary"
        answered = "stream" if handler.response_streaming else "unary"
        behavior = getattr(handler, f"{given}_{answered}")
        guard = self._guarded_stream if handler.response_streaming else self._guarded
        make = getattr(grpc, f"stream_{answered}_rpc_method_handler")
        wrapped: grpc.RpcMethodHandler = make(
            guard(method, behavior, single=not handler.request_streaming),
            _tolerant(handler.request_deserializer),
            handler.response_serializer,
        )
        return wrapped

    def _guarded(
        self, method: str, behavior: Callable[..., Any], *, single: bool
    ) -> Callable[..., Any]:
        lane = policy_of(method).lane
        places = self._places[lane]

        def served(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            with (
                _failures(method, context, self._admission),
                self._calls.begin(method, context) as call,
            ):
                request = _only(requests) if single else map(_understood, requests)
                call.goes_on()
                self._admit(method, lane, request if single else None, context)
                with places:
                    _check_there(context)
                    return behavior(request, context)

        return served

    def _guarded_stream(
        self, method: str, behavior: Callable[..., Any], *, single: bool
    ) -> Callable[..., Any]:
        lane = policy_of(method).lane
        places = self._places[lane]

        def served(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            with (
                _failures(method, context, self._admission),
                self._calls.begin(method, context) as call,
            ):
                request = _only(requests) if single else map(_understood, requests)
                call.goes_on()
                self._admit(method, lane, request if single else None, context)
                with places:
                    _check_there(context)
                    for answer in behavior(request, context):
                        call.waits()
                        yield answer  # comes back once the client has taken it
                        call.goes_on()

        return served

    def _admit(self, method: str, lane: Lane, request: Any, context: grpc.ServicerContext) -> None:
        """Raise KmoddError for a call that is not let in; ``request`` is None for a stream."""
        self._admission.admit(method, request, context)
        if lane in (Lane.MUTATION, Lane.HOLD) and self._draining.is_set():
            raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")


class _Malformed:
    """A request that cannot be understood; ``why`` says so."""

    def __init__(self, why: str) -> None:
        self.why = why


def _tolerant(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return ``deserialize``, giving a _Malformed where it raises: grpc logs that with a trace."""

    def understand(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return _Malformed(str(error))

    return understand


def _understood(request: Any) -> Any:
    if isinstance(request, _Malformed):
        raise RequestError(Reason.INVALID_REQUEST, request.why)
    return request


def _only(requests: Iterator[Any]) -> Any:
    """Wait for the one request of a call and return it."""
    for request in requests:
        return _understood(request)
    raise RequestError(Reason.INVALID_REQUEST, "the call ended without its request")


def _check_there(context: grpc.ServicerContext) -> None:
    """End the call where its client has gone before anything was done for it."""
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, "the client has gone")


class _failures:  # noqa: N801  # reads as the statement it is
    """Turns an exception within the context into the status of the call."""

    def __init__(self, method: str, context: grpc.ServicerContext, admission: Admission) -> None:
        self._method = method
        self._context = context
        self._admission = admission

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KmoddError):
            abort(self._context, self._admission.shown_error(error))
        elif isinstance(error, grpc.RpcError):
            return  # the client has gone
        elif isinstance(error, Exception) and self._context.code() is None:
            log.exception("%s", self._method)
            internal = StateError(Reason.INTERNAL, f"{type(error).__name__}; see kmodd's log")
            abort(self._context, internal)
