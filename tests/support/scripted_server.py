# SPDX-License-Identifier: Apache-2.0
"""A server of HTTP/2 that does what it is told, right or wrong, to one client."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.http2 import PATIENCE, PREFACE, Flag, Kind, frame

Script = Callable[["Peer"], None]
"""What a server does with its client."""

SETTINGS = frame(Kind.SETTINGS, b"")
"""What a server has to say first."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that a client sent."""

    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Peer:
    """The client of a scripted server, and what it has sent so far; for one thread at a time."""

    socket: socket.socket
    frames: list[Frame] = field(default_factory=list)

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def read(self) -> Frame | None:
        """Return the next frame, None once the client has closed the connection."""
        head = self._bytes(9)
        if len(head) < 9:
            return None
        stream = int.from_bytes(head[5:])
        came = Frame(head[3], head[4], stream, self._bytes(int.from_bytes(head[:3])))
        self.frames.append(came)
        return came

    def read_until(self, kind: Kind, count: int = 1) -> None:
        """Read on until so many frames of a kind have come; raises ConnectionError before that."""
        while len(self.of(kind)) < count:
            if self.read() is None:
                raise ConnectionError("the client has said no more")

    def read_data(self, count: int) -> None:
        """Read on until the client has sent so many bytes of data in all."""
        while len(self.data()) < count and self.read():
            pass

    def read_call(self) -> None:
        """Read on until the client has said all that it has to say in a call."""
        while came := self.read():
            if came.kind in (Kind.DATA, Kind.HEADERS) and came.flags & Flag.END_STREAM:
                break

    def data(self) -> bytes:
        """Return the data that has come."""
        return b"".join(each.payload for each in self.frames if each.kind == Kind.DATA)

    def of(self, kind: Kind) -> list[Frame]:
        """Return the frames of one kind that have come."""
        return [each for each in self.frames if each.kind == kind]

    def _bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (piece := self.socket.recv(count - len(data))):
            data += piece
        return data


@contextmanager
def scripted_server(path: Path, script: Script) -> Iterator[list[Peer]]:
    """Listen on ``path`` and run ``script`` with the first client, in a thread.

    What follows the script is read until the client has closed the connection. The peer is in the
    list that this yields, whole once the block has ended; its client is to be closed by then.
    """
    peers: list[Peer] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=_serve, args=(listener, script, peers))
        thread.start()
        try:
            yield peers
        finally:
            thread.join()


def _serve(listener: socket.socket, script: Script, peers: list[Peer]) -> None:
    with suppress(ConnectionError, TimeoutError):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            peer = Peer(connection)
            peers.append(peer)
            if peer._bytes(len(PREFACE)) == PREFACE:
                script(peer)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            while peer.read():
                pass


def says(*parts: bytes) -> Script:
    """Return a script that says all of ``parts`` at once, whatever the client does."""
    return lambda peer: peer.say(b"".join(parts))


def block(*fields: tuple[str, str | bytes]) -> bytes:
    """Return a header block of literals (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    if len(data) < 127:
        return bytes((len(data),)) + data
    return bytes((127, (len(data) - 127) & 127 | 128, len(data) - 127 >> 7)) + data


def headers(*fields: tuple[str, str | bytes], stream: int = 1, ends: bool = False) -> bytes:
    """Return a frame of headers, by default those that a gRPC server sends before its messages."""
    fields = fields or ((":status", "200"), ("content-type", "application/grpc"))
    flags = Flag.END_HEADERS | (Flag.END_STREAM if ends else 0)
    return frame(Kind.HEADERS, block(*fields), stream, flags)


def trailers(*fields: tuple[str, str | bytes], stream: int = 1) -> bytes:
    """Return the frame that ends a call, by default well."""
    return headers(*(fields or (("grpc-status", "0"),)), stream=stream, ends=True)


def message(data: bytes) -> bytes:
    """Return a message with its prefix."""
    return struct.pack(">BI", 0, len(data)) + data


def data(payload: bytes, *, stream: int = 1, flags: int = 0) -> bytes:
    """Return a frame of data."""
    return frame(Kind.DATA, payload, stream, flags)


def answer(*messages: bytes, stream: int = 1) -> bytes:
    """Return all of a good answer, without the settings that go before the first."""
    sent = b"".join(data(message(each), stream=stream) for each in messages)
    return headers(stream=stream) + sent + trailers(stream=stream)
