# SPDX-License-Identifier: Apache-2.0
"""The service manager's watchdog: when it wants a sign of life, and whether there is life.

The sign is only given where the daemon has just answered itself, asked as a client asks.
"""

import logging
import os
from pathlib import Path
from typing import Self
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodd.host.systemd import notify

log = logging.getLogger(__name__)


def watchdog_pause() -> float | None:
    """Return how many seconds to wait between two signs of life; None where none are wanted.

    It is half of what the service manager waits (sd_watchdog_enabled(3)).
    """
    given = os.environ.get("WATCHDOG_USEC", "")
    process = os.environ.get("WATCHDOG_PID") or str(os.getpid())
    if not given.isdecimal() or process != str(os.getpid()) or int(given) == 0:
        return None
    return int(given) / 2e6


class Watchdog:
    """Answers the watchdog of the process; for one thread, and a context manager.

    ``pause`` is how many seconds there are between two answers, None where none is wanted.
    """

    def __init__(self) -> None:
        self.pause = watchdog_pause()
        self._check = SelfCheck()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._check.close()

    def answer(self, socket: Path, status: str) -> None:
        """Give a sign of life, with a line of ``status``, if the daemon answers on ``socket``.

        Where none is wanted nothing is done.
        """
        if self.pause is not None and self._check.answers(socket, self.pause):
            notify("WATCHDOG=1", f"STATUS={status}")


class SelfCheck:
    """Asks for the health of a daemon over a connection that stays open.

    So a crowd that takes every new connection of the socket does not make it look dead, and being
    told that the socket is full is an answer, too. For one thread.
    """

    def __init__(self) -> None:
        self._socket = Path()
        self._channel: grpc.Channel | None = None

    def answers(self, socket: Path, timeout: float) -> bool:
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
