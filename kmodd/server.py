# SPDX-License-Identifier: Apache-2.0
"""A gRPC server: services, health, reflection, and how it stops.

It listens where nobody can connect but the daemon itself, which connects each caller to it.
"""

import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd.errors import Reason, StateError
from kmodd.host.directories import by_descriptor
from kmodd.host.socket_lock import lock_directory
from kmodd.kernel.base import Kernel
from kmodd.namespace import Namespace
from kmodd.service.admission import Admission
from kmodd.service.connections import Connections
from kmodd.service.daemon import DaemonService
from kmodd.service.databases import DatabaseService
from kmodd.service.emulation import EmulationService
from kmodd.service.health import SERVICE as HEALTH_SERVICE
from kmodd.service.health import HealthService
from kmodd.service.interceptor import Interceptor
from kmodd.service.kernel_log import KernelLogService
from kmodd.service.modules import ModuleService
from kmodd.service.reflection import serve_reflection
from kmodd.service.uploads import Uploads
from kmodd.settings import Limits
from kmodd.trees import Generation, Trees
from kmodd.v1 import (
    daemon_service_pb2,
    daemon_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
    emulation_service_pb2,
    emulation_service_pb2_grpc,
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
        (emulation_service_pb2, "EmulationService"),
    )
)
"""The full names of the services of kmodd.v1."""

MODULE_SERVICE, DATABASE_SERVICE = SERVICES[:2]

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

GRACE = 2.0
"""Seconds that streams and readers have to end once the mutations have."""

SMALL_MESSAGE = 256 << 10
"""Bytes of a message where nobody may upload: the names in one request need no more, and so the
calls of those who are no admins cannot take all memory."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the servers serve; ``started`` is when the daemon did (time.monotonic())."""

    kernel: Kernel
    trees: Trees
    namespace: Namespace
    limits: Limits
    started: float = field(default_factory=time.monotonic)


class ApiServer:
    """A server of the API, from ``start`` to ``stop``; ``address`` is where to connect to it."""

    def __init__(
        self, parts: Parts, connections: Connections, *, for_admins: bool, most: int
    ) -> None:
        """``most`` is how many calls may be under way; who is no admin sends small messages."""
        self._parts = parts
        self._admission = Admission(connections, parts.kernel, parts.namespace)
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._interceptor = Interceptor(self._admission, most)
        self._health = HealthService(self._stopping, self._note_kernel)
        self._node = -1
        size = parts.limits.message_bytes
        self._server = grpc.server(
            self._interceptor.threads,
            interceptors=(self._interceptor,),
            maximum_concurrent_rpcs=self._interceptor.most,
            options=_options(parts.limits, size if for_admins else min(SMALL_MESSAGE, size)),
        )
        self._add_services()

    @property
    def address(self) -> str:
        """Where to connect to: a path to the socket itself, which has no name any more."""
        return by_descriptor(self._node)

    def start(self) -> None:
        """Bind and listen; raises StateError where there is no place for that."""
        try:
            self._listen()
        except (OSError, RuntimeError) as error:
            self.stop()
            raise StateError(Reason.INTERNAL, f"no server can be had: {error}") from error
        self._set_health(_SERVING)
        self.note_database(self._parts.trees.in_force())
        self._note_kernel()
        self._server.start()

    def drain(self) -> None:
        """Show that no more mutations are begun."""
        self._draining.set()
        self._set_health(_NOT_SERVING)

    def stop(self) -> None:
        """End what is left after a while."""
        self._stopping.set()
        self._server.stop(GRACE).wait()
        self._interceptor.close()
        if self._node >= 0:
            os.close(self._node)
            self._node = -1

    def note_database(self, generation: Generation | None) -> None:
        """Show in the health of DatabaseService whether the kernel's release has its databases.

        It is NOT_SERVING while there are none, or while they cannot be published or renewed; the
        calls are answered all the same.
        """
        healthy = generation is not None and not generation.problem
        if not self._stopping.is_set():
            self._health.set(DATABASE_SERVICE, _SERVING if healthy else _NOT_SERVING)

    def _listen(self) -> None:
        """Have a socket that can be reached by its descriptor alone; raises OSError, RuntimeError.

        grpc binds it by a name in a directory of nobody else's, which is removed at once.
        """
        with TemporaryDirectory(dir=lock_directory(), prefix="server-") as directory:
            place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                name = f"{by_descriptor(place)}/{secrets.token_hex(4)}"
                self._server.add_insecure_port(f"unix:{name}")
                self._node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            finally:
                os.close(place)

    def _add_services(self) -> None:
        server, parts = self._server, self._parts
        uploads = Uploads(parts.limits, self._draining)
        module_service_pb2_grpc.add_ModuleServiceServicer_to_server(
            ModuleService(parts.namespace, uploads, parts.limits, self._admission), server
        )
        database_service_pb2_grpc.add_DatabaseServiceServicer_to_server(
            DatabaseService(parts.trees, uploads, self._stopping), server
        )
        kernel_log_service_pb2_grpc.add_KernelLogServiceServicer_to_server(
            KernelLogService(parts.kernel, self._admission, self._stopping), server
        )
        daemon_service_pb2_grpc.add_DaemonServiceServicer_to_server(
            DaemonService(
                parts.kernel, parts.trees, parts.namespace, self._admission, parts.started
            ),
            server,
        )
        emulation_service_pb2_grpc.add_EmulationServiceServicer_to_server(
            EmulationService(parts.namespace.devices, self._admission), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        serve_reflection(server, (*SERVICES, HEALTH_SERVICE))

    def _note_kernel(self) -> None:
        """Show in the health of ModuleService whether the kernel takes modules at all."""
        if not self._draining.is_set():
            refused = self._parts.kernel.refusal()
            self._health.set(MODULE_SERVICE, _NOT_SERVING if refused else _SERVING)

    def _set_health(self, status: int) -> None:
        for service in ("", *SERVICES):
            self._health.set(service, status)


def _options(limits: Limits, message_bytes: int) -> tuple[tuple[str, int], ...]:
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h).

    A connection may have more streams than there may be calls, so that a client hears of the
    bound rather than wait behind it.
    """
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_connection_idle_ms", round(limits.connection_idle * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(limits.ping_interval * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", round(limits.client_idle * 1000)),
        ("grpc.max_concurrent_streams", 2 * limits.concurrent_calls),
    )
