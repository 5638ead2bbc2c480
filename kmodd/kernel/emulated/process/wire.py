# SPDX-License-Identifier: Apache-2.0
"""What the daemon and the process of its emulated kernel say to each other.

A message is a JSON object in UTF-8 behind four bytes with its length, big-endian, over a Unix
stream socket; a descriptor may come with it (SCM_RIGHTS). Nothing that is received is ever
executed, imported or unpickled: what does not have the form that is due is a ProtocolError.
"""

import array
import json
import os
import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

TO_KERNEL_MAX = 64 << 20
"""Bytes of the longest message to the kernel: all symbols that it exports."""

FROM_KERNEL_MAX = 64 << 20
"""Bytes of the longest message from the kernel: the log lines of a failure, a module's details."""

REQUESTS_MAX = 1000
"""Modules that the code of one call may ask for."""

Message = dict[str, Any]

_LENGTH_BYTES = 4
_CHUNK = 64 << 10

_encode = json.JSONEncoder(separators=(",", ":")).encode


class ProtocolError(Exception):
    """The other side said something that makes no sense."""


class Channel:
    """One end of the socket. Any thread may send (``lock``), one thread receives.

    ``limit`` is how many bytes a received message may have. Descriptors are only taken in where
    ``takes_descriptors``; elsewhere the system closes what is sent.
    """

    def __init__(self, end: socket.socket, *, limit: int, takes_descriptors: bool = False) -> None:
        self.lock = threading.RLock()
        self._end = end
        self._limit = limit
        self._takes_descriptors = takes_descriptors
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def send(self, message: Mapping[str, Any], fd: int | None = None) -> None:
        """Send a message, with a descriptor if one is given. Raises OSError where that fails."""
        body = _encode(message).encode()
        data = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        with self.lock:
            if fd is not None:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
                data = data[self._end.sendmsg([data], [rights]) :]
            self._end.sendall(data)

    def receive(self) -> Message | None:
        """Return the next message, None at the end.

        Raises ProtocolError for one that is too long or no JSON object, or that is cut short.
        """
        head = self._take(_LENGTH_BYTES)
        if head is None:
            return None
        size = int.from_bytes(head, "big")
        if size > self._limit:
            raise ProtocolError(f"a message of {size} bytes")
        body = self._take(size)
        if body is None:
            raise ProtocolError("a message is cut short")
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("a message is not JSON") from error
        if not isinstance(message, dict):
            raise ProtocolError("a message is no object")
        return message

    def take_descriptor(self) -> int:
        """Return the descriptor that came with the last message; the caller closes it.

        Raises ProtocolError where none came.
        """
        if not self._descriptors:
            raise ProtocolError("a descriptor is missing")
        return self._descriptors.popleft()

    def close(self) -> None:
        """End the conversation; the other side, and a thread that receives, come to the end."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _take(self, size: int) -> bytes | None:
        """Return the next ``size`` bytes, None where the stream ends before the first."""
        while len(self._buffer) < size:
            chunk = self._read()
            if not chunk:
                if self._buffer:
                    raise ProtocolError("the stream ends in a message")
                return None
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _read(self) -> bytes:
        try:
            if not self._takes_descriptors:
                return self._end.recv(_CHUNK)
            data, ancillary, _, _ = self._end.recvmsg(
                _CHUNK, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return b""
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(content[: len(content) - len(content) % received.itemsize])
                self._descriptors.extend(received)
        return data


def memory_file(data: bytes) -> int:
    """Return a descriptor of an unnamed file in memory that holds ``data``."""
    fd = os.memfd_create("module", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd
