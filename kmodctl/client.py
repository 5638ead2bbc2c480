# SPDX-License-Identifier: Apache-2.0
"""``kmodctl.Client``: kmodd's API for Python programs, one method a call."""

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import grpc
from google.rpc import error_details_pb2, status_pb2

from kmodctl.errors import CallError, NoDaemonError
from kmodctl.sockets import find_socket
from kmodd.v1 import (
    daemon_service_pb2,
    daemon_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
    errors_pb2,
    kernel_log_service_pb2,
    kernel_log_service_pb2_grpc,
    module_service_pb2,
    module_service_pb2_grpc,
)

CHUNK = 256 << 10
"""Bytes of a module file in one message."""

DOMAIN = "kmodd"
STATUS_KEY = "grpc-status-details-bin"

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]


class Client:
    """A connection to a daemon; may be shared between threads, and is a context manager.

    Every method raises CallError for a call that fails, and NoDaemonError when the daemon is
    gone. Answers are the messages of ``kmodd.v1``.
    """

    def __init__(self, socket: str | None = None, *, timeout: float | None = None) -> None:
        """Connect to ``socket``, or to the daemon that kmodctl would find.

        ``timeout`` bounds each call, in seconds. A call that runs out of time ends the waiting,
        not the work: the daemon finishes what it began. Raises NoDaemonError.
        """
        self._path = find_socket(socket)
        self._timeout = timeout
        self._channel = grpc.insecure_channel(f"unix:{quote(self._path)}")
        self._modules = module_service_pb2_grpc.ModuleServiceStub(self._channel)
        self._databases = database_service_pb2_grpc.DatabaseServiceStub(self._channel)
        self._log = kernel_log_service_pb2_grpc.KernelLogServiceStub(self._channel)
        self._daemon = daemon_service_pb2_grpc.DaemonServiceStub(self._channel)

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

    def list_modules(self) -> list[module_service_pb2.Module]:
        """Return the loaded modules, the newest first."""
        request = module_service_pb2.ListModulesRequest()
        response: module_service_pb2.ListModulesResponse = self._call(
            self._modules.ListModules, request
        )
        return list(response.modules)

    def get_module(self, name: str) -> module_service_pb2.Module:
        """Return one loaded module."""
        request = module_service_pb2.GetModuleRequest(name=name)
        response: module_service_pb2.GetModuleResponse = self._call(
            self._modules.GetModule, request
        )
        return response.module

    def load(
        self, *names: str, parameters: str = "", **options: bool
    ) -> list[module_service_pb2.ModuleResult]:
        """Load modules by name or alias with what they need, and return a result for each.

        ``options`` are the flags of LoadModulesRequest. With one name a failure is raised; with
        more, each result has its own ``failure``.
        """
        request = module_service_pb2.LoadModulesRequest(
            names=names, parameters=parameters, **options
        )
        response: module_service_pb2.LoadModulesResponse = self._call(
            self._modules.LoadModules, request
        )
        return list(response.results)

    def unload(self, *names: str, **options: bool) -> list[module_service_pb2.ModuleResult]:
        """Unload modules and what is unused without them; as ``load`` in everything else."""
        request = module_service_pb2.UnloadModulesRequest(names=names, **options)
        response: module_service_pb2.UnloadModulesResponse = self._call(
            self._modules.UnloadModules, request
        )
        return list(response.results)

    def insert(
        self, path: str | os.PathLike[str], parameters: str = "", **options: bool
    ) -> module_service_pb2.Module:
        """Send the module file ``path`` and load it as it is; return it as listed.

        ``options`` are the flags of InsertModuleHeader. Raises OSError where the file cannot be
        read.
        """
        name = os.fspath(path)
        with open(name, "rb") as file:
            header = module_service_pb2.InsertModuleHeader(
                file_name=name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                parameters=parameters,
                **options,
            )

            def messages() -> Iterator[module_service_pb2.InsertModuleRequest]:
                yield module_service_pb2.InsertModuleRequest(header=header)
                while chunk := file.read(CHUNK):
                    yield module_service_pb2.InsertModuleRequest(chunk=chunk)

            response: module_service_pb2.InsertModuleResponse = self._call(
                self._modules.InsertModule, messages()
            )
        return response.module

    def remove(self, name: str, *, force: bool = False) -> None:
        """Unload one module and nothing else."""
        request = module_service_pb2.RemoveModuleRequest(name=name, force=force)
        self._call(self._modules.RemoveModule, request)

    def rebuild_database(
        self, release: str = "", *, progress: Progress | None = None
    ) -> database_service_pb2.Tree:
        """Rebuild a release's databases; ``progress`` is told files read and files in all."""
        request = database_service_pb2.RebuildDatabaseRequest(release=release)
        tree = database_service_pb2.Tree()
        for message in self._stream(self._databases.RebuildDatabase, request):
            if message.WhichOneof("content") == "tree":
                tree = message.tree
            elif progress is not None:
                progress(message.progress.files_read, message.progress.files_total)
        return tree

    def list_trees(self) -> list[database_service_pb2.Tree]:
        """Return the releases and the database in force for each."""
        request = database_service_pb2.ListTreesRequest()
        response: database_service_pb2.ListTreesResponse = self._call(
            self._databases.ListTrees, request
        )
        return list(response.trees)

    def read_log(
        self, *, follow: bool = False, after: int | None = None
    ) -> Iterator[kernel_log_service_pb2.LogRecord]:
        """Yield the kernel's log records, oldest first; with ``follow``, for ever."""
        request = kernel_log_service_pb2.ReadLogRequest(follow=follow, after_sequence=after)
        for message in self._stream(self._log.ReadLog, request):
            yield from message.records

    def status(self) -> daemon_service_pb2.GetStatusResponse:
        """Return what the daemon is and how it fares."""
        request = daemon_service_pb2.GetStatusRequest()
        response: daemon_service_pb2.GetStatusResponse = self._call(self._daemon.GetStatus, request)
        return response

    def _call(self, method: Callable[..., Answer], request: object) -> Answer:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _stream(self, method: Callable[..., Iterator[Any]], request: object) -> Iterator[Any]:
        try:
            yield from method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _translated(self, error: Any) -> CallError | NoDaemonError:
        """Return the exception for a failed call: its details say more than its code."""
        details = next(
            (value for key, value in error.trailing_metadata() or () if key == STATUS_KEY), None
        )
        if details is not None:
            return call_error(status_pb2.Status.FromString(details))
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return NoDaemonError([self._path])
        return CallError(reason=error.code().name, message=error.details() or error.code().name)


def call_error(status: status_pb2.Status) -> CallError:
    """Return the CallError that a status with kmodd's details stands for."""
    info = error_details_pb2.ErrorInfo()
    detail = errors_pb2.FailureDetail()
    for each in status.details:
        if not each.Unpack(info):
            each.Unpack(detail)
    facts = info.metadata
    return CallError(
        reason=info.reason,
        message=status.message,
        errno=int(facts.get("errno", "0")),
        module=facts.get("module", ""),
        target=detail.target,
        symbol=facts.get("symbol", ""),
        detail=facts.get("detail", ""),
        log_lines=tuple(detail.log_lines),
        steps=tuple(detail.steps),
    )


def failure_error(result: module_service_pb2.ModuleResult) -> CallError:
    """Return the CallError for one name of several that failed."""
    failure = result.failure
    reason = errors_pb2.ErrorReason.Name(failure.reason)
    return CallError(
        reason=reason.removeprefix("ERROR_REASON_"),
        message=failure.message,
        errno=failure.errno_value,
        module=failure.module,
        target=result.modules[-1] if result.modules else "",
        symbol=failure.symbol,
        detail=failure.detail,
        log_lines=tuple(failure.log_lines),
        steps=tuple(result.steps),
    )
