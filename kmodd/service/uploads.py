# SPDX-License-Identifier: Apache-2.0
"""Receives a module image in chunks, within bounds of size and time."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from kmodd.errors import KmoddError, LimitError, Reason, RequestError, StateError
from kmodd.settings import Limits

Message = Any
"""A request whose ``content`` is either a ``header`` of its own type or a ``chunk`` of bytes."""

WAKE = 0.2
"""Seconds after which an upload looks whether the server is stopping."""

QUEUED = 4
"""Messages of an upload that may wait to be taken in; they count as held already."""


class Uploads:
    """The uploads under way. ``_lock`` guards the bytes that all of them hold together."""

    def __init__(self, limits: Limits, stopping: threading.Event) -> None:
        """``stopping`` ends those that are not complete."""
        self._limits = limits
        self._stopping = stopping
        self._lock = threading.Lock()
        self._held = 0

    @contextmanager
    def receive(self, requests: Iterator[Message]) -> Iterator[tuple[Any, bytes]]:
        """Yield the header and the whole image; its memory counts until the context ends.

        Raises RequestError for messages out of order and for a client that went away, and
        LimitError for an image over the size cap, too many uploads at once, or a client that has
        sent nothing for too long, and StateError (SHUTTING_DOWN).
        """
        upload = _Upload(self._limits, self._hold, self._stopping)
        try:
            arriving = upload.arriving(requests)
            header = _header(next(arriving, None))
            yield header, b"".join(message.chunk for message in arriving)
        finally:
            upload.end()

    def _hold(self, count: int) -> None:
        limit = self._limits.uploads_bytes
        with self._lock:
            if count > 0 and self._held + count > limit:
                raise LimitError(
                    Reason.LIMIT_REACHED, f"all uploads together have at most {limit} bytes"
                )
            self._held += count


class _Upload:
    """One upload, from its first message until its image is needed no more.

    grpc's own iterator blocks for as long as the client likes, so a thread of its own reads it;
    that thread ends with the call. ``_lock`` guards what is held and whether it has ended: what
    comes after the end is counted nowhere.
    """

    def __init__(
        self, limits: Limits, hold: Callable[[int], None], stopping: threading.Event
    ) -> None:
        """``hold`` counts bytes among those of all uploads; it raises where they are too many."""
        self._limits = limits
        self._stopping = stopping
        self._hold = hold
        self._arrived: queue.Queue[Message | KmoddError | None] = queue.Queue(QUEUED)
        self._lock = threading.Lock()
        self._held = 0
        self._ended = False

    def arriving(self, requests: Iterator[Message]) -> Iterator[Message]:
        """Yield the messages as they come, none of them too late or too large."""
        last = time.monotonic() + self._limits.upload
        threading.Thread(
            target=self._read, args=(requests,), name="kmodd-upload", daemon=True
        ).start()
        while (item := self._next(last)) is not None:
            yield item

    def end(self) -> None:
        """Give up what is held."""
        with self._lock:
            self._ended = True
            self._hold(-self._held)

    def _next(self, last: float) -> Message | None:
        """Return the next message, waiting until the moment ``last`` at most."""
        idle = self._limits.upload_idle
        until = min(time.monotonic() + idle, last)
        while not self._stopping.is_set():
            left = max(0.0, until - time.monotonic())
            try:
                item = self._arrived.get(timeout=min(left, WAKE))
            except queue.Empty:
                if left > 0:
                    continue
                limits = f"paused for more than {idle:g} or took more than {self._limits.upload:g}"
                raise LimitError(Reason.UPLOAD_STALLED, f"the upload {limits} seconds") from None
            if isinstance(item, KmoddError):
                raise item
            return item
        raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")

    def _read(self, requests: Iterator[Message]) -> None:
        try:
            for number, request in enumerate(requests):
                if not self._put(self._admitted(request, first=number == 0)):
                    return
            self._put(None)
        except grpc.RpcError:
            self._put(
                RequestError(Reason.INVALID_REQUEST, "the upload ended before it was complete")
            )
        except KmoddError as error:
            self._put(error)

    def _put(self, item: Message | KmoddError | None) -> bool:
        """Hand ``item`` to the thread that takes it in; tell whether it still wants it."""
        while not self._ended:
            try:
                self._arrived.put(item, timeout=1.0)
            except queue.Full:
                continue
            return True
        return False

    def _admitted(self, message: Message, *, first: bool) -> Message:
        """Return ``message`` once it counts; the header, which comes first, counts for nothing."""
        if first:
            return message
        if message.WhichOneof("content") != "chunk":
            raise RequestError(Reason.INVALID_REQUEST, "a chunk was expected")
        limits, length = self._limits, len(message.chunk)
        if length > limits.chunk_bytes:
            raise RequestError(
                Reason.INVALID_REQUEST, f"a chunk has at most {limits.chunk_bytes} bytes"
            )
        with self._lock:
            if self._held + length > limits.image_bytes:
                raise LimitError(
                    Reason.IMAGE_TOO_LARGE, f"a module image has at most {limits.image_bytes} bytes"
                )
            if not self._ended:
                self._hold(length)
                self._held += length
        return message


def _header(first: Message | None) -> Any:
    if first is None or first.WhichOneof("content") != "header":
        raise RequestError(Reason.INVALID_REQUEST, "an upload begins with its header")
    return first.header
