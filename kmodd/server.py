# SPDX-License-Identifier: Apache-2.0
"""The gRPC servers, one for each socket: services, health, reflection, and how they stop."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd.access.caller import Role
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.host.descriptors import connections
from kmodd.host.sockets import SocketPlace
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

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the servers serve."""

    kernel: Kernel
    trees: Trees
    namespace: Namespace
    limits: Limits


class Servers:
    """The servers of a daemon. ``_lock`` guards them against threads that tell of a database;
    everything else is for one thread alone.
    """

    def __init__(self, drain: float) -> None:
        """``drain`` is how long mutations may go on when a server stops, in seconds."""
        self._drain = drain
        self._lock = threading.Lock()
        self._places: dict[SocketSettings, SocketPlace] = {}
        self._servers: dict[SocketSettings, SocketServer] = {}

    def claim(self, wanted: Iterable[SocketSettings]) -> None:
        """Make sure that nobody else listens on these sockets; raises KmoddError."""
        for settings in wanted:
            if settings not in self._places:
                self._places[settings] = SocketPlace(settings).take()

    def apply(self, wanted: Iterable[SocketSettings], parts: Parts) -> None:
        """Listen on these sockets and no others; calls on those that stay as they are go on.

        A socket with other settings takes the place of the one that was there at once, and that
        one's mutations are finished. Raises the first failure once everything else has been done.
        """
        wanted = list(wanted)
        failures: list[KmoddError] = []
        replaced = {each.path: each for each in self._places if each not in wanted}
        kept = {settings.path for settings in wanted}
        self._end([settings for path, settings in replaced.items() if path not in kept])
        share = connections(parts.limits.connections, len(wanted))
        for settings in wanted:
            if settings in self._servers:
                continue
            old = replaced.get(settings.path)
            try:
                if old is not None:
                    self._places[settings] = self._places[old].pass_on(settings)
                    del self._places[old]
                self.claim([settings])
                server = SocketServer(self._places[settings], settings, parts, share)
                server.start()
            except KmoddError as error:
                self._end([settings])
                failures.append(error)
            else:
                with self._lock:
                    self._servers[settings] = server
                log.info("listening on %s as %s", settings.path, settings.role)
            if old is not None:
                self._end([old])
        for failure in failures[1:]:
            log.error("%s", failure.message)
        if failures:
            raise failures[0]

    def note_database(self, generation: Generation | None) -> None:
        """Show in every server's health how the databases of the kernel's release fare."""
        with self._lock:
            for server in self._servers.values():
                server.note_database(generation)

    def stop(self) -> None:
        """End all servers, and give up what was claimed."""
        self._end(list(self._places))

    def _end(self, ending: Sequence[SocketSettings]) -> None:
        """Refuse new mutations, let those under way finish within the limit, end the rest."""
        with self._lock:
            servers = [self._servers.pop(each) for each in ending if each in self._servers]
        for server in servers:
            server.drain()
        deadline = time.monotonic() + self._drain
        while any(server.mutating() for server in servers) and time.monotonic() < deadline:
            time.sleep(0.01)
        for server in servers:
            server.stop()
        for settings in ending:
            place = self._places.pop(settings, None)
            if place is not None:
                place.leave()


class SocketServer:
    """The server of one socket, from ``start`` to ``stop``."""

    def __init__(
        self, place: SocketPlace, settings: SocketSettings, parts: Parts, connections: int
    ) -> None:
        """``connections`` is how many there may be at once."""
        self._place = place
        self._parts = parts
        self._role = settings.role
        self._caller = settings.caller
        self._admission = Admission(self._caller, parts.kernel, parts.namespace)
        self._draining = threading.Event()
        self._stopping = threading.Event()
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
            self._server.add_insecure_port(f"unix:{quote(str(self._place.staged))}")
            self._set_health(_SERVING)
            self.note_database(self._parts.trees.in_force())
            self._note_kernel()
            self._server.start()
            self._place.reveal()
        except RuntimeError as error:
            self.stop()
            raise StateError(Reason.INTERNAL, f"{self._place.path}: {error}") from error
        except KmoddError:
            self.stop()
            raise

    def drain(self) -> None:
        """Refuse new mutations."""
        self._draining.set()
        self._set_health(_NOT_SERVING)
        self._interceptor.drain()

    def mutating(self) -> bool:
        """Tell whether a mutation is being served, or a hold is loading or being released."""
        return self._interceptor.mutating() or self._parts.namespace.is_busy_for(self._caller)

    def stop(self) -> None:
        """End what is left after a while."""
        self._stopping.set()
        self._server.stop(GRACE).wait()
        self._interceptor.close()

    def _add_services(self) -> None:
        server, parts = self._server, self._parts
        uploads = Uploads(parts.limits)
        module_service_pb2_grpc.add_ModuleServiceServicer_to_server(
            ModuleService(parts.namespace, uploads, parts.limits, self._admission), server
        )
        database_service_pb2_grpc.add_DatabaseServiceServicer_to_server(
            DatabaseService(parts.trees, uploads, self._stopping), server
        )
        kernel_log_service_pb2_grpc.add_KernelLogServiceServicer_to_server(
            KernelLogService(parts.kernel, self._stopping), server
        )
        daemon_service_pb2_grpc.add_DaemonServiceServicer_to_server(
            DaemonService(parts.kernel, parts.trees, parts.namespace, self._role), server
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


def _options(limits: Limits, role: Role, connections: int) -> tuple[tuple[str, int], ...]:
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h).

    A connection may have more streams than there may be calls, so that a client hears of the
    bound rather than wait behind it.
    """
    message = limits.message_bytes if role is Role.ADMIN else SMALL_MESSAGE
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", min(message, limits.message_bytes)),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_connection_idle_ms", round(limits.connection_idle * 1000)),
        ("grpc.server_handshake_timeout_ms", round(limits.client_idle * 1000)),
        ("grpc.max_concurrent_streams", 2 * limits.concurrent_calls),
    )
