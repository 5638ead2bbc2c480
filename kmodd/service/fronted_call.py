# SPDX-License-Identifier: Apache-2.0
"""A call that a front passes on, and the context that it is served with.

It does what grpc's own context does, as far as this API makes use of it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import grpc

from kmodd.errors import KmoddError
from kmodd.front.wire import CREDITS, Frame, FrameKind, Opening, Status, Wire, WireError
from kmodd.host.transport import STATUS_KEY, TOKEN_KEY


class CallEndedError(Exception):
    """The call has been ended by whoever serves it; its status says how."""


class FrontedCall(grpc.ServicerContext):
    """One call, and the context that it is served with.

    ``_changed`` guards what has arrived, the credit, and whether it is over.
    """

    def __init__(self, wire: Wire, stream: int, opening: Opening, peer: str) -> None:
        self.opening = opening
        self._wire = wire
        self._stream = stream
        self._peer = peer
        self._changed = threading.Condition()
        self._arrived: deque[bytes | None] = deque()
        self._credit = CREDITS
        self._status = Status(0, "", b"")
        self._details = b""
        self._is_over = False
        self._is_ended = False
        self._callbacks: list[Callable[[], None]] = []

    def requests(self) -> Iterator[bytes]:
        """Yield the requests as they come; raises grpc.RpcError where the client has gone."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._arrived or self._is_over or self._is_ended)
                if not self._arrived:
                    raise grpc.RpcError
                request = self._arrived.popleft()
            if request is None:
                return
            yield request
            self._send(FrameKind.CREDIT)

    def answer(self, message: bytes) -> None:
        """Send an answer once the client takes one; raises grpc.RpcError where it has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._credit or self._is_over or self._is_ended)
            if self._is_over or self._is_ended:
                raise grpc.RpcError
            self._credit -= 1
        self._send(FrameKind.MESSAGE, message)

    def finish(self, kind: FrameKind = FrameKind.STATUS) -> None:
        """Send the status, unless that has been done."""
        with self._changed:
            if self._is_ended:
                return
            self._is_ended = True
            status = self._status
            self._changed.notify_all()
        self._send(kind, status.packed())

    def take(self, frame: Frame) -> None:
        """Take in what the front says of the call; raises WireError."""
        with self._changed:
            if frame.kind is FrameKind.CREDIT:
                self._credit = min(self._credit + 1, CREDITS)
            elif frame.kind is FrameKind.HALF_CLOSE:
                self._arrived.append(None)
            elif frame.kind is not FrameKind.MESSAGE or len(self._arrived) > CREDITS:
                raise WireError(f"a frame {frame.kind.name} that was not to come")
            else:
                self._arrived.append(frame.payload)
            self._changed.notify_all()

    def over(self) -> None:
        """Note that the client waits no more."""
        with self._changed:
            if self._is_over:
                return
            self._is_over = True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback()

    def cut_off(self, error: KmoddError) -> None:
        """End the call from outside its own thread."""
        self._status = Status(grpc.StatusCode[error.status].value[0], error.message, b"")
        self.finish(FrameKind.CUT)

    # What follows is the interface of grpc.ServicerContext.

    def is_active(self) -> bool:
        """Tell whether the client waits."""
        return not (self._is_over or self._is_ended)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have ``callback`` called when the call is over; False where it is."""
        with self._changed:
            if self._is_over:
                return False
            self._callbacks.append(callback)
            return True

    def peer(self) -> str:
        """Return the name of the connection."""
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the token, which is all that the API has in there."""
        return ((TOKEN_KEY, self.opening.token),) if self.opening.token else ()

    def send_initial_metadata(self, _metadata: object) -> None:
        """Have the client see that the call is being served."""
        self._send(FrameKind.INITIAL)

    def set_trailing_metadata(self, metadata: Iterable[tuple[str, bytes]]) -> None:
        """Keep the details for the status."""
        self._details = dict(metadata).get(STATUS_KEY, b"")

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status."""
        self._status = Status(code.value[0], details, self._details)
        raise CallEndedError

    def code(self) -> int | None:
        """Return the code that the call was ended with, None for none yet."""
        return self._status.code or None

    def cancel(self) -> bool:
        """End the call."""
        self._status = Status(grpc.StatusCode.CANCELLED.value[0], "", b"")
        self.finish(FrameKind.CUT)
        return True

    def time_remaining(self) -> None:
        """Return None: deadlines are the front's to keep."""

    def abort_with_status(self, status: Any) -> NoReturn:
        """Do what nothing here asks for."""
        raise NotImplementedError

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return nothing: the kernel says who calls."""
        return {}

    def peer_identities(self) -> None:
        """Return none, as for every local connection."""

    def peer_identity_key(self) -> None:
        """Return none, as for every local connection."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the code of the status."""
        self._status = Status(code.value[0], self._status.message, b"")

    def set_details(self, details: str) -> None:
        """Set the words of the status."""
        self._status = Status(self._status.code, details, b"")

    def _send(self, kind: FrameKind, payload: bytes = b"") -> None:
        try:
            self._wire.send(kind, self._stream, payload)
        except OSError:  # the front has gone
            self.over()
