# SPDX-License-Identifier: Apache-2.0
"""What a watch makes of etcd's answers, whatever these are."""

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc.aio
import pytest

from kmodctl.fleet import etcd_rpc_pb2 as pb
from kmodctl.fleet.etcd_failures import StoreRefusedError
from kmodctl.fleet.etcd_watch import Watching, end_of
from kmodctl.fleet.store import CompactedError, StoreError
from tests.support.daemon import START

A, B = 1, 2
"""The numbers of the watchers of the two prefixes."""


class PlayedCall:
    """A stream that has so many answers; then it ends, or with ``stays`` it has no more to say."""

    def __init__(self, answers: Iterable[pb.WatchResponse | None], *, stays: bool) -> None:
        self._answers = list(answers)
        self._stays = stays
        self.begun: list[tuple[bytes, int]] = []

    def __call__(self, *, metadata: object) -> "PlayedCall":
        assert metadata == (("hasleader", "true"),)
        return self

    async def write(self, request: pb.WatchRequest) -> None:
        create = request.create_request
        self.begun.append((create.key, create.start_revision))

    async def read(self) -> Any:
        if not self._answers and self._stays:
            await asyncio.Event().wait()
        return self._answers.pop(0) if self._answers else grpc.aio.EOF

    def cancel(self) -> None:
        self._answers = []


def answer(number: int, *events: tuple[str, int], now: int = 0, **more: Any) -> pb.WatchResponse:
    """Return what a watcher is told: keys that have changed, each with its revision."""
    return pb.WatchResponse(
        header=pb.ResponseHeader(revision=now or max((at for _, at in events), default=0)),
        watch_id=number,
        events=[
            pb.Event(kv=pb.KeyValue(key=key.encode(), mod_revision=revision))
            for key, revision in events
        ],
        **more,
    )


def told(
    watching: Watching, *answers: pb.WatchResponse | None, count: int = 0
) -> tuple[PlayedCall, list[tuple[int, list[str]]]]:
    """Return a call with these answers, and its first changes: a revision and keys each."""
    call = PlayedCall(answers, stays=count > 0)

    async def take() -> list[tuple[int, list[str]]]:
        found = []
        async for changes in watching.changes(call):
            assert len({each.revision for each in changes}) == 1
            found.append((changes[0].revision, [each.key for each in changes]))
            if len(found) == count:
                break
        return found

    return call, asyncio.run(asyncio.wait_for(take(), START))


def test_a_revision_comes_whole_however_many_answers_it_is_in() -> None:
    watching = Watching(["/a/", "/b/"], 5)
    call, found = told(
        watching,
        answer(A, now=5, created=True),
        answer(B, now=5, created=True),
        answer(A, ("/a/1", 6), fragment=True),
        answer(A, ("/a/2", 6), ("/a/1", 7)),
        answer(B, ("/b/1", 6)),
        count=2,
    )
    assert call.begun == [(b"/a/", 6), (b"/b/", 6)]
    assert found == [(6, ["/a/1", "/a/2", "/b/1"]), (7, ["/a/1"])]


def test_what_was_not_told_to_the_end_is_asked_for_again() -> None:
    watching = Watching(["/a/", "/b/"], 5)
    begun = (answer(A, now=5, created=True), answer(B, now=5, created=True))
    told(watching, *begun, answer(A, ("/a/1", 6)), count=1)
    told(watching, answer(B, now=9), answer(A, ("/a/2", 10), fragment=True))
    call, _ = told(watching)
    assert call.begun == [(b"/a/", 7), (b"/b/", 10)]


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (None, StoreError, "an answer cannot be read"),
        (answer(3, ("/a/1", 6)), StoreError, "tells of what it was not asked about"),
        (answer(0), StoreError, "tells of what it was not asked about"),
        (answer(A, canceled=True), StoreError, "has ended the watch"),
        (answer(A, canceled=True, cancel_reason="x" * 900), StoreError, "^x{200}$"),
        (
            answer(A, canceled=True, cancel_reason="etcdserver: permission denied"),
            StoreRefusedError,
            "permission denied",
        ),
        (answer(A, canceled=True, compact_revision=8), CompactedError, "before revision 8"),
        (answer(B, now=4, created=True), CompactedError, "before revision 4"),
    ],
)
def test_an_answer_that_is_wrong_ends_the_watch(
    wrong: pb.WatchResponse | None, error: type[StoreError], words: str
) -> None:
    with pytest.raises(error, match=words):
        told(Watching(["/a/", "/b/"], 5), answer(A, now=5, created=True), wrong)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("/a/", b"/a0"), ("a", b"b"), ("a\udcff", b"b"), ("\udcff", b"\0"), ("", b"\0")],
)
def test_a_prefix_ends_before_the_next_key(prefix: str, end: bytes) -> None:
    assert end_of(prefix) == end
