# SPDX-License-Identifier: Apache-2.0
"""What strangers can make the front and the daemon bear, with real bytes over real sockets."""

import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from kmodctl import Client
from kmodd.host.descriptors import connections
from kmodd.settings import Limits
from kmodd.v1.errors_pb2 import ERROR_REASON_MODULE_NOT_FOUND as NOT_FOUND
from tests.functional.test_front import GROWTH, LIST, SETTINGS, WATCH, answers, place, resident
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import Flag, Kind, RawConnection, frame
from tests.support.tree import ModuleTree

BOMBS, CALLS = 16, 32
"""Connections that send a bomb each, and the calls of each: together they take more memory than a
front has."""


THREADS, READS = 8, 50

NAMES, ASKED = 1024, 512
"""The names of one call, and such calls."""

WIDE = 1 << 30
"""Bytes that a watch may send unasked: more than it tells while strangers do what they can."""

CROWD = 18_000
"""Connections that may cost no more than that all together, on a machine that allows so many."""

OVERFLOW = 200
"""Connections beyond what a socket may have."""


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


@contextmanager
def undisturbed(daemon: Daemon) -> Iterator[None]:
    """An admin's hold, watch and calls go on within the context, and the daemon grows by little."""
    assert answers(daemon)
    assert answers(daemon, "loader")
    with (
        daemon.client() as admin,
        admin.hold("hello"),
        RawConnection(daemon.socket, window=WIDE) as watching,
        ThreadPoolExecutor(1) as reader,
    ):
        watching.send(frame(Kind.WINDOW_UPDATE, (WIDE - 65535).to_bytes(4, "big")))
        watch = watching.call(WATCH)
        watching.await_answer(watch)
        told = reader.submit(is_told, watching, watch, b"world")
        before = resident(daemon.process.pid)
        yield
        assert resident(daemon.process.pid) - before < GROWTH
        assert len(admin.list_holds()) == 1
        admin.load("world")
        assert told.result()


def is_told(connection: RawConnection, stream: int, word: bytes) -> bool:
    """Read until a stream tells of something; False where it ends before.

    One who does not read is cut off after a while.
    """
    for kind, flags, of, payload in connection.whole_frames():
        if of == stream and kind == Kind.DATA and word in payload:
            return True
        if of == stream and flags & Flag.END_STREAM and kind in (Kind.DATA, Kind.HEADERS):
            return False
    return False


def is_answered(connection: RawConnection) -> bool:
    """Tell whether a call on a connection succeeds; those that came before it are served, too."""
    return b"grpc-status\x010" in connection.end_of(connection.call(LIST))


def test_a_crowd_of_connections_has_its_part_and_costs_the_daemon_little(daemon: Daemon) -> None:
    """As many as the machine's limit on open files lets a socket have, up to 16,384."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    most = min(connections(Limits().connections, sockets=3), limit[1] // 2)
    try:
        with undisturbed(daemon), ExitStack() as crowd:
            path = place(daemon, "observer")
            few = [crowd.enter_context(RawConnection(path)) for _ in range(most // 10)]
            assert is_answered(few[-1])
            before = resident(daemon.process.pid)
            many = [crowd.enter_context(RawConnection(path)) for _ in range(most - len(few))]
            assert is_answered(many[-1])
            grown = resident(daemon.process.pid) - before
            assert grown / len(many) * CROWD < GROWTH
            assert is_answered(few[0])
            for _ in range(OVERFLOW):
                with suppress(BrokenPipeError), RawConnection(path) as late:
                    assert late.closed()
            assert answers(daemon, "loader")
        assert "the front has ended" not in daemon.log.read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_threads_that_read_what_is_most_cost_the_daemon_nothing(daemon: Daemon) -> None:
    def read(path: str) -> int:
        with Client(path) as client:
            for _ in range(READS):
                client.list_modules()
                list(client.list_trees())
                list(client.configuration())
            return READS

    with undisturbed(daemon), ThreadPoolExecutor(THREADS) as pool, daemon.client() as admin:
        reading = [pool.submit(read, str(place(daemon, "observer"))) for _ in range(THREADS)]
        while not all(each.done() for each in reading):
            admin.list_modules()
        assert [each.result() for each in reading] == [READS] * THREADS


def test_names_that_nobody_knows_cost_the_daemon_nothing(modules_root: ModuleTree) -> None:
    names = [f"nobody-{number}" for number in range(NAMES)]
    settings = SETTINGS.replace('allow = ["hello", "world"]', 'allow = ["*"]')

    def ask(path: str) -> int:
        with Client(path) as client:
            for _ in range(ASKED // THREADS):
                results = client.load(*names)
                assert {each.failure.reason for each in results} == {NOT_FOUND}
                assert len(results) == NAMES
        return ASKED // THREADS

    with running_daemon(modules_root.root, place="admin/s", settings=settings) as daemon:
        for name in ("observer", "loader"):
            wait_until(place(daemon, name).exists)
        with undisturbed(daemon), ThreadPoolExecutor(THREADS) as pool:
            asking = [pool.submit(ask, str(place(daemon, "loader"))) for _ in range(THREADS)]
            assert sum(each.result() for each in asking) == ASKED
