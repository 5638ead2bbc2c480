# SPDX-License-Identifier: Apache-2.0
"""A connection to a daemon, and calls of methods on it."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

import grpc

from kmodctl.errors import CallError, NoDaemonError
from kmodctl.method import Exchange, Method, Request, Response, Stream, Unary, Upload
from kmodctl.nested import metadata_for
from kmodctl.sockets import find_socket

CHUNK = 256 << 10
"""Bytes of a module file in one message."""

OPTIONS = (("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 1000))
"""A channel's options: there is no service configuration that could ask for retries, and getting
ready for one costs each call a part of its time. A daemon that is started anew is found within a
second; grpc would wait ever longer, up to two minutes."""

STATUS_KEY = "grpc-status-details-bin"

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class Endpoint:
    """A daemon's socket and how its methods are called there, by a channel of either kind.

    What a call returns is grpc's word for it, and in asyncio's channel another one.
    """

    def __init__(self, socket: str | None = None, *, timeout: float | None = None) -> None:
        """Connect to ``socket``, or to the daemon that kmodctl would find.

        ``timeout`` bounds each call, in seconds. A call that runs out of time ends the waiting,
        not the work: the daemon finishes what it began. Raises NoDaemonError.

        Root asks root's daemons alone (OthersDaemonError), as ``kmodctl.sockets.check_listener``
        has it. That is asked of a connection just before grpc makes its own, and not of those that
        grpc makes later: it protects from a socket that is somebody else's, not from who may
        put one in a daemon's place.
        """
        self._path = find_socket(socket)
        self._timeout = timeout
        self._metadata = metadata_for(self._path)
        self._callables: dict[Method[Any, Any], Callable[..., Any]] = {}
        self._channel = self._open(f"unix:{_quoted(self._path)}")

    def _open(self, target: str) -> Any:
        """Return a channel to ``target``, which connects with the first call."""
        raise NotImplementedError

    def _begin(
        self, method: Method[Request, Response], given: object, timeout: float | None
    ) -> Any:
        """Begin a call with the request or the requests that are ``given``.

        Returns grpc's word for it: the response, or a stream of responses that can be cancelled.
        """
        begin = self._callables.get(method) or self._callable(method)
        return begin(given, timeout=timeout, metadata=self._metadata)

    def _callable(self, method: Method[Request, Response]) -> Callable[..., Any]:
        """Return the method as grpc calls it, made when it is first called.

        A generated stub makes all methods of its service at once, and the module that it is in
        imports more of grpc. For a command that makes one call that is 3 ms, of 80.
        """
        shape = f"{'stream' if method.streams_requests else 'unary'}_"
        shape += "stream" if method.streams_responses else "unary"
        request: Any = method.request
        response: Any = method.response
        made: Callable[..., Any] = getattr(self._channel, shape)(
            method.path,
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        self._callables[method] = made
        return made

    def _translated(self, error: Any) -> CallError | NoDaemonError:
        """Return the exception for a failed call: its details say more than its code."""
        details = next(
            (value for key, value in error.trailing_metadata() or () if key == STATUS_KEY), None
        )
        if details is not None:
            from kmodctl.failures import call_error
            from kmodd.v1.errors_pb2 import Step

            failed = call_error(details)
            failed.steps = tuple(Step.FromString(step.encode()) for step in failed.steps)
            return failed
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return NoDaemonError([self._path])
        return CallError(reason=error.code().name, message=error.details() or error.code().name)


class Connection(Endpoint):
    """A channel to a daemon's socket; a context manager."""

    def _open(self, target: str) -> Any:
        return grpc.insecure_channel(target, options=OPTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _call(self, method: Unary[Request, Response], request: Request) -> Response:
        return self._answer(method, request)

    def _upload(
        self, method: Upload[Request, Response], header: object, path: str | os.PathLike[str]
    ) -> Response:
        """Send the file ``path``: a request with the header, then one for each chunk."""
        make: Callable[..., Request] = method.request
        with open(path, "rb") as file:

            def requests() -> Iterator[Request]:
                yield make(header=header)
                while chunk := file.read(CHUNK):
                    yield make(chunk=chunk)

            return self._answer(method, requests())

    def _stream(self, method: Stream[Request, Response], request: Request) -> Iterator[Response]:
        try:
            yield from self._begin(method, request, self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _converse(
        self, method: Exchange[Request, Response], requests: Iterable[Request]
    ) -> Iterator[Response]:
        """Send requests, and yield the responses."""
        try:
            yield from self._begin(method, iter(requests), self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _exchange(
        self, method: Exchange[Request, Response], header: object, path: str
    ) -> Iterator[Response]:
        """Send a request with the header, then one for each chunk of the file ``path``, if one is
        given, and yield the responses.
        """
        make: Callable[..., Request] = method.request
        with open(path, "rb") if path else nullcontext() as file:

            def requests() -> Iterator[Request]:
                yield make(header=header)
                while file is not None and (chunk := file.read(CHUNK)):
                    yield make(chunk=chunk)

            try:
                yield from self._begin(method, requests(), self._timeout)
            except grpc.RpcError as error:
                raise self._translated(error) from None

    def _answer(self, method: Method[Request, Response], given: object) -> Response:
        """Make a call that has one response, and return that."""
        try:
            response: Response = self._begin(method, given, self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None
        return response


def _quoted(path: str) -> str:
    """Return a path as a target of grpc's has it."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    from urllib.parse import quote

    return quote(path)
