# SPDX-License-Identifier: Apache-2.0
"""gRPC calls over a Unix socket, by HTTP/2 of our own (RFC 9113).

A command makes one call, and importing grpc costs it ten times what the call does. So nothing is
imported here but what the interpreter has or gets in a fraction of a millisecond. The server is not
trusted: all that it can have us keep, or do without an answer in sight, is bounded.
"""

from _socket import (
    AF_UNIX,
    MSG_NOSIGNAL,
    SHUT_RDWR,
    SO_SNDTIMEO,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from time import monotonic

from kmodctl.hpack import HEADERS_MAX, HeaderDecoder
from kmodctl.rpc import (
    CANCEL,
    MESSAGE_MAX,
    NO_ERROR,
    Call,
    ConnectionLostError,
    RpcError,
    error_name,
    shown,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import TracebackType
    from typing import Self

    from kmodctl.hpack import Fields
    from kmodctl.rpc import Metadata

__all__ = ["ConnectionLostError", "Http2Connection", "Http2Error", "RpcError"]

FRAME_MAX = 16384
"""Bytes of a frame's payload that we take, and that any server does."""

WINDOW = 2 * MESSAGE_MAX
"""Bytes that the server may send before it has to wait for us."""

BATCH = 256 << 10
"""Bytes that are made ready to be sent at once."""

READ = 64 << 10
"""Bytes that are read at once."""

IDLE_MAX = 1000
IDLE_SECONDS = 60.0
"""So many frames in so many seconds may bring a call no further. A server that pings often to keep
its connections sends one a second."""

REPLIES_MAX = 64 << 10
"""Bytes of replies that wait for a server to read them."""

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE = 0, 1, 3, 4, 5
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 6, 7, 8, 9

_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20

_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 4, 5
_MAX_HEADER_LIST_SIZE, _TRUE_BINARY_METADATA = 6, 0xFE03

_WINDOW_MAX = (1 << 31) - 1
_FIRST_WINDOW = 65535


class Http2Error(Exception):
    """The server broke a rule or a bound, which the message names; the connection is closed."""


class Http2Connection:
    """A connection to a Unix socket for calls one after another; a context manager.

    It has no lock, and is for one thread.
    """

    def __init__(self, path: str, *, timeout: float | None = None) -> None:
        """Connect to the Unix socket ``path``, and wait for nothing that the server says.

        ``timeout`` is how many seconds a server may take to accept. Raises OSError.
        """
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        try:
            if timeout is not None:
                self._socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, _timeval(timeout))
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            if isinstance(error, BlockingIOError):
                raise TimeoutError(error.errno, "nobody accepts the connection") from None
            raise
        self._gone = ""  # why there can be no more calls
        self._leaving = ""  # why the server takes no more
        self._deaf = False  # the server reads no more
        self._greeted = False
        self._last = -1
        self._call: Call | None = None
        self._abandoned: dict[int, int] = {}  # the credits of streams that we have reset
        self._in = bytearray()
        self._out = bytearray(_PREFACE)
        self._window = self._first_window = _FIRST_WINDOW
        self._frame_max = FRAME_MAX
        self._credit = WINDOW
        self._decoder = HeaderDecoder()
        self._block = bytearray()  # a header block that is not complete
        self._block_of: tuple[int, int] | None = None  # its stream and flags
        self._idle = 0
        self._idle_since = monotonic()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    def shut_down(self) -> None:
        """Have a call that is under way on another thread end with ConnectionLostError."""
        try:
            self._socket.shutdown(SHUT_RDWR)
        except OSError:  # it has ended
            return

    def close(self) -> None:
        """End the connection; a call under way is lost."""
        self._gone = self._gone or "the connection is closed"
        self._socket.close()

    def call(
        self,
        method: str,
        requests: "Iterable[bytes]",
        *,
        deadline: float | None,
        metadata: "Metadata" = (),
    ) -> "Generator[bytes, None, None]":
        """Return a generator of a call's responses; the call begins with the first that is asked.

        ``method`` is "/package.Service/Method". ``requests`` are serialised messages, and are asked
        for ahead of what is sent. ``deadline`` is in seconds from now. ``metadata`` has bytes for
        keys that end in "-bin", and text for all others.

        Closing the generator cancels the call. It raises RpcError, ConnectionLostError and
        Http2Error, the first of which leaves the connection as good as it was. Raises ValueError
        for what can be in no header, and RuntimeError where another call is under way.
        """
        return self._run(Call(method, requests, deadline, metadata))

    def _run(self, call: Call) -> "Generator[bytes, None, None]":
        if self._call is not None:
            raise RuntimeError("another call is under way on this connection")
        self._call = call
        try:
            self._begin(call)
            while True:
                messages, call.messages = call.messages, []
                yield from messages
                if call.over:
                    break
                self._advance(call)
            if call.error is not None:
                raise call.error
        except (ConnectionLostError, Http2Error, KeyboardInterrupt, SystemExit):
            self._gone = self._gone or "the connection has failed"
            raise
        finally:
            self._call = None
            self._leave(call)

    def _begin(self, call: Call) -> None:
        """Open a stream, unless the server has gone meanwhile."""
        call.remaining()
        if not self._gone and self._last > 0:
            self._take_frames()
            self._receive(0)
            self._take_frames()
        if self._gone or self._leaving:
            raise ConnectionLostError(self._gone or self._leaving)
        self._last += 2
        call.stream = self._last
        call.window, call.credit = self._first_window, WINDOW
        self._out += _frame(_HEADERS, _END_HEADERS, call.stream, call.head)

    def _leave(self, call: Call) -> None:
        """Reset the stream unless both sides have ended it, and give up a failed connection."""
        if call.stream and not (call.closed and call.sent):
            code = NO_ERROR if call.closed else CANCEL
            self._out += _frame(_RST_STREAM, 0, call.stream, code.to_bytes(4))
            if not call.closed:
                self._abandoned[call.stream] = call.credit
        self._flush()
        if self._gone:
            self.close()

    def _advance(self, call: Call) -> None:
        """Take a frame if one has come. Otherwise send what can be sent, and wait for more."""
        timeout = call.remaining()
        if self._take_frame():
            return
        self._fill(call)
        if not self._flush():
            self._wait(timeout)
            self._receive(0)
        elif call.sent or self._deaf or min(call.window, self._window) <= 0:
            self._receive(timeout)
        else:
            self._receive(0)

    def _fill(self, call: Call) -> None:
        """Make frames of the requests, as far as the windows of the server are open."""
        while not (call.sent or self._deaf) and len(self._out) < BATCH:
            if not call.pending:
                request = next(call.requests, None)
                if request is None:
                    self._out += _frame(_DATA, _END_STREAM, call.stream)
                    call.sent = True
                    break
                call.pending = memoryview(b"\0" + len(request).to_bytes(4) + request)
            size = min(len(call.pending), call.window, self._window, self._frame_max)
            if size <= 0:
                break
            self._out += _frame(_DATA, 0, call.stream, call.pending[:size])
            call.pending = call.pending[size:]
            call.window -= size
            self._window -= size
            self._idle = 0

    def _flush(self) -> bool:
        """Send what is ready, without waiting; tell whether nothing of it is left."""
        while self._out and not self._deaf:
            try:
                self._socket.settimeout(0)
                sent = self._socket.send(self._out, MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except OSError:
                self._deaf = True  # and what it has sent before says why
            else:
                del self._out[:sent]
        self._out.clear()
        return True

    def _wait(self, timeout: float | None) -> None:
        """Wait until the server reads or writes, at most ``timeout`` seconds."""
        from select import POLLIN, POLLOUT, poll

        waiting = poll()
        waiting.register(self._socket.fileno(), POLLIN | POLLOUT)
        waiting.poll(None if timeout is None else timeout * 1000)

    def _receive(self, timeout: float | None) -> None:
        """Read what has come, and wait for it at most ``timeout`` seconds."""
        try:
            self._socket.settimeout(timeout)
            data = self._socket.recv(READ)
        except (BlockingIOError, TimeoutError):
            return
        except OSError as error:
            raise ConnectionLostError(self._gone or self._leaving or str(error.strerror)) from None
        if not data:
            raise ConnectionLostError(self._leaving or "the server closed the connection")
        self._in += data

    def _reply(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Make a frame ready that is sent with what comes next."""
        if len(self._out) > BATCH + REPLIES_MAX:
            raise Http2Error("the server reads nothing, and goes on asking for replies")
        self._out += _frame(kind, flags, stream, payload)

    def _take_frames(self) -> None:
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Take the next frame that has come; tell whether there was a whole one."""
        data = self._in
        if len(data) < 9:
            return False
        size, kind, flags = int.from_bytes(data[:3]), data[3], data[4]
        stream = int.from_bytes(data[5:9]) & _WINDOW_MAX
        if not self._greeted and (kind != _SETTINGS or flags & _ACK or size > FRAME_MAX):
            raise ConnectionLostError("the server does not speak HTTP/2")
        if size > FRAME_MAX:
            raise Http2Error(f"a frame of {size} bytes, where {FRAME_MAX} are the most")
        if len(data) < 9 + size:
            return False
        payload = bytes(data[9 : 9 + size])
        del data[: 9 + size]
        self._greeted = True
        if self._block_of is not None and kind != _CONTINUATION:
            raise Http2Error("a frame comes between the parts of a header block")
        take = _TAKES.get(kind)
        if take is None:
            self._note_idle()
        else:
            take(self, flags, stream, payload)
        return True

    def _note_idle(self) -> None:
        """Note a frame that brings no call further."""
        self._idle += 1
        if self._idle > IDLE_MAX:
            now = monotonic()
            if now - self._idle_since < IDLE_SECONDS:
                raise Http2Error(f"more than {IDLE_MAX} frames that say nothing")
            self._idle, self._idle_since = 0, now

    def _of_call(self, stream: int, kind: str) -> Call | None:
        """Return the call of a frame, None for one that was given up; raises Http2Error."""
        if self._call is not None and stream == self._call.stream:
            return self._call
        if stream not in self._abandoned:
            raise Http2Error(f"{kind} on stream {stream}, which is not open")
        return None

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        call = self._of_call(stream, "data")
        data = _unpadded(flags, payload)
        credit = (call.credit if call else self._abandoned[stream]) - len(payload)
        self._credit -= len(payload)
        if credit < 0:
            raise Http2Error("more data than the window lets through")
        if data:
            self._idle = 0
        else:
            self._note_idle()
        if self._credit < WINDOW // 2:
            self._reply(_WINDOW_UPDATE, 0, 0, (WINDOW - self._credit).to_bytes(4))
            self._credit = WINDOW
        if call is None:
            self._abandon(stream, credit, flags)
            return
        if not call.answered:
            raise Http2Error("data before the headers")
        if credit < WINDOW // 2 and not flags & _END_STREAM:
            self._reply(_WINDOW_UPDATE, 0, stream, (WINDOW - credit).to_bytes(4))
            credit = WINDOW
        call.credit = credit
        call.take_data(data, bool(flags & _END_STREAM))

    def _abandon(self, stream: int, credit: int, flags: int) -> None:
        """Note what a stream that we have reset may still send."""
        if flags & _END_STREAM:
            del self._abandoned[stream]
        else:
            self._abandoned[stream] = credit

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        self._of_call(stream, "headers")
        payload = _unpadded(flags, payload)
        if flags & _PRIORITY:
            if len(payload) < 5:
                raise Http2Error("headers that end within their priority")
            payload = payload[5:]
        self._block_of = (stream, flags)
        self._take_block(flags, payload)

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block_of is None or stream != self._block_of[0]:
            raise Http2Error("a header block goes on that has not begun")
        self._take_block(flags, payload)

    def _take_block(self, flags: int, part: bytes) -> None:
        """Take a part of a header block, and all of it with its last."""
        self._note_idle()
        self._block += part
        if len(self._block) > HEADERS_MAX:
            raise Http2Error(f"headers of more than {HEADERS_MAX} bytes")
        if not flags & _END_HEADERS or self._block_of is None:
            return
        stream, flags = self._block_of
        try:
            fields = self._decoder.decode(bytes(self._block))
        except ValueError as error:
            raise Http2Error(str(error)) from None
        self._block.clear()
        self._block_of = None
        call = self._of_call(stream, "headers")
        if call is None:
            self._abandon(stream, self._abandoned[stream], flags)
        else:
            self._take_fields(call, fields, bool(flags & _END_STREAM))

    def _take_fields(self, call: Call, fields: "Fields", ends: bool) -> None:
        if call.answered:
            if not ends or any(name.startswith(b":") for name, _ in fields):
                raise Http2Error("headers that are no trailers, after the first")
            call.take_trailers(fields)
            return
        status = next((value for name, value in fields if name == b":status"), b"")
        if len(status) != 3 or not status.isdigit():
            raise Http2Error("headers without an HTTP status")
        if status[:1] != b"1":
            call.take_head(fields, ends)
        elif ends:
            raise Http2Error("a stream that ends with an interim answer")

    def _take_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        self._note_idle()
        if len(payload) != 4 or not self._is_opened(stream):
            raise Http2Error("a reset of the wrong size, or of a stream that is not open")
        if self._call is not None and stream == self._call.stream:
            self._call.take_reset(int.from_bytes(payload))
        self._abandoned.pop(stream, None)

    def _is_opened(self, stream: int) -> bool:
        """Tell whether we have opened a stream, be it closed by now."""
        return stream % 2 == 1 and stream <= self._last

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        self._note_idle()
        if stream or len(payload) % 6 or (flags & _ACK and payload):
            raise Http2Error("settings of the wrong size, or on a stream")
        if flags & _ACK:
            self._decoder.limit(0)
            return
        for at in range(0, len(payload), 6):
            self._take_setting(
                int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6])
            )
        self._reply(_SETTINGS, _ACK, 0, b"")

    def _take_setting(self, setting: int, value: int) -> None:
        if setting == _INITIAL_WINDOW_SIZE:
            if self._call is not None:
                self._call.window = _widened(self._call.window, value - self._first_window)
            self._first_window = _widened(0, value)
        elif setting == _MAX_FRAME_SIZE:
            if not FRAME_MAX <= value < 1 << 24:
                raise Http2Error(f"a largest frame of {value} bytes")
            self._frame_max = min(value, BATCH)
        elif setting == _ENABLE_PUSH and value:
            raise Http2Error("a server that wants to be pushed to")

    def _take_push(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise Http2Error("a push, which we have declined")

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        self._note_idle()
        if stream or len(payload) != 8:
            raise Http2Error("a ping of the wrong size, or on a stream")
        if not flags & _ACK:
            self._reply(_PING, _ACK, 0, payload)

    def _take_goaway(self, _flags: int, stream: int, payload: bytes) -> None:
        self._note_idle()
        if stream or len(payload) < 8:
            raise Http2Error("a farewell of the wrong size, or on a stream")
        last, code = int.from_bytes(payload[:4]) & _WINDOW_MAX, int.from_bytes(payload[4:8])
        words = [error_name(code), shown(payload[8:])] if code else []
        self._leaving = " ".join(["the server takes no more calls", *filter(None, words)])
        if self._call is not None and self._call.stream > last:
            raise ConnectionLostError(self._leaving)

    def _take_window(self, _flags: int, stream: int, payload: bytes) -> None:
        self._note_idle()
        more = int.from_bytes(payload) & _WINDOW_MAX
        if len(payload) != 4 or not more:
            raise Http2Error("a window that opens by nothing, or by no number")
        if not stream:
            self._window = _widened(self._window, more)
        elif not self._is_opened(stream):
            raise Http2Error(f"a window of stream {stream}, which is not open")
        elif self._call is not None and stream == self._call.stream:
            self._call.window = _widened(self._call.window, more)


def _frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


_PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + _frame(
        _SETTINGS,
        0,
        0,
        b"".join(
            setting.to_bytes(2) + value.to_bytes(4)
            for setting, value in (
                (_HEADER_TABLE_SIZE, 0),
                (_ENABLE_PUSH, 0),
                (_INITIAL_WINDOW_SIZE, WINDOW),
                (_MAX_HEADER_LIST_SIZE, HEADERS_MAX),
                (_TRUE_BINARY_METADATA, 1),
            )
        ),
    )
    + _frame(_WINDOW_UPDATE, 0, 0, (WINDOW - _FIRST_WINDOW).to_bytes(4))
)


def _timeval(seconds: float) -> bytes:
    """Return a struct timeval; 0 would be for ever."""
    from struct import pack

    micros = max(1, int(seconds * 1_000_000))
    return pack("@ll", micros // 1_000_000, micros % 1_000_000)


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Return a payload without its padding (RFC 9113, 6.1); raises Http2Error."""
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error("a frame with more padding than it has bytes")
    return payload[1 : len(payload) - payload[0]]


def _widened(window: int, more: int) -> int:
    """Return a window of ours that the server has opened further; raises Http2Error."""
    if window + more > _WINDOW_MAX:
        raise Http2Error("a window that overflows")
    return window + more


_TAKES = {
    _DATA: Http2Connection._take_data,
    _HEADERS: Http2Connection._take_headers,
    _RST_STREAM: Http2Connection._take_reset,
    _SETTINGS: Http2Connection._take_settings,
    _PUSH_PROMISE: Http2Connection._take_push,
    _PING: Http2Connection._take_ping,
    _GOAWAY: Http2Connection._take_goaway,
    _WINDOW_UPDATE: Http2Connection._take_window,
    _CONTINUATION: Http2Connection._take_continuation,
}
"""What takes each type of frame; one that is unknown is skipped."""
