# SPDX-License-Identifier: Apache-2.0
"""Receives a module image in chunks, within bounds of size and time."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from kmodd.errors import KmoddError, LimitError, Reason, RequestError
from kmodd.settings import Limits

Message = Any
"""A request whose ``content`` is either a ``header`` of its own type or a ``chunk`` of bytes."""

QUEUED = 4
"""Messages of an upload that may wait to be taken in."""


class Uploads:
    """The uploads under way. ``_lock`` guards the bytes that all of them hold together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._held = 0

    @contextmanager
    def receive(self, requests: Iterator[Message]) -> Iterator[tuple[Any, bytes]]:
        """Yield the header and the whole image; its memory counts until the context ends.

        Raises RequestError for messages out of order and for a client that went away, and
        LimitError for an image over the size cap, too many uploads at once, or a client that has
        sent nothing for too long.
        """
        held = 0
        try:
            messages = _arriving(requests, self._limits.upload_idle)
            header = _header(next(messages, None))
            image = bytearray()
            for message in messages:
                chunk = self._chunk(message, len(image))
                self._hold(len(chunk))
                held += len(chunk)
                image += chunk
            yield header, bytes(image)
        finally:
            self._hold(-held)

    def _chunk(self, message: Message, received: int) -> bytes:
        if message.WhichOneof("content") != "chunk":
            raise RequestError(Reason.INVALID_REQUEST, "a chunk was expected")
        if len(message.chunk) > self._limits.chunk_bytes:
            raise RequestError(
                Reason.INVALID_REQUEST, f"a chunk has at most {self._limits.chunk_bytes} bytes"
            )
        if received + len(message.chunk) > self._limits.image_bytes:
            raise LimitError(
                Reason.IMAGE_TOO_LARGE,
                f"a module image has at most {self._limits.image_bytes} bytes",
            )
        return bytes(message.chunk)

    def _hold(self, count: int) -> None:
        limit = self._limits.uploads_bytes
        with self._lock:
            if count > 0 and self._held + count > limit:
                raise LimitError(
                    Reason.LIMIT_REACHED, f"all uploads together have at most {limit} bytes"
                )
            self._held += count


def _arriving(requests: Iterator[Message], idle: float) -> Iterator[Message]:
    """Yield the messages as they come, none later than ``idle`` seconds after the one before.

    grpc's own iterator blocks for as long as the client likes, so a thread of its own reads it;
    that thread ends with the call.
    """
    arrived: queue.Queue[Message | KmoddError | None] = queue.Queue(QUEUED)
    ended = threading.Event()

    def put(item: Message | KmoddError | None) -> bool:
        while not ended.is_set():
            try:
                arrived.put(item, timeout=1.0)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for request in requests:
                if not put(request):
                    return
            put(None)
        except grpc.RpcError:
            put(RequestError(Reason.INVALID_REQUEST, "the upload ended before it was complete"))

    threading.Thread(target=read, name="kmodd-upload", daemon=True).start()
    try:
        while (item := _next_item(arrived, idle)) is not None:
            yield item
    finally:
        ended.set()


def _next_item(arrived: "queue.Queue[Message | KmoddError | None]", idle: float) -> Message | None:
    try:
        item = arrived.get(timeout=idle)
    except queue.Empty:
        raise LimitError(
            Reason.UPLOAD_STALLED, f"the upload paused for more than {idle:g} seconds"
        ) from None
    if isinstance(item, KmoddError):
        raise item
    return item


def _header(first: Message | None) -> Any:
    if first is None or first.WhichOneof("content") != "header":
        raise RequestError(Reason.INVALID_REQUEST, "an upload begins with its header")
    return first.header
