# SPDX-License-Identifier: Apache-2.0
"""grpc.health.v1: how the services fare (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).

The servicer of grpcio-health-checking is not used: it sends to its watchers while it holds its
lock, so one that does not read stops all checks, and whoever changes a status.
"""

import threading
from collections.abc import Callable, Iterator

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["Health"].full_name

WAKE = 0.5
"""Seconds after which a watching call looks whether its client is still there."""

_UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN


class HealthService(health_pb2_grpc.HealthServicer):
    """Tells the status of each service. ``_changed`` guards them and wakes the watchers."""

    def __init__(self, stopping: threading.Event, refresh: Callable[[], None]) -> None:
        """``stopping`` ends the watches once it is set; ``refresh`` is called before each look."""
        self._stopping = stopping
        self._refresh = refresh
        self._changed = threading.Condition()
        self._statuses: dict[str, int] = {}

    def set(self, service: str, status: int) -> None:
        """Set the status of a service by its full name; "" is the server as a whole."""
        with self._changed:
            self._statuses[service] = status
            self._changed.notify_all()

    def Check(  # noqa: N802  # the API's name
        self, request: pb.HealthCheckRequest, context: grpc.ServicerContext
    ) -> pb.HealthCheckResponse:
        """Answer with the status of now."""
        self._refresh()
        with self._changed:
            status = self._statuses.get(request.service)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return pb.HealthCheckResponse(status=status)

    def Watch(  # noqa: N802
        self, request: pb.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.HealthCheckResponse]:
        """Send the status, and each that differs from the one last sent."""
        told: int | None = None
        while context.is_active():
            self._refresh()
            with self._changed:
                now = self._statuses.get(request.service, _UNKNOWN)
                if now == told and not self._stopping.is_set():
                    self._changed.wait(WAKE)
                    now = self._statuses.get(request.service, _UNKNOWN)
            if now != told:
                told = now
                yield pb.HealthCheckResponse(status=now)
            elif self._stopping.is_set():
                return
