# SPDX-License-Identifier: Apache-2.0
"""One gRPC call on a stream of HTTP/2: its headers, its messages and how it can end.

The sources are PROTOCOL-HTTP2.md, http-grpc-status-mapping.md and compression.md in grpc's doc/.
Little is imported, as kmodctl.http2 wants it.
"""

from time import monotonic

from kmodctl.hpack import literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from kmodctl.hpack import Fields

    Metadata = tuple[tuple[str, str | bytes], ...]

MESSAGE_MAX = 4 << 20
"""Bytes of a response message; grpc's own default."""

HEAD_MAX = 16384
"""Bytes of a request's header block: what one frame can have, and grpc's servers take no more."""

CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, PERMISSION_DENIED = 1, 2, 4, 7
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 8, 12, 13, 14, 16

NO_ERROR, _REFUSED_STREAM, CANCEL = 0, 7, 8

_ERRORS = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT"),
    *("STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR"),
    *("CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
)
"""The names of HTTP/2's error codes (RFC 9113, 7)."""

_KEY_CHARACTERS = "0123456789_-.abcdefghijklmnopqrstuvwxyz"

_OF_RESET = {CANCEL: CANCELLED, 11: RESOURCE_EXHAUSTED, 12: PERMISSION_DENIED}
"""The status of a call whose stream was reset, by error code, where that is not INTERNAL."""

_OF_HTTP = {
    b"400": INTERNAL,
    b"401": UNAUTHENTICATED,
    b"403": PERMISSION_DENIED,
    b"404": UNIMPLEMENTED,
    **dict.fromkeys((b"429", b"502", b"503", b"504"), UNAVAILABLE),
}
"""The status of a call that has none of its own, by HTTP's, where that is not UNKNOWN."""


