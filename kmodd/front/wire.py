# SPDX-License-Identifier: Apache-2.0
"""What the front and the daemon say to each other: frames over a pair of sockets.

By one socket, which keeps messages apart, the front is told its settings, is given its end of the
wire, and then connections, each with its number and the user's. The number alone is that of one
which it is to end once what was answered has been sent. A front that is a unit's says a greeting
there first.

By the wire it first says READY, with what it could not give up, a line each. Each call is a stream
with a number of the front's. To the daemon go OPEN, MESSAGE (a request), HALF_CLOSE, CREDIT and
OVER; to the front INITIAL, MESSAGE (an answer), CREDIT, and at its end STATUS, or CUT, which is a
status that waits for nothing. Neither side sends a message for which the other has not given
CREDIT; each begins with CREDITS. TAKEN and DROPPED have the number of a connection in place of a
stream's: the front has it and is going to read from it, and why it serves it no more.

The daemon believes no frame: one that is none ends the front.
"""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import suppress
from enum import IntEnum

from kmodd.records import record

GREETING = b"kmodd front 1"
"""The first word of a front that the daemon has not started, which so sees who it is."""

CREDITS = 4
"""Messages of a stream that may be on their way in each direction."""

REQUEST_MAX = (256 << 10) + 1024
"""Bytes of a frame to the daemon: those who are no admins send no larger messages."""

ANSWER_MAX = 1 << 30
"""Bytes of a frame to the front, which believes the daemon."""

_HEAD = struct.Struct("<BIQ")
_OPEN = struct.Struct("<QHH")
_STATUS = struct.Struct("<HI")


class FrameKind(IntEnum):
    """The kinds of frames."""

    OPEN = 1
    MESSAGE = 2
    HALF_CLOSE = 3
    OVER = 4
    CREDIT = 5
    INITIAL = 6
    STATUS = 7
    CUT = 8
    READY = 9
    TAKEN = 10
    DROPPED = 11


class WireError(Exception):
    """What came is no frame."""


@record
class Frame:
    """One frame; its stream's number is the front's."""

    kind: FrameKind
    stream: int
    payload: bytes = b""


@record
class Opening:
    """A call that begins: by which connection, what is called, and the token that it shows."""

    connection: int
    method: str
    token: str

    def packed(self) -> bytes:
        """Return it as the payload of a frame."""
        method, token = self.method.encode(), self.token.encode()
        return _OPEN.pack(self.connection, len(method), len(token)) + method + token

    @classmethod
    def unpacked(cls, payload: bytes) -> "Opening":
        """Return what a payload says; raises WireError."""
        try:
            connection, method, token = _OPEN.unpack_from(payload)
            words = payload[_OPEN.size :]
            if len(words) != method + token:
                raise WireError("an opening of another length")
            return cls(connection, words[:method].decode(), words[method:].decode())
        except (struct.error, UnicodeDecodeError) as error:
            raise WireError(f"no opening: {error}") from None


@record
class Status:
    """How a call has ended: the code, the words, and the details as gRPC carries them."""

    code: int
    message: str
    details: bytes

    def packed(self) -> bytes:
        """Return it as the payload of a frame."""
        message = self.message.encode()
        return _STATUS.pack(self.code, len(message)) + message + self.details

    @classmethod
    def unpacked(cls, payload: bytes) -> "Status":
        """Return what a payload of the daemon's says."""
        code, length = _STATUS.unpack_from(payload)
        words = payload[_STATUS.size :]
        return cls(code, words[:length].decode(), words[length:])


class Wire:
    """One end. Any thread may send, one receives. ``_sending`` has one frame go out at a time."""

    def __init__(self, end: socket.socket, largest: int) -> None:
        """``largest`` is how many bytes the payload of a frame that comes may have."""
        self._socket = end
        self._largest = largest
        self._sending = threading.Lock()

    def send(self, kind: FrameKind, stream: int, payload: bytes = b"", *more: Frame) -> None:
        """Send a frame, and ``more`` behind it; raises OSError where the other end has gone."""
        data = _HEAD.pack(kind, len(payload), stream) + payload
        for frame in more:
            data += _HEAD.pack(frame.kind, len(frame.payload), frame.stream) + frame.payload
        with self._sending:
            self._socket.sendall(data)

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames that come until the other end has gone; raises WireError, OSError."""
        with self._socket.makefile("rb", buffering=1 << 16) as incoming:
            while len(head := incoming.read(_HEAD.size)) == _HEAD.size:
                number, length, stream = _HEAD.unpack(head)
                if length > self._largest:
                    raise WireError(f"a frame of {length} bytes")
                try:
                    kind = FrameKind(number)
                except ValueError:
                    raise WireError(f"a frame of the kind {number}") from None
                payload = incoming.read(length)
                if len(payload) < length:
                    return
                yield Frame(kind, stream, payload)

    def close(self) -> None:
        """Have both ends end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
