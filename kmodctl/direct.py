# SPDX-License-Identifier: Apache-2.0
"""The commands' calls to a daemon: one at a time, with neither grpc nor protobuf."""

from kmodctl.environment import environment
from kmodctl.errors import CallError, NoDaemonError, OthersDaemonError
from kmodctl.http2 import Http2Connection, Http2Error
from kmodctl.nested import metadata_for
from kmodctl.rpc import ConnectionLostError, RpcError
from kmodctl.sockets import candidates, check_listener
from kmodd.messages.channel import Channel
from kmodd.messages.codec import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodd.messages.channel import Response
    from kmodd.messages.codec import Message

STATUS_NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
"""The names of gRPC's status codes, in their order."""


class DirectChannel(Channel):
    """A connection to a daemon's socket, made by the first call; for one thread."""

    def __init__(self, socket: str | None = None, *, timeout: float | None = None) -> None:
        """Calls go to ``socket``, or to the daemon that kmodctl finds.

        ``timeout`` bounds each call, in seconds. A call that runs out of time ends the waiting,
        not the work: the daemon finishes what it began.
        """
        self._candidates = candidates(socket, environment())
        self._timeout = timeout
        self._connection: Http2Connection | None = None
        self._path = ""

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def shut_down(self) -> None:
        """Have a call that is under way on another thread end with NoDaemonError."""
        if self._connection is not None:
            self._connection.shut_down()

    def call(self, method: str, request: "Message", response: "type[Response]") -> "Response":
        """Make a call with one request and one response.

        Raises CallError, NoDaemonError, and OthersDaemonError before anything is sent.
        """
        return self.upload(method, (request,), response)

    def upload(
        self, method: str, requests: "Iterable[Message]", response: "type[Response]"
    ) -> "Response":
        """Make a call with a stream of requests and one response.

        Raises as ``call`` does, and what making the requests raises.
        """
        answers = [*self.exchange(method, requests, response)]
        if len(answers) != 1:
            raise CallError("INTERNAL", f"{self._path}: {method}: {len(answers)} responses came")
        return answers[0]

    def stream(
        self, method: str, request: "Message", response: "type[Response]"
    ) -> "Iterator[Response]":
        """Make a call with one request, and yield the responses; raises as ``call`` does."""
        return self.exchange(method, (request,), response)

    def exchange(
        self, method: str, requests: "Iterable[Message]", response: "type[Response]"
    ) -> "Iterator[Response]":
        """Make a call with a stream of requests, and yield the responses.

        Raises as ``call`` does, and what making the requests raises.
        """
        connection = self._connected()
        sent = (request.encode() for request in requests)
        metadata = metadata_for(self._path)
        try:
            for data in connection.call(method, sent, deadline=self._timeout, metadata=metadata):
                yield response.decode(data)
        except RpcError as error:
            raise _translated(error, self._path) from None
        except ConnectionLostError:
            self.close()
            raise NoDaemonError((self._path,)) from None
        except (Http2Error, DecodeError) as error:
            self.close()
            raise CallError("INTERNAL", f"{self._path}: {error}") from None

    def _connected(self) -> Http2Connection:
        if self._connection is None:
            for path in self._candidates:
                try:
                    connection = Http2Connection(path)
                except OSError:
                    continue
                try:
                    check_listener(connection.fileno(), path)
                except OthersDaemonError:
                    connection.close()
                    raise
                self._connection = connection
                self._path = path
                break
            else:
                raise NoDaemonError(self._candidates)
        return self._connection


class AbsentChannel(Channel):
    """To a daemon that is not to be asked, as if there were none."""

    def call(
        self,
        method: str,  # noqa: ARG002
        request: "Message",  # noqa: ARG002
        response: "type[Response]",  # noqa: ARG002
    ) -> "Response":
        """Raise NoDaemonError."""
        raise NoDaemonError(())


def _translated(error: RpcError, path: str) -> CallError | NoDaemonError:
    """Return the exception for a failed call: its details say more than its code."""
    if error.details:
        from kmodctl.failures import call_error

        return call_error(error.details)
    known = error.code < len(STATUS_NAMES)
    name = STATUS_NAMES[error.code] if known else "UNKNOWN"
    if name == "UNAVAILABLE":
        return NoDaemonError((path,))
    return CallError(name, error.message or name)
