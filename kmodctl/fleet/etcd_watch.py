# SPDX-License-Identifier: Apache-2.0
"""A watch of etcd's: what it has told, over as many connections as that takes.

Each prefix has a watcher of its own on one stream. etcd tells all watchers of a revision one after
the other; what comes without a pause is gathered, so that changes of one revision come together.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import grpc.aio

from kmodctl.fleet import etcd_rpc_pb2 as pb
from kmodctl.fleet.etcd_failures import LONGEST, StoreRefusedError
from kmodctl.fleet.store import CompactedError, KeyChange, StoredEntry, StoreError

HAS_LEADER = (("hasleader", "true"),)
"""What asks a member to end a stream when it is cut off from the others."""

GATHER = 0.02
"""Seconds without a word after which all of a revision has come."""

CATCH_UP = 0.3
"""The same for what a watch has missed; etcd looks for such each 0.1 s, and may tell one watcher
in the first round and the other in the next."""

MANY = 1000
"""Revisions that are gathered at most."""

_REFUSED = "permission denied"


class Watching:
    """How far each prefix has been told of; a prefix's watcher has its place, from 1, as number."""

    def __init__(self, prefixes: Sequence[str], after: int) -> None:
        self._prefixes = tuple(prefixes)
        self._told = [after] * len(self._prefixes)
        self._heard = list(self._told)
        self._gathered: dict[int, dict[str, KeyChange]] = {}
        self._has_missed = self._is_part = False

    async def changes(self, watch: Callable[..., Any]) -> AsyncIterator[tuple[KeyChange, ...]]:
        """Yield what has changed, a revision at a time, from where the last connection ended.

        ``watch`` is the method of a connection. Ends where that does, with what that raises, or
        with StoreError; where the watch cannot go on from there, that is CompactedError.
        """
        self._heard, self._gathered = list(self._told), {}
        self._has_missed = self._is_part = False
        call = watch(metadata=HAS_LEADER)
        reading: asyncio.Future[Any] | None = None
        try:
            for number, prefix in enumerate(self._prefixes, 1):
                await call.write(_begin(prefix, number, self._told[number - 1] + 1))
            while True:
                reading = reading or asyncio.ensure_future(call.read())
                await asyncio.wait({reading}, timeout=self._patience())
                if reading.done():
                    answer, reading = reading.result(), None
                    if answer is grpc.aio.EOF:
                        return
                    self._take(answer)
                if self._is_part or (reading is None and len(self._gathered) < MANY):
                    continue
                for changes in self._all_gathered():
                    yield changes
        finally:
            if reading is not None:
                reading.cancel()
            call.cancel()

    def _patience(self) -> float | None:
        """Return how long to wait for more, in seconds; None for ever."""
        if not self._gathered or self._is_part:
            return None
        return CATCH_UP if self._has_missed else GATHER

    def _all_gathered(self) -> Iterator[tuple[KeyChange, ...]]:
        """Take what is gathered, and yield it a revision at a time."""
        gathered, self._gathered = self._gathered, {}
        self._has_missed = False
        self._told = list(self._heard)
        for revision in sorted(gathered):
            yield tuple(gathered[revision].values())

    def _take(self, answer: pb.WatchResponse | None) -> None:
        """Keep what an answer tells. Raises StoreError for one that ends the watch."""
        if answer is None:  # grpc's word for bytes that are no message
            raise StoreError("an answer cannot be read")
        at = answer.watch_id - 1
        if answer.canceled or not 0 <= at < len(self._prefixes):
            raise _ended(answer)
        now = answer.header.revision
        if answer.created:
            if now < self._told[at]:  # it was restored from a copy, or is another one
                raise CompactedError(now)
            self._has_missed |= now > self._told[at]
        for event in answer.events:
            change = _change(event)
            self._gathered.setdefault(change.revision, {})[change.key] = change
            self._heard[at] = max(self._heard[at], change.revision)
        self._is_part = answer.fragment
        if not answer.events and not answer.created:
            self._heard[at] = max(self._heard[at], now)
            if not self._gathered:
                self._told[at] = self._heard[at]


def _begin(prefix: str, number: int, revision: int) -> pb.WatchRequest:
    return pb.WatchRequest(
        create_request=pb.WatchCreateRequest(
            key=prefix.encode("utf-8", "surrogateescape"),
            range_end=end_of(prefix),
            start_revision=revision,
            progress_notify=True,
            watch_id=number,
            fragment=True,
        )
    )


def _ended(answer: pb.WatchResponse) -> StoreError:
    """Return why a watch has ended."""
    if answer.compact_revision:
        return CompactedError(answer.compact_revision)
    if not answer.canceled:
        return StoreError("it tells of what it was not asked about")
    kind = StoreRefusedError if _REFUSED in answer.cancel_reason else StoreError
    return kind(answer.cancel_reason[:LONGEST] or "it has ended the watch")


def _change(event: pb.Event) -> KeyChange:
    entry = entry_of(event.kv)
    is_gone = event.type == pb.Event.DELETE
    return KeyChange(entry.key, None if is_gone else entry, entry.changed)


def entry_of(key: pb.KeyValue) -> StoredEntry:
    """Return a key with its value as a ``Store`` has it."""
    name = key.key.decode("utf-8", "surrogateescape")
    return StoredEntry(name, key.value, key.create_revision, key.mod_revision, key.lease)


def end_of(prefix: str) -> bytes:
    """Return the key behind the last that begins with ``prefix``, as ranges of etcd's have it."""
    key = prefix.encode("utf-8", "surrogateescape").rstrip(b"\xff")
    return key[:-1] + bytes([key[-1] + 1]) if key else b"\0"
