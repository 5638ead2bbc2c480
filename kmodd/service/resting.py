# SPDX-License-Identifier: Apache-2.0
"""A server of grpc's that is there only while somebody is connected.

One that waits for calls wakes its threads ten times a second, whether any come or not. To make
another takes 2 ms, which the first to connect after a rest waits for.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import grpc

from kmodd.errors import Reason, StateError
from kmodd.host.directories import by_descriptor
from kmodd.host.nameless import nameless
from kmodd.host.shortcut import Shortcut

log = logging.getLogger(__name__)

REST = 5.0
"""Seconds without a connection after which a server rests."""


class RestingServer:
    """A server from ``start`` to ``stop``, made anew by ``make`` whenever one is needed.

    It listens where nobody can connect but by its descriptor, ``_node``. ``_lock`` guards all.
    """

    def __init__(self, make: Callable[[], grpc.Server]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self._shortcut = Shortcut()
        self._node = -1
        self._connections = 0
        self._used = 0.0
        self._is_over = False

    def is_awake(self) -> bool:
        """Tell whether there is a server at the moment."""
        return self._server is not None

    def start(self) -> None:
        """Listen; raises StateError where there is no place for that."""
        with self._lock:
            self._wake()

    def connect(self, address: bytes) -> tuple[socket.socket, Shortcut | None]:
        """Return a connection to the server, which is to be ``left``, from a socket of this name.

        It does not block. With it comes what may put another one in its place, where that works.
        Raises OSError, where no server can be had, too.
        """
        with self._lock:
            if self._is_over:
                raise ConnectionRefusedError
            try:
                self._wake()
            except StateError as error:
                raise ConnectionRefusedError(error.message) from error
            far = self._connected(address)
            far.setblocking(False)
            self._connections += 1
            return far, self._shortcut if self._shortcut.is_open() else None

    def leave(self) -> None:
        """Note that a connection has ended."""
        with self._lock:
            self._connections -= 1
            self._used = time.monotonic()

    def rest(self) -> None:
        """End the server where nobody has been connected for a while; to be called now and then."""
        with self._lock:
            is_unused = not self._connections and time.monotonic() - self._used >= REST
            if self._server is not None and is_unused:
                self._shortcut.close()
                self._server.stop(None)
                self._forget()

    def stop(self, grace: float) -> None:
        """End the server for good, with what is left of calls after so many seconds."""
        with self._lock:
            self._is_over = True
            self._shortcut.close()
            server = self._server
        if server is not None:
            server.stop(grace).wait()
        with self._lock:
            self._forget()

    def _wake(self) -> None:
        """Have a server; the lock is held. Raises StateError."""
        if self._server is not None:
            return
        server = self._make()
        try:
            self._node = nameless(lambda path: server.add_insecure_port(f"unix:{path}"))
        except (OSError, RuntimeError) as error:
            server.stop(None)
            raise StateError(Reason.INTERNAL, f"no server can be had: {error}") from error
        server.start()
        self._server = server
        self._used = time.monotonic()
        self._try_shortcut()

    def _connected(self, name: bytes) -> socket.socket:
        """Return a connection to the server from a socket of this name; raises OSError."""
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            far.bind(name)
            far.connect(by_descriptor(self._node))
        except OSError:
            far.close()
            raise
        return far

    def _try_shortcut(self) -> None:
        """Find out whether the server can have connections themselves."""
        self._shortcut = Shortcut()
        try:
            works = self._shortcut.try_out(
                self._connected(f"\0kmodd-trial-{secrets.token_hex(8)}".encode())
            )
        except OSError:
            works = False
        if not works:
            log.info("grpc does not take connections as they are: their bytes are carried")

    def _forget(self) -> None:
        self._server = None
        if self._node >= 0:
            with suppress(OSError):
                os.close(self._node)
            self._node = -1
