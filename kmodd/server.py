# SPDX-License-Identifier: Apache-2.0
"""The gRPC server of a socket: services, health, reflection, and how it stops."""

import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd.access.caller import Role
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.host.sockets import SocketPlace, access_of
from kmodd.kernel.base import Kernel
from kmodd.namespace import Namespace
from kmodd.service.admission import Admission
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
from kmodd.settings import Limits, SocketSettings
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
calls of a socket that is open to many cannot take all memory."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the servers serve; ``started`` is when the daemon did (time.monotonic())."""

    kernel: Kernel
    trees: Trees
    namespace: Namespace
    limits: Limits
    started: float = field(default_factory=time.monotonic)


class SocketServer:
    """A server of one socket, from ``start`` to ``stop``; ``settings`` are those it goes by."""

    def __init__(
        self, place: SocketPlace, settings: SocketSettings, parts: Parts, connections: int
    ) -> None:
        """``connections`` is how many there may be at once.

        Raises RequestError where the settings name a user or group of nobody.
        """
        self.settings = settings
        self._access = access_of(settings)
        self._others = False  # who has connected may be somebody who could not now
        self._place = place
        self._parts = parts
        self._connections = connections
        self._admission = Admission(settings.caller, parts.kernel, parts.namespace)
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._interceptor = Interceptor(parts.limits, self._admission)
        self._health = HealthService(self._stopping, self._note_kernel)
        self._server = grpc.server(
            self._interceptor.threads,
            interceptors=(self._interceptor,),
            maximum_concurrent_rpcs=self._interceptor.most,
            options=_options(parts.limits, settings.role, connections),
        )
        self._add_services()

    def start(self) -> None:
        """Bind, listen, and only then show the socket at its path; raises KmoddError."""
        try:
            staged = self._place.stage()
            self._server.add_insecure_port(f"unix:{quote(str(staged))}")
            self._set_health(_SERVING)
            self.note_database(self._parts.trees.in_force())
            self._note_kernel()
            self._server.start()
            self._place.reveal(self._access)
        except RuntimeError as error:
            self.stop()
            raise StateError(Reason.INTERNAL, f"{self._place.path}: {error}") from error
        except KmoddError:
            self.stop()
            raise

    def goes_on_by(self, settings: SocketSettings) -> bool:
        """Serve the next calls by ``settings``, on the connections that there are; tell whether so.

        It is not so where larger messages may come, nor where others may connect than those who
        have, and may do more: then these are to connect anew. Raises RequestError where the
        settings name a user or group of nobody, and StateError where the socket cannot be theirs.
        """
        access, limits = access_of(settings), self._parts.limits
        before, after = self.settings.caller, settings.caller
        if _message_bytes(limits, before.role) != _message_bytes(limits, after.role):
            return False
        others = self._others or access != self._access
        if others and not after.may_no_more_than(before):
            return False
        self._admission.change(after)
        try:
            if access != self._access:
                self._place.change(self._access, access)
        except KmoddError:
            self._admission.change(before)
            raise
        self.settings, self._access, self._others = settings, access, others
        return True

    def again(self) -> "SocketServer":
        """Return another server that has started by the same settings; raises KmoddError."""
        server = SocketServer(self._place, self.settings, self._parts, self._connections)
        server.start()
        return server

    def retire(self) -> None:
        """Have clients connect anew for their next call; calls under way go on until they end."""
        self._over = self._server.stop(threading.TIMEOUT_MAX)

    def is_over(self) -> bool:
        """Tell whether no call is left after ``retire`` or ``stop``."""
        return self._over.is_set()

    def drain(self) -> None:
        """Refuse new mutations."""
        self._draining.set()
        self._set_health(_NOT_SERVING)
        self._interceptor.drain()

    def mutating(self) -> bool:
        """Tell whether a mutation is being served, or a hold is loading or being released."""
        return self._interceptor.mutating() or self._parts.namespace.is_busy_for(
            self.settings.caller.socket
        )

    def stop(self) -> None:
        """End what is left after a while."""
        self._stopping.set()
        self._over = self._server.stop(GRACE)
        self._over.wait()
        self._interceptor.close()

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

    def note_database(self, generation: Generation | None) -> None:
        """Show in the health of DatabaseService whether the kernel's release has its databases.

        It is NOT_SERVING while there are none, or while they cannot be published or renewed; the
        calls are answered all the same.
        """
        healthy = generation is not None and not generation.problem
        if not self._stopping.is_set():
            self._health.set(DATABASE_SERVICE, _SERVING if healthy else _NOT_SERVING)

    def _note_kernel(self) -> None:
        """Show in the health of ModuleService whether the kernel takes modules at all."""
        if not self._draining.is_set():
            refused = self._parts.kernel.refusal()
            self._health.set(MODULE_SERVICE, _NOT_SERVING if refused else _SERVING)

    def _set_health(self, status: int) -> None:
        for service in ("", *SERVICES):
            self._health.set(service, status)


def _message_bytes(limits: Limits, role: Role) -> int:
    """Return the bytes of the largest message that callers of a role may send."""
    return limits.message_bytes if role is Role.ADMIN else min(SMALL_MESSAGE, limits.message_bytes)


def _options(limits: Limits, role: Role, connections: int) -> tuple[tuple[str, int], ...]:
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h).

    A connection may have more streams than there may be calls, so that a client hears of the
    bound rather than wait behind it.
    """
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _message_bytes(limits, role)),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_connection_idle_ms", round(limits.connection_idle * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(limits.ping_interval * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", round(limits.client_idle * 1000)),
        ("grpc.max_concurrent_streams", 2 * limits.concurrent_calls),
    )
