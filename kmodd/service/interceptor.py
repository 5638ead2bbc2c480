# SPDX-License-Identifier: Apache-2.0
"""Which calls are served at the same time, and how a call's failure leaves the daemon.

A call has a thread from the moment it comes in, up to a bound for its socket. Those that only
look, those that change something, streams and holds each have a lane, so that one kind never
keeps another from being served. Past the bound of its lane a call is answered at once with
LIMIT_REACHED; but calls that only look are quick, and first wait for their turn.

For each method grpc is told that it takes a stream of requests: for a method with one request it
would wait in a place where nobody can end the waiting (see served_calls.py).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kmodd.access.caller import Role
from kmodd.access.policy import Lane, policy_of
from kmodd.errors import KmoddError, LimitError, Reason, RequestError, StateError
from kmodd.service.admission import Admission
from kmodd.service.failures import abort
from kmodd.service.socket_calls import ServedConnection
from kmodd.service.threads import CallThreads

REFUSERS = 16
"""Calls beyond the bounds of all sockets that are told so with a reason; those beyond them get
grpc's own words for it."""

log = logging.getLogger(__name__)


class Interceptor(grpc.ServerInterceptor):
    """Gives every call its lane, if it is admitted, and turns its exceptions into statuses."""

    def __init__(self, admission: Admission, most: int) -> None:
        """``most`` is how many calls may be under way at a server, whatever they come by."""
        self._admission = admission
        self.precedence = admission.connections.precedence
        self.most = most + REFUSERS
        self.threads = CallThreads(self.most, "kmodd-call")
        self._handlers: dict[str, grpc.RpcMethodHandler | None] = {}

    def close(self) -> None:
        """Let the threads end once they are idle."""
        self.threads.shutdown()

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
        wrapped = self.wrapped(method, handler)
        self._handlers[method] = wrapped
        return wrapped

    def wrapped(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """Return ``handler`` with all that is done before and behind it."""
        given = "stream" if handler.request_streaming else "unary"
        answered = "stream" if handler.response_streaming else "unary"
        behavior = getattr(handler, f"{given}_{answered}")
        guard = self._guarded_stream if handler.response_streaming else self._guarded
        make = getattr(grpc, f"stream_{answered}_rpc_method_handler")
        wrapped: grpc.RpcMethodHandler = make(
            guard(method, behavior, single=not handler.request_streaming),
            _tolerant(handler.request_deserializer),
            _unless_ready(handler.response_serializer),
        )
        return wrapped

    def _guarded(
        self, method: str, behavior: Callable[..., Any], *, single: bool
    ) -> Callable[..., Any]:
        lane = policy_of(method).lane
        changes = lane in (Lane.MUTATION, Lane.HOLD)

        def served(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            connection: ServedConnection | None = None
            try:
                connection = self._admission.connections.of(context)
                comes_first = connection.caller.role is Role.ADMIN
                if comes_first:
                    self.precedence.note()
                call = connection.calls.begin(method, context, connection)
                try:
                    request = _only(requests) if single else map(_understood, requests)
                    call.goes_on()
                    self._admission.admit(
                        method, request if single else None, context, connection, call.gone
                    )
                    call.mutates = lane is Lane.MUTATION
                    if changes and connection.calls.draining.is_set():
                        raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
                    with connection.calls.place(lane, connection.caller):
                        _check_there(context)
                        return behavior(request, context)
                finally:
                    call.waits()
                    if comes_first:
                        self.precedence.note()
            except Exception as error:
                self._end(error, method, context, connection)
                raise

        return served

    def _guarded_stream(
        self, method: str, behavior: Callable[..., Any], *, single: bool
    ) -> Callable[..., Any]:
        lane = policy_of(method).lane
        changes = lane in (Lane.MUTATION, Lane.HOLD)

        def served(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            connection: ServedConnection | None = None
            try:
                connection = self._admission.connections.of(context)
                call = connection.calls.begin(method, context, connection)
                try:
                    request = _only(requests) if single else map(_understood, requests)
                    call.goes_on()
                    self._admission.admit(
                        method, request if single else None, context, connection, call.gone
                    )
                    call.mutates = lane is Lane.MUTATION
                    if changes and connection.calls.draining.is_set():
                        raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
                    with connection.calls.place(lane, connection.caller):
                        _check_there(context)
                        for answer in behavior(request, context):
                            call.waits()
                            yield answer  # comes back once the client has taken it
                            call.goes_on()
                finally:
                    call.waits()
            except Exception as error:
                self._end(error, method, context, connection)
                raise

        return served

    def _end(
        self,
        error: Exception,
        method: str,
        context: grpc.ServicerContext,
        connection: ServedConnection | None,
    ) -> None:
        """Turn what a call failed with into its status, as its caller is shown it, and raise.

        It comes back where the call has its status already, or the client has gone.
        """
        if isinstance(error, KmoddError):
            if isinstance(error, LimitError):
                role = connection.caller.role if connection is not None else Role.NONE
                self._admission.connections.denials.add(role, error.reason.name)
            if connection is not None:
                error = self._admission.view_of(connection.caller).shown_error(error)
            abort(context, error)
        if not isinstance(error, grpc.RpcError) and context.code() is None:
            log.exception("%s", method)
            internal = StateError(Reason.INTERNAL, f"{type(error).__name__}; see kmodd's log")
            abort(context, internal)


class GuardedMethods:
    """Adds methods to a grpc.Server, each wrapped by an interceptor that the server need not know.

    It would ask one for each call, in the one thread that all calls come by.
    """

    def __init__(self, server: grpc.Server, interceptor: Interceptor) -> None:
        self._server = server
        self._interceptor = interceptor

    def add_generic_rpc_handlers(self, _handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take none: these handle what is registered by its name, too."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]
    ) -> None:
        """Add the methods of a service."""
        wrapped = {
            name: self._interceptor.wrapped(f"/{service}/{name}", handler)
            for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, wrapped)


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


def _unless_ready(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return ``serialize``, which leaves an answer as it is that is in its bytes already."""
    return lambda answer: answer if isinstance(answer, bytes) else serialize(answer)


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
