# SPDX-License-Identifier: Apache-2.0
"""The API as it is served: services, health, reflection, and how that stops; and the server that
answers admins, which is one of grpc's in this process.

It listens where nobody can connect but the daemon itself, which connects each caller to it.
"""

import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd.access.caller import Caller
from kmodd.errors import LimitError, Reason, StateError
from kmodd.host.relay import Relay
from kmodd.kernel.base import Kernel
from kmodd.namespace import Namespace
from kmodd.namespace.checks import Checks
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.records import field, record
from kmodd.service.admission import Admission
from kmodd.service.connections import Connections
from kmodd.service.daemon import DaemonService
from kmodd.service.databases import DatabaseService
from kmodd.service.emulation import EmulationService
from kmodd.service.health import SERVICE as HEALTH_SERVICE
from kmodd.service.health import HealthService
from kmodd.service.interceptor import GuardedMethods, Interceptor
from kmodd.service.kernel_log import KernelLogService
from kmodd.service.modules import ModuleService
from kmodd.service.reflection import serve_reflection
from kmodd.service.resting import RestingServer
from kmodd.service.socket_calls import ServedConnection
from kmodd.service.uploads import Uploads
from kmodd.service.wished_state import StateService
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
    state_service_pb2,
    state_service_pb2_grpc,
)

if TYPE_CHECKING:
    from kmodd.service.metrics import Metrics

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (module_service_pb2, "ModuleService"),
        (database_service_pb2, "DatabaseService"),
        (kernel_log_service_pb2, "KernelLogService"),
        (daemon_service_pb2, "DaemonService"),
        (emulation_service_pb2, "EmulationService"),
        (state_service_pb2, "StateService"),
    )
)
"""The full names of the services of kmodd.v1."""

MODULE_SERVICE, DATABASE_SERVICE = SERVICES[:2]

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

GRACE = 2.0
"""Seconds that streams and readers have to end once the mutations have."""


@record
class Parts:
    """What the servers serve; ``started`` is when the daemon did (time.monotonic()), and
    ``began`` the same in seconds of Unix time.
    """

    kernel: Kernel
    trees: Trees
    namespace: Namespace
    keeper: StateKeeper
    limits: Limits
    checks: Checks
    started: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.time)

    def metrics(self, connections: Connections) -> "Metrics":
        """Return what is counted and measured of them, and of these connections."""
        from kmodd.service.metrics import Metrics

        return Metrics(
            self.kernel, self.trees, self.namespace, self.keeper, connections, self.began
        )


class ServedApi:
    """The API, with what shows how it fares; ``interceptor`` is in front of all its methods."""

    def __init__(self, parts: Parts, connections: Connections, most: int) -> None:
        """``most`` is how many calls may be under way."""
        self._parts = parts
        self._admission = Admission(connections, parts.kernel, parts.namespace)
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self.interceptor = Interceptor(self._admission, most)
        self._health = HealthService(self._stopping, self._note_kernel)

    def begin(self) -> None:
        """Show that it is served."""
        self._set_health(_SERVING)
        self.note_database(self._parts.trees.in_force())
        self._note_kernel()

    def drain(self) -> None:
        """Show that no more mutations are begun."""
        self._draining.set()
        self._set_health(_NOT_SERVING)

    def end_streams(self) -> None:
        """Have the streams end that would go on for ever."""
        self._stopping.set()

    def note_database(self, generation: Generation | None) -> None:
        """Show in the health of DatabaseService whether the kernel's release has its databases.

        It is NOT_SERVING while there are none, or while they cannot be published or renewed; the
        calls are answered all the same.
        """
        healthy = generation is not None and not generation.problem
        if not self._stopping.is_set():
            self._health.set(DATABASE_SERVICE, _SERVING if healthy else _NOT_SERVING)

    def note_ended(self, caller: Caller, why: str) -> None:
        """Have the events and the audit trail tell of a connection that was ended."""
        self._parts.namespace.note_ended(caller, LimitError(Reason.LIMIT_REACHED, why))

    def add_to(self, server: Any) -> None:
        """Add all methods to a grpc.Server, or to what takes them as one does."""
        parts = self._parts
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
                parts.kernel,
                parts.trees,
                parts.namespace,
                parts.keeper,
                self._admission,
                parts.started,
                partial(parts.metrics, self._admission.connections),
            ),
            server,
        )
        emulation_service_pb2_grpc.add_EmulationServiceServicer_to_server(
            EmulationService(
                parts.namespace.devices, parts.checks, uploads, self._admission, self._stopping
            ),
            server,
        )
        state_service_pb2_grpc.add_StateServiceServicer_to_server(
            StateService(parts.keeper, self._admission, self._stopping), server
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


class ApiServer:
    """The server that answers admins, from ``start`` to ``stop``."""

    def __init__(self, api: ServedApi, relay: Relay, limits: Limits) -> None:
        self.api = api
        self._relay = relay
        self._limits = limits
        self._server = RestingServer(self._made)

    def start(self) -> None:
        """Bind and listen; raises StateError where there is no place for that."""
        try:
            self._server.start()
        except StateError:
            self.stop()
            raise
        self.api.begin()

    def serve(self, taken: socket.socket, connection: ServedConnection) -> None:
        """Serve a connection, whose ``over`` is called at its end; raises OSError."""

        def ended() -> None:
            self._server.leave()
            connection.over(connection)

        far, shortcut = self._server.connect(connection.address)
        try:
            connection.carried = self._relay.carry(taken, far, ended, shortcut=shortcut)
        except OSError:
            far.close()
            self._server.leave()
            raise

    def rest(self) -> None:
        """Have no threads of grpc's while nobody is connected; to be called now and then."""
        self._server.rest()

    def stop(self) -> None:
        """End what is left after a while."""
        self.api.end_streams()
        self._server.stop(GRACE)
        self.api.interceptor.close()

    def _made(self) -> grpc.Server:
        server = grpc.server(
            self.api.interceptor.threads,
            maximum_concurrent_rpcs=self.api.interceptor.most,
            options=_options(self._limits),
        )
        self.api.add_to(GuardedMethods(server, self.api.interceptor))
        return server


def _options(limits: Limits) -> tuple[tuple[str, int], ...]:
    """Return what grpc itself is to see to (grpc/impl/channel_arg_names.h).

    A connection may have more streams than there may be calls, so that a client hears of the
    bound rather than wait behind it.
    """
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_connection_idle_ms", round(limits.connection_idle * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(limits.ping_interval * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", round(limits.client_idle * 1000)),
        ("grpc.max_concurrent_streams", 2 * limits.concurrent_calls),
    )
