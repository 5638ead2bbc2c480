# SPDX-License-Identifier: Apache-2.0
"""Whether the daemon answers, asked as a client asks."""

import logging
from pathlib import Path
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

log = logging.getLogger(__name__)


class Pulse:
    """Asks for the health of a daemon over a connection that stays open.

    So a crowd that takes every new connection of the socket does not make it look dead, and being
    told that the socket is full is an answer, too. For one thread.
    """

    def __init__(self) -> None:
        self._socket = Path()
        self._channel: grpc.Channel | None = None

    def beats(self, socket: Path, timeout: float) -> bool:
        """Tell whether the daemon listens on ``socket`` and answers within ``timeout`` seconds."""
        if self._channel is None or socket != self._socket:
            self.close()
            self._socket = socket
            self._channel = grpc.insecure_channel(f"unix:{quote(str(socket))}")
        if not socket.is_socket():
            log.error("%s is gone: nobody can reach the daemon", socket)
            return False
        stub = health_pb2_grpc.HealthStub(self._channel)
        try:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return True
            log.error("the daemon does not answer itself: %s", error.details())
            return False
        return True

    def close(self) -> None:
        """End the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
