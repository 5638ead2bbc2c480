# SPDX-License-Identifier: Apache-2.0
"""What strangers can make the front and the daemon bear, with real bytes over real sockets."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.functional.test_front import LIST, SETTINGS, WATCH, answers, place
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import Flag, Kind, RawConnection, frame
from tests.support.tree import ModuleTree

BOMBS, CALLS = 16, 32
"""Connections that send a bomb each, and the calls of each: together they take more memory than a
front has."""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with running_daemon(modules_root.root, place="admin/s", settings=SETTINGS) as running:
        for name in ("observer", "loader"):
            wait_until(place(running, name).exists)
        yield running


def hold_a_bomb(path: Path, over: threading.Event) -> None:
    """Send headers of 16,000 fields for each call, and stay."""
    with suppress(OSError), RawConnection(path) as raw:
        for number in range(CALLS):
            fields = raw.fields_of(LIST) + (b"\x40\x01a\x01b" if number == 0 else b"")
            raw.send(frame(Kind.HEADERS, fields, 2 * number + 1))
            more = frame(Kind.CONTINUATION, b"\xbe" * 16000, 2 * number + 1, Flag.END_HEADERS)
            raw.send(more)
        over.wait()


def test_where_memory_is_short_those_go_that_cost_most_and_it_is_said(daemon: Daemon) -> None:
    front = daemon.front_pid()
    over = threading.Event()
    with (
        daemon.client() as admin,
        RawConnection(place(daemon, "observer")) as old,
        RawConnection(daemon.socket) as told,
        ExitStack() as ending,
    ):
        watch, events = old.call(WATCH), told.call(WATCH)
        old.await_answer(watch)
        told.await_answer(events)
        ending.callback(over.set)
        for _ in range(BOMBS):
            arguments = (place(daemon, "observer"), over)
            bomb = threading.Thread(target=hold_a_bomb, args=arguments)
            bomb.start()
            ending.callback(bomb.join)
            ending.callback(over.set)
        wait_until(lambda: "is ended: it cost" in daemon.log.read_text())
        for kind, stream, payload in told.frames():
            if (kind, stream) == (Kind.DATA, events) and b"of memory, which is short" in payload:
                break
        admin.load("world")
        for kind, stream, payload in old.frames():
            assert b"of memory, which is short" not in payload  # that is no observer's
            if (kind, stream) == (Kind.DATA, watch) and b"world" in payload:
                break
        else:
            pytest.fail("one who cost little was ended")
    assert "the front has ended" not in daemon.log.read_text()
    assert daemon.front_pid() == front
    assert "action=end-connection" in daemon.log.read_text()
    wait_until(lambda: answers(daemon))