class RpcError(Exception):
    """A call that ended with a status other than OK.

    ``code`` is the status, ``details`` what ``grpc-status-details-bin`` has, b"" without one.
    """

    def __init__(self, code: int, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class ConnectionLostError(Exception):
    """The server is gone, takes no call, or never spoke HTTP/2: what grpc calls UNAVAILABLE."""


class Call:
    """What one call has sent and received so far."""

    def __init__(
        self, method: str, requests: "Iterable[bytes]", deadline: float | None, metadata: "Metadata"
    ) -> None:
        self.stream = 0
        self.head = _head(method, deadline, metadata)
        self.deadline = None if deadline is None else monotonic() + deadline
        self.requests = iter(requests)
        self.pending = memoryview(b"")
        self.sent = False  # we have no more to say
        self.window = 0  # bytes that we may send
        self.credit = 0  # and that the server may
        self.answered = False  # its headers have come
        self.body = bytearray()
        self.messages: list[bytes] = []
        self.closed = False  # nor has the server
        self.over = False
        self.error: RpcError | None = None

    def remaining(self) -> float | None:
        """Return the seconds that are left, None without a deadline; raises RpcError after it."""
        if self.deadline is None:
            return None
        left = self.deadline - monotonic()
        if not left > 0:
            raise RpcError(DEADLINE_EXCEEDED, "Deadline Exceeded")
        return min(left, 3600.0)

    def fail(self, code: int, message: str) -> None:
        """End the call with a status that the server did not give."""
        self.error = RpcError(code, message)
        self.over = True

    def take_head(self, fields: "Fields", ends: bool) -> None:
        """Take the first block of headers, which is all there is where the stream ends with it."""
        named = dict(fields)
        status, kind = named.get(b":status", b""), named.get(b"content-type", b"")
        self.answered = True
        self.closed = ends
        if ends and b"grpc-status" in named:
            self._take_status(named)
        elif status != b"200":
            self.fail(_OF_HTTP.get(status, UNKNOWN), f"HTTP status {shown(status)}")
        elif kind[:16] != b"application/grpc" or kind[16:17] not in b"+;":
            self.fail(UNKNOWN, f"the answer is no gRPC but {shown(kind) or 'of no type'}")
        elif ends:
            self.fail(UNKNOWN, "the answer has no status")

    def take_trailers(self, fields: "Fields") -> None:
        """Take the block of headers that ends the stream."""
        named = dict(fields)
        self.closed = True
        if b"grpc-status" not in named:
            self.fail(UNKNOWN, "the answer has no status")
        elif self.body and named[b"grpc-status"] == b"0":
            self.fail(INTERNAL, "the answer ends within a message")
        else:
            self._take_status(named)

    def take_data(self, data: bytes, ends: bool) -> None:
        """Take a part of the messages (PROTOCOL-HTTP2.md, Length-Prefixed-Message)."""
        body = self.body
        body += data
        while len(body) >= 5 and not self.over:
            size = int.from_bytes(body[1:5])
            if body[0]:
                self.fail(INTERNAL, "a message is compressed, though we take none that is")
            elif size > MESSAGE_MAX:
                text = f"a message of {size} bytes, where {MESSAGE_MAX} are the most"
                self.fail(RESOURCE_EXHAUSTED, text)
            elif len(body) < 5 + size:
                break
            else:
                self.messages.append(bytes(body[5 : 5 + size]))
                del body[: 5 + size]
        if ends:
            self.closed = True
            if not self.over:
                self.fail(INTERNAL, "the answer ends without a status")

    def take_reset(self, code: int) -> None:
        """Take it that the server has given up the stream."""
        if code == _REFUSED_STREAM:
            raise ConnectionLostError("the server takes no more calls")
        self.closed = self.sent = True
        if code == CANCEL:
            self.remaining()  # a server knows the deadline, too, and may be the first to act
        self.fail(_OF_RESET.get(code, INTERNAL), f"the server reset the call: {error_name(code)}")

    def _take_status(self, named: dict[bytes, bytes]) -> None:
        self.over = True
        value = named[b"grpc-status"]
        code = int(value) if value.isdigit() and len(value) < 3 else UNKNOWN
        if code:
            message = _percent_decoded(named.get(b"grpc-message", b""))
            details = _binary(named.get(b"grpc-status-details-bin", b""))
            self.error = RpcError(code if code <= UNAUTHENTICATED else UNKNOWN, message, details)


def _head(method: str, deadline: float | None, metadata: "Metadata") -> bytes:
    """Return the header block of a call; raises ValueError for what can be in none.

    Its strings are literals that nobody has to keep, and it begins with a table of no bytes, so
    that what the server says of its own table does not matter.
    """
    fields = [("te", "trailers"), ("grpc-accept-encoding", "identity")]
    if deadline is not None:
        fields.insert(0, ("grpc-timeout", _timeout(deadline)))
    for key, value in metadata:
        if key.strip(_KEY_CHARACTERS) or not key:
            raise ValueError(f"{key!r} can be no key of metadata")
        fields.append((key, value if isinstance(value, str) else _base64(value)))
    block = b"\x20\x83\x86"  # the resized table, :method POST, :scheme http
    block += b"\x04" + literal(method) + b"\x01" + literal("localhost")
    block += b"\x0f\x10" + literal("application/grpc")  # content-type
    block += b"".join(b"\0" + literal(key) + literal(value) for key, value in fields)
    if len(block) > HEAD_MAX:
        raise ValueError(f"metadata of {len(block)} bytes")
    return block


def _timeout(seconds: float) -> str:
    """Return a grpc-timeout, of at most eight digits and not less than ``seconds``."""
    for unit, parts in (("u", 1_000_000), ("m", 1000), ("S", 1)):
        if seconds * parts < 99_999_999:
            return f"{max(0, int(seconds * parts)) + 1}{unit}"
    return "99999999S"


def _base64(data: bytes) -> str:
    """Encode the value of a key that ends in "-bin"."""
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode().rstrip("=")


def _binary(value: bytes) -> bytes:
    """Decode the value of a key that ends in "-bin", b"" where that cannot be done.

    A NUL is before one that is as it is (grpc's proposal G1, true binary metadata).
    """
    if value[:1] == b"\0":
        return value[1:]
    from binascii import a2b_base64

    try:
        return a2b_base64(value.partition(b",")[0].rstrip(b"=") + b"==")
    except ValueError:
        return b""


def _percent_decoded(value: bytes) -> str:
    """Decode a grpc-message, and leave what is not encoded right as it is."""
    first, *rest = value.split(b"%")
    parts = [first]
    for part in rest:
        digits = part[:2]
        try:
            if len(digits) < 2 or not digits.isalnum():
                raise ValueError
            parts += [bytes((int(digits, 16),)), part[2:]]
        except ValueError:
            parts += [b"%", part]
    return b"".join(parts).decode(errors="replace")


def error_name(code: int) -> str:
    """Return the name of an error code of HTTP/2's."""
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code}"


def shown(text: bytes) -> str:
    """Return what a server said so that it can be shown."""
    return repr(text[:100])[2:-1]
