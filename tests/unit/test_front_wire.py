# SPDX-License-Identifier: Apache-2.0
"""The frames between the front and the daemon, and what the daemon makes of wrong ones."""

import os
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.front.wire import (
    CREDITS,
    REQUEST_MAX,
    Frame,
    FrameKind,
    Opening,
    Status,
    Wire,
    WireError,
)
from kmodd.v1 import module_service_pb2 as pb
from tests.support.played_front import PlayedFront, ServedCore
from tests.support.small_tree import empty_tree

LIST = "/kmodd.v1.ModuleService/ListModules"
WATCH = "/kmodd.v1.ModuleService/WatchModules"
INSERT = "/kmodd.v1.ModuleService/InsertModule"

HEAD = struct.Struct("<BIQ")


def pair(largest: int = REQUEST_MAX) -> tuple[Wire, socket.socket]:
    ours, its = socket.socketpair()
    return Wire(ours, largest), its


def test_frames_arrive_as_they_were_sent() -> None:
    one, other = socket.socketpair()
    sending, receiving = Wire(one, REQUEST_MAX), Wire(other, REQUEST_MAX)
    opening = Opening(7, LIST, "a token")
    status = Status(5, "es gibt keins: ä", b"\0details")
    sending.send(FrameKind.OPEN, 1, opening.packed(), Frame(FrameKind.HALF_CLOSE, 1))
    sending.send(FrameKind.STATUS, 2**40, status.packed())
    sending.close()
    frames = list(receiving.frames())
    assert frames == [
        Frame(FrameKind.OPEN, 1, opening.packed()),
        Frame(FrameKind.HALF_CLOSE, 1),
        Frame(FrameKind.STATUS, 2**40, status.packed()),
    ]
    assert Opening.unpacked(frames[0].payload) == opening
    assert Status.unpacked(frames[2].payload) == status
    receiving.close()


@pytest.mark.parametrize(
    "data",
    [
        HEAD.pack(0, 0, 1),
        HEAD.pack(99, 0, 1),
        HEAD.pack(FrameKind.MESSAGE, REQUEST_MAX + 1, 1),
        HEAD.pack(FrameKind.MESSAGE, 0xFFFFFFFF, 1),
    ],
)
def test_what_is_no_frame_is_refused_before_it_is_read(data: bytes) -> None:
    wire, its = pair()
    its.sendall(data)
    with pytest.raises(WireError):
        next(wire.frames())
    its.close()
    wire.close()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0" * 11, Opening(1, "/a", "").packed()[:-1], b"\0" * 8 + b"\2\0\0\0\xff\xfe"],
)
def test_what_is_no_opening_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        Opening.unpacked(payload)


@contextmanager
def played(root: Path, caller: Caller = DAEMON) -> Iterator[PlayedFront]:
    core = ServedCore(empty_tree(root))
    found = PlayedFront(core, caller)
    try:
        yield found
    finally:
        found.close()
        core.close()


def test_a_call_is_answered_and_its_status_follows(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        front.ask(1, LIST)
        answer, status = next(front.frames), next(front.frames)
        assert (answer.kind, status.kind) == (FrameKind.MESSAGE, FrameKind.STATUS)
        assert pb.ListModulesResponse.FromString(answer.payload).epoch
        assert Status.unpacked(status.payload) == Status(0, "", b"")


def test_a_failure_has_its_details(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        request = pb.RemoveModuleRequest(name="gone").SerializeToString()
        front.ask(1, "/kmodd.v1.ModuleService/RemoveModule", request)
        status = front.status_of(1)
        assert (status.code, b"ErrorInfo" in status.details) == (5, True)


def test_only_what_the_connection_may_is_done(tmp_path: Path) -> None:
    with played(tmp_path, Caller("/s", Role.OBSERVER)) as front:
        front.ask(1, "/kmodd.v1.ModuleService/RemoveModule")
        assert "refused to the observer socket /s" in front.status_of(1).message


@pytest.mark.parametrize("connection", [0, 2, 2**63])
def test_a_connection_that_was_never_given_has_no_role(tmp_path: Path, connection: int) -> None:
    with played(tmp_path) as front:
        front.open(1, LIST, connection=connection)
        assert front.status_of(1).code == 7


def test_a_method_that_nobody_serves_is_not_there(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        front.open(1, "/kmodd.v1.ModuleService/NoSuch")
        assert front.status_of(1).code == 12


def test_answers_wait_for_credit(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        front.ask(1, WATCH)
        told = [next(front.frames).kind for _ in range(2)]
        assert told == [FrameKind.INITIAL, FrameKind.MESSAGE]
        front.front.send(FrameKind.OVER, 1)
        front.ask(2, LIST)
        assert front.status_of(2).code == 0


def test_a_client_that_has_gone_ends_what_waits_for_its_requests(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        front.open(1, INSERT)
        front.front.send(FrameKind.OVER, 1)
        front.open(2, LIST)  # and this one with the wire


def test_what_the_front_kept_is_told(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        front.front.send(FrameKind.READY, 0, b"no capabilities: \xff\nno files: x")
        front.ask(1, LIST)
        assert front.status_of(1).code == 0
        assert len(front.refused) == 2


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(FrameKind.OPEN, 1, b"")],
        [Frame(FrameKind.OPEN, 1, Opening(1, INSERT, "").packed())] * 2,
        [Frame(FrameKind.OPEN, 1, Opening(1, INSERT, "").packed()), Frame(FrameKind.STATUS, 1)],
        [Frame(FrameKind.OPEN, 1, Opening(1, INSERT, "").packed()), Frame(FrameKind.INITIAL, 1)],
        [Frame(FrameKind.OPEN, n, Opening(1, INSERT, "").packed()) for n in range(60)],
    ],
    ids=["no opening", "twice", "a status", "metadata", "too many"],
)
def test_a_frame_that_was_not_to_come_ends_the_front(tmp_path: Path, frames: list[Frame]) -> None:
    with played(tmp_path) as front:
        first, *more = frames
        front.front.send(first.kind, first.stream, first.payload, *more)
        front.thread.join(30)
        assert not front.thread.is_alive()
        assert [type(each) for each in front.raised] == [WireError]


def test_a_front_that_is_full_may_be_late_with_the_end_of_calls(tmp_path: Path) -> None:
    with played(tmp_path) as front:
        for stream in range(30):  # of 24 that there may be, and nobody says that one is over
            front.ask(stream, LIST)
            assert front.status_of(stream).code == 0
        assert front.thread.is_alive()


def test_more_requests_than_there_is_credit_for_end_the_front(tmp_path: Path) -> None:
    with played(tmp_path, Caller("/s", Role.OBSERVER)) as front:
        front.calls.draining.set()
        front.open(1, INSERT)  # which is refused before it is read
        front.status_of(1)
        for _ in range(CREDITS + 2):
            front.front.send(FrameKind.MESSAGE, 1, b"x")
        front.thread.join(30)
        assert not front.thread.is_alive()
        assert [type(each) for each in front.raised] == [WireError]


def test_bytes_by_chance_end_the_front_and_nothing_else(tmp_path: Path) -> None:
    randomness = random.Random(1)
    for number in range(20):
        with played(tmp_path / str(number)) as front:
            data = b"".join(
                HEAD.pack(randomness.randrange(0, 10), length := randomness.randrange(0, 60), 1)
                + os.urandom(length)
                for _ in range(50)
            )
            front.end.sendall(data)
            front.end.shutdown(socket.SHUT_WR)
            front.thread.join(30)
            assert not front.thread.is_alive()
