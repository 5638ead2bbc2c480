# SPDX-License-Identifier: Apache-2.0
"""A gRPC server on one socket: its services, health, reflection, and how it stops."""

import threading
import time
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kmodd.errors import Reason, StateError
from kmodd.kernel.base import Kernel
from kmodd.namespace import Namespace
from kmodd.service.daemon import DaemonService
from kmodd.service.databases import DatabaseService
from kmodd.service.kernel_log import KernelLogService
from kmodd.service.lanes import Lanes
from kmodd.service.modules import ModuleService
from kmodd.service.uploads import Uploads
from kmodd.settings import Limits
from kmodd.sockets import SocketPlace
from kmodd.trees import Generation, Trees
from kmodd.v1 import (
    daemon_service_pb2,
    daemon_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
    kernel_log_service_pb2,
    kernel_log_service_pb2_grpc,
    module_service_pb2,
    module_service_pb2_grpc,
)

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (module_service_pb2, "ModuleService"),
        (database_service_pb2, "DatabaseService"),
        (kernel_log_service_pb2, "KernelLogService"),
        (daemon_service_pb2, "DaemonService"),
    )
)
"""The full names of the services of kmodd.v1."""

DATABASE_SERVICE = database_service_pb2.DESCRIPTOR.services_by_name["DatabaseService"].full_name

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

GRACE = 2.0
"""Seconds that streams and readers have to end once the mutations have."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves."""

    kernel: Kernel
    trees: Trees
    namespace: Namespace


class SocketServer:
    """The server of one socket, from ``start`` to ``stop``."""

    def __init__(self, place: SocketPlace, parts: Parts, limits: Limits) -> None:
        self._place = place
        self._parts = parts
        self._limits = limits
        self._stopping = threading.Event()
        self._lanes = Lanes(limits)
        self._health = health.HealthServicer(experimental_non_blocking=True)
        self._server = grpc.server(
            self._lanes.reads,
            interceptors=(self._lanes,),
            maximum_concurrent_rpcs=limits.concurrent_calls,
            options=(("grpc.so_reuseport", 0),),
        )
        self._add_services()

    def start(self) -> None:
        """Bind, listen, and only then show the socket at its path."""
        try:
            self._server.add_insecure_port(f"unix:{quote(str(self._place.staged))}")
        except RuntimeError as error:
            raise StateError(Reason.INTERNAL, f"{self._place.path}: {error}") from error
        self._set_health(_SERVING)
        self.note_database(self._parts.trees.in_force())
        self._server.start()
        self._place.reveal()

    def stop(self) -> None:
        """Refuse new mutations, let those under way finish within the limit, end the rest."""
        self._set_health(_NOT_SERVING)
        self._lanes.drain()
        deadline = time.monotonic() + self._limits.drain
        while self._lanes.mutating() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping.set()
        self._server.stop(GRACE).wait()
        self._lanes.close()

    def _add_services(self) -> None:
        server, parts = self._server, self._parts
        uploads = Uploads(self._limits)
        module_service_pb2_grpc.add_ModuleServiceServicer_to_server(
            ModuleService(parts.namespace, uploads, self._limits), server
        )
        database_service_pb2_grpc.add_DatabaseServiceServicer_to_server(
            DatabaseService(parts.trees, uploads, self._stopping), server
        )
        kernel_log_service_pb2_grpc.add_KernelLogServiceServicer_to_server(
            KernelLogService(parts.kernel, self._stopping), server
        )
        daemon_service_pb2_grpc.add_DaemonServiceServicer_to_server(
            DaemonService(
                parts.kernel, parts.trees, parts.namespace, daemon_service_pb2.ROLE_ADMIN
            ),
            server,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )

    def note_database(self, generation: Generation | None) -> None:
        """Show in the health of DatabaseService whether the kernel's release has its databases.

        It is NOT_SERVING while there are none, or while they cannot be published or renewed; the
        calls are answered all the same.
        """
        healthy = generation is not None and not generation.problem
        if not self._stopping.is_set():
            self._health.set(DATABASE_SERVICE, _SERVING if healthy else _NOT_SERVING)

    def _set_health(self, status: int) -> None:
        for service in ("", *SERVICES):
            self._health.set(service, status)
