# SPDX-License-Identifier: Apache-2.0
"""A connection to a daemon, and the calls of its services on it."""

import os
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from kmodctl.errors import CallError, NoDaemonError
from kmodctl.methods import Methods
from kmodctl.sockets import SOCKET_VARIABLE, find_socket

# A service's messages are imported when it is first called; client.py says why.
if TYPE_CHECKING:
    from kmodd.v1 import (
        daemon_service_pb2_grpc,
        database_service_pb2_grpc,
        emulation_service_pb2_grpc,
        kernel_log_service_pb2_grpc,
        module_service_pb2_grpc,
    )

CHUNK = 256 << 10
"""Bytes of a module file in one message."""

TOKEN_VARIABLE = "KMODD_TOKEN"
TOKEN_KEY = "kmodd-token"
"""Where a command of modprobe.d finds what its calls are to show, and under which key."""

OPTIONS = (("grpc.enable_retries", 0),)
"""A channel's options: there is no service configuration that could ask for retries, and getting
ready for one costs each call a part of its time."""

STATUS_KEY = "grpc-status-details-bin"

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")

Answer = TypeVar("Answer")


class Connection:
    """A channel to a daemon's socket, and its services on it; a context manager."""

    def __init__(self, socket: str | None = None, *, timeout: float | None = None) -> None:
        """Connect to ``socket``, or to the daemon that kmodctl would find.

        ``timeout`` bounds each call, in seconds. A call that runs out of time ends the waiting,
        not the work: the daemon finishes what it began. Raises NoDaemonError.
        """
        self._path = find_socket(socket)
        self._timeout = timeout
        self._metadata = _metadata(self._path)
        self._channel = grpc.insecure_channel(f"unix:{_quoted(self._path)}", options=OPTIONS)

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

    @cached_property
    def _modules(self) -> "module_service_pb2_grpc.ModuleServiceStub":
        from kmodd.v1 import module_service_pb2

        stub: module_service_pb2_grpc.ModuleServiceStub = self._service(
            module_service_pb2, "ModuleService"
        )
        return stub

    @cached_property
    def _databases(self) -> "database_service_pb2_grpc.DatabaseServiceStub":
        from kmodd.v1 import database_service_pb2

        stub: database_service_pb2_grpc.DatabaseServiceStub = self._service(
            database_service_pb2, "DatabaseService"
        )
        return stub

    @cached_property
    def _log(self) -> "kernel_log_service_pb2_grpc.KernelLogServiceStub":
        from kmodd.v1 import kernel_log_service_pb2

        stub: kernel_log_service_pb2_grpc.KernelLogServiceStub = self._service(
            kernel_log_service_pb2, "KernelLogService"
        )
        return stub

    @cached_property
    def _daemon(self) -> "daemon_service_pb2_grpc.DaemonServiceStub":
        from kmodd.v1 import daemon_service_pb2

        stub: daemon_service_pb2_grpc.DaemonServiceStub = self._service(
            daemon_service_pb2, "DaemonService"
        )
        return stub

    @cached_property
    def _emulation(self) -> "emulation_service_pb2_grpc.EmulationServiceStub":
        from kmodd.v1 import emulation_service_pb2

        stub: emulation_service_pb2_grpc.EmulationServiceStub = self._service(
            emulation_service_pb2, "EmulationService"
        )
        return stub

    def _service(self, messages: Any, name: str) -> Any:
        """Return the methods of a service, which is in the same file as its ``messages``."""
        return Methods(self._channel, messages.DESCRIPTOR.services_by_name[name])

    def _call(self, method: Callable[..., Answer], request: object) -> Answer:
        try:
            return method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _upload(
        self,
        method: Callable[..., Answer],
        request: Callable[..., object],
        header: object,
        path: str | os.PathLike[str],
    ) -> Answer:
        """Send the file ``path``: a request with the header, then one for each chunk."""
        with open(path, "rb") as file:

            def requests() -> Iterator[object]:
                yield request(header=header)
                while chunk := file.read(CHUNK):
                    yield request(chunk=chunk)

            return self._call(method, requests())

    def _stream(self, method: Callable[..., Iterator[Any]], request: object) -> Iterator[Any]:
        try:
            yield from method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _translated(self, error: Any) -> CallError | NoDaemonError:
        """Return the exception for a failed call: its details say more than its code."""
        details = next(
            (value for key, value in error.trailing_metadata() or () if key == STATUS_KEY), None
        )
        if details is not None:
            from kmodctl.failures import call_error

            return call_error(details)
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return NoDaemonError([self._path])
        return CallError(reason=error.code().name, message=error.details() or error.code().name)


def _quoted(path: str) -> str:
    """Return a path as a target of grpc's has it."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    from urllib.parse import quote

    return quote(path)


def _metadata(path: str) -> tuple[tuple[str, str], ...]:
    """Return what calls on the socket ``path`` show beside themselves.

    A command that the daemon runs finds a token in its environment, and the socket to show it on.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    theirs = os.path.abspath(os.environ.get(SOCKET_VARIABLE, ""))
    return ((TOKEN_KEY, token),) if token and path == theirs else ()
