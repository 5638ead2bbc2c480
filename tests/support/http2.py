# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client that does what no gRPC library would: stop in the middle, lie, and not read.

Frames are written by hand (RFC 9113); headers are literals without Huffman coding or a dynamic
table (RFC 7541, 6.2.2).
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum, IntFlag
from pathlib import Path
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

INITIAL_WINDOW_SIZE = 0x4
"""The setting that says how much of a stream we take before we have to ask for more."""

PATIENCE = 60.0
"""Seconds that the server has for a frame, on a busy machine."""


class Kind(IntEnum):
    """The types of frames that are used here."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class Flag(IntFlag):
    """The flags of frames that are used here."""

    NONE = 0
    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class RawConnection:
    """A connection to a Unix socket that sends what it is told, and reads only when it is told."""

    def __init__(
        self,
        path: Path,
        *,
        window: int = 65535,
        preface: bool = True,
        connected: socket.socket | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """``window`` is how many bytes of each stream the server may send unasked.

        One that is ``connected`` already to ``path`` is gone on with. ``patience`` is how many
        seconds the server has for a frame.
        """
        self._stream = -1
        self._sending = True
        self._ends: dict[int, bytes] = {}
        self._answered: set[int] = set()
        self._messages: dict[int, bytes] = {}
        self._socket = connected or socket.socket(socket.AF_UNIX)
        try:
            if connected is None:
                self._socket.connect(str(path))  # waits for its turn: with a time-out it would not
            self._socket.settimeout(patience)
            if preface:
                self.send(PREFACE)
                self.send(frame(Kind.SETTINGS, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def end_sending(self) -> None:
        """Close our half of the connection."""
        self._sending = False
        self._socket.shutdown(socket.SHUT_WR)

    def begin(self, method: str, *more: tuple[str, str]) -> int:
        """Send the headers of a call to "/package.Service/Method"; returns its stream."""
        self._stream += 2
        block = self.fields_of(method, *more)
        self.send(frame(Kind.HEADERS, block, self._stream, Flag.END_HEADERS))
        return self._stream

    @staticmethod
    def fields_of(method: str, *more: tuple[str, str]) -> bytes:
        """Return the headers of a call as a HEADERS frame has them."""
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *more,
        )
        return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)

    def message(
        self, stream: int, data: bytes, *, claimed: int = -1, compressed: bool = False
    ) -> None:
        """Send a message of a call, and leave the call open.

        ``claimed`` is the length that its prefix tells, where that is not the length it has.
        """
        length = claimed if claimed >= 0 else len(data)
        self.send(frame(Kind.DATA, struct.pack(">BI", compressed, length) + data, stream))

    def more(self, stream: int, data: bytes) -> None:
        """Send bytes of a message whose beginning, with its prefix, has been sent."""
        self.send(frame(Kind.DATA, data, stream))

    def end(self, stream: int) -> None:
        """Say that no more of a call comes."""
        self.send(frame(Kind.DATA, b"", stream, Flag.END_STREAM))

    def call(self, method: str, message: bytes = b"") -> int:
        """Send a whole call with one message; returns its stream."""
        stream = self.begin(method)
        self.message(stream, message)
        self.end(stream)
        return stream

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield what comes as (type, stream, payload) until the server closes the connection."""
        for kind, _, stream, payload in self.whole_frames():
            yield kind, stream, payload

    def whole_frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield the same as (type, flags, stream, payload)."""
        while len(head := self._read(9)) == 9:
            length = int.from_bytes(head[:3], "big")
            stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            kind, flags = head[3], head[4]
            payload = self._read(length)
            if self._sending and kind in (Kind.SETTINGS, Kind.PING) and not flags & Flag.ACK:
                with suppress(BrokenPipeError):  # it has closed, and more of it is to be read
                    self.send(frame(kind, payload if kind == Kind.PING else b"", 0, Flag.ACK))
            yield kind, flags, stream, payload

    def end_of(self, stream: int) -> bytes:
        """Read until a call has ended; returns its trailers as they came, "" without any.

        A status is in there in plain words: grpc codes no value as Huffman does.
        """
        while stream not in self._ends:
            self._take(stream)
        return self._ends[stream]

    def await_answer(self, stream: int) -> None:
        """Read until a call has its first message, or has ended."""
        while stream not in self._answered and stream not in self._ends:
            self._take(stream)

    def _take(self, stream: int) -> None:
        """Read a frame and note what it says of its call; without any, ``stream`` has ended."""
        kind, of, payload = next(self.frames(), (Kind.GOAWAY, stream, b""))
        if kind in (Kind.RST_STREAM, Kind.GOAWAY) or b"grpc-status" in payload:
            self._ends.setdefault(of, payload if kind == Kind.HEADERS else b"")
        elif kind == Kind.DATA:
            self._answered.add(of)
            self._messages.setdefault(of, payload[5:])  # behind the flag and the length

    def answer(self, method: str, message: bytes = b"") -> tuple[bytes, bytes]:
        """Call a method; returns its (first) message, and its trailers, each "" without any."""
        stream = self.call(method, message)
        self.await_answer(stream)
        return self._messages.get(stream, b""), self._ends.get(stream, b"")

    def closed(self) -> bool:
        """Read on until the server closes the connection, and tell that it did."""
        try:
            for _ in self.frames():
                pass
        except ConnectionError:
            pass
        return True

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data


def frame(kind: int, payload: bytes, stream: int = 0, flags: int = Flag.NONE) -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: str) -> bytes:
    """Return a string literal (RFC 7541, 5.2); all of ours are shorter than 127 bytes."""
    return bytes((len(value),)) + value.encode("ascii")
