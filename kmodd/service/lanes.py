# SPDX-License-Identifier: Apache-2.0
"""Which threads serve which calls, and how a call's failure leaves the daemon.

Calls that only look, calls that change something, streams and holds have pools of their own, so
that waiting callers of one kind never starve another. Past the bound of its lane a call is
answered at once with LIMIT_REACHED.
"""

import enum
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from kmodd.errors import KmoddError, LimitError, Reason, StateError
from kmodd.service.door import Door
from kmodd.service.failures import abort
from kmodd.settings import Limits

REFUSERS = 4
"""Threads of a lane beyond its bound, which tell callers that it is full."""

log = logging.getLogger(__name__)


class Lane(enum.Enum):
    """The kinds of calls."""

    READ = "read"
    MUTATION = "mutation"
    STREAM = "stream"
    HOLD = "hold"


LANES = {
    "/kmodd.v1.ModuleService/InsertModule": Lane.MUTATION,
    "/kmodd.v1.ModuleService/LoadModules": Lane.MUTATION,
    "/kmodd.v1.ModuleService/UnloadModules": Lane.MUTATION,
    "/kmodd.v1.ModuleService/RemoveModule": Lane.MUTATION,
    "/kmodd.v1.ModuleService/SetParameter": Lane.MUTATION,
    "/kmodd.v1.ModuleService/HoldModules": Lane.HOLD,
    "/kmodd.v1.ModuleService/EndHold": Lane.MUTATION,
    "/kmodd.v1.ModuleService/WatchModules": Lane.STREAM,
    "/kmodd.v1.DatabaseService/GetConfiguration": Lane.STREAM,
    "/kmodd.v1.DatabaseService/InspectModule": Lane.STREAM,
    "/kmodd.v1.DatabaseService/RebuildDatabase": Lane.STREAM,
    "/kmodd.v1.DatabaseService/WatchDatabase": Lane.STREAM,
    "/kmodd.v1.KernelLogService/ReadLog": Lane.STREAM,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Lane.STREAM,
}
"""The lane of each method that does not only look."""


class _Pool:
    """The threads of one lane. ``_lock`` guards the number of calls being served."""

    def __init__(self, lane: Lane, bound: int) -> None:
        self._lane = lane
        self._bound = bound
        self._lock = threading.Lock()
        self._serving = 0
        self.executor = ThreadPoolExecutor(
            bound + REFUSERS, thread_name_prefix=f"kmodd-{lane.value}"
        )

    def __enter__(self) -> None:
        with self._lock:
            if self._serving >= self._bound:
                raise LimitError(
                    Reason.LIMIT_REACHED,
                    f"{self._bound} calls of the kind '{self._lane.value}' are under way already",
                )
            self._serving += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._serving -= 1

    def busy(self) -> bool:
        with self._lock:
            return self._serving > 0


class Lanes(grpc.ServerInterceptor):
    """Gives every call its lane, if the door lets it in, and turns its exceptions into statuses."""

    def __init__(self, limits: Limits, door: Door) -> None:
        self._door = door
        bounds = {
            Lane.READ: limits.readers,
            Lane.MUTATION: limits.mutations,
            Lane.STREAM: limits.streams,
            Lane.HOLD: limits.holds,
        }
        self._pools = {lane: _Pool(lane, bound) for lane, bound in bounds.items()}
        self._handlers: dict[str, grpc.RpcMethodHandler | None] = {}
        self._draining = threading.Event()

    @property
    def reads(self) -> ThreadPoolExecutor:
        """The threads for calls that only look; the server's default."""
        return self._pools[Lane.READ].executor

    def drain(self) -> None:
        """Refuse new mutations from now on."""
        self._draining.set()

    def mutating(self) -> bool:
        """Tell whether a mutation is being served."""
        return self._pools[Lane.MUTATION].busy()

    def close(self) -> None:
        """Let the threads end once they are idle."""
        for pool in self._pools.values():
            pool.executor.shutdown(wait=False)

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
        shape = f"{'stream' if handler.request_streaming else 'unary'}_"
        shape += "stream" if handler.response_streaming else "unary"
        behavior = getattr(handler, shape)
        if getattr(behavior, "experimental_non_blocking", False):
            return handler  # health's Watch, which holds no thread
        lane = LANES.get(method, Lane.READ)
        pool = self._pools[lane]
        guard = self._guarded_stream if handler.response_streaming else self._guarded
        served = guard(method, behavior, pool, lane, whole=not handler.request_streaming)
        served.experimental_thread_pool = pool.executor  # type: ignore[attr-defined]
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        wrapped: grpc.RpcMethodHandler = make(
            served, handler.request_deserializer, handler.response_serializer
        )
        return wrapped

    def _guarded(
        self, method: str, behavior: Callable[..., Any], pool: _Pool, lane: Lane, *, whole: bool
    ) -> Callable[..., Any]:
        def served(request: Any, context: grpc.ServicerContext) -> Any:
            with _failures(method, context, self._door), pool:
                self._admit(lane)
                self._door.admit(method, request if whole else None, context)
                return behavior(request, context)

        return served

    def _guarded_stream(
        self, method: str, behavior: Callable[..., Any], pool: _Pool, lane: Lane, *, whole: bool
    ) -> Callable[..., Any]:
        def served(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _failures(method, context, self._door), pool:
                self._admit(lane)
                self._door.admit(method, request if whole else None, context)
                yield from behavior(request, context)

        return served

    def _admit(self, lane: Lane) -> None:
        if lane in (Lane.MUTATION, Lane.HOLD) and self._draining.is_set():
            raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")


class _failures:  # noqa: N801  # reads as the statement it is
    """Turns an exception within the context into the status of the call."""

    def __init__(self, method: str, context: grpc.ServicerContext, door: Door) -> None:
        self._method = method
        self._context = context
        self._door = door

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KmoddError):
            abort(self._context, self._door.shown_error(error))
        elif isinstance(error, Exception) and self._context.code() is None:
            log.exception("%s", self._method)
            internal = StateError(Reason.INTERNAL, f"{type(error).__name__}; see kmodd's log")
            abort(self._context, internal)
