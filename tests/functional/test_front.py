# SPDX-License-Identifier: Apache-2.0
"""The front: what those send who are no admins is read apart, by a process that may die."""

import os
import signal
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from kmodctl import CallError, Client, NoDaemonError
from kmodd.front_server import STREAMS
from kmodd.v1 import daemon_service_pb2, module_service_pb2
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import PREFACE, Flag, Kind, RawConnection, frame
from tests.support.tree import ModuleTree

SETTINGS = """
[[socket]]
path = "@/observer/s"
role = "observer"
mode = 0o600

[[socket]]
path = "@/loader/s"
role = "loader"
allow = ["hello", "world"]

[[socket]]
path = "@/admin/s"
"""

LIST = "/kmodd.v1.ModuleService/ListModules"
WATCH = "/kmodd.v1.ModuleService/WatchModules"
STATUS = "/kmodd.v1.DaemonService/GetStatus"

GROWTH = 20 << 20
"""Bytes that the daemon's memory may grow by, whatever strangers send."""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with running_daemon(modules_root.root, place="admin/s", settings=SETTINGS) as running:
        for name in ("observer", "loader"):
            wait_until(place(running, name).exists)
        yield running


def place(daemon: Daemon, name: str) -> Path:
    return daemon.socket.parents[1] / name / "s"


def resident(pid: int) -> int:
    """Return the bytes of a process's memory that are in use (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def answers(daemon: Daemon, name: str = "observer") -> bool:
    """Tell whether somebody new is answered at a socket."""
    with suppress(NoDaemonError), Client(str(place(daemon, name)), timeout=30) as client:
        client.list_modules()
        return True
    return False


def test_only_the_front_reads_what_an_observer_sends(daemon: Daemon) -> None:
    front = daemon.front_pid()
    os.kill(front, signal.SIGSTOP)
    try:
        with RawConnection(place(daemon, "observer")) as raw, daemon.client() as admin:
            asked = raw.call(LIST)
            admin.load("hello")  # who needs no front
            os.kill(front, signal.SIGCONT)
            raw.await_answer(asked)
            assert b"grpc-status\x010" in raw.end_of(asked)
    finally:
        os.kill(front, signal.SIGCONT)


def test_the_front_has_no_rights(daemon: Daemon) -> None:
    assert answers(daemon)
    status = status_of(daemon.front_pid())
    for each in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[each], 16) == 0, each
    assert status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert "0" not in status["Uid"].split()
        assert "0" not in status["Gid"].split()
        assert status["Groups"] == ""


def test_a_front_that_is_killed_is_started_anew_and_nobody_else_notices(daemon: Daemon) -> None:
    with (
        daemon.client() as admin,
        admin.hold("hello"),
        RawConnection(daemon.socket) as watching,
    ):
        watch = watching.call(WATCH)
        watching.await_answer(watch)
        for _ in range(3):
            front = daemon.front_pid()
            with RawConnection(place(daemon, "observer")) as raw:
                raw.await_answer(raw.call(WATCH))
                os.kill(front, signal.SIGKILL)
                assert raw.closed()
            wait_until(lambda before=front: daemon.front_pid() != before)  # type: ignore[misc]
            assert answers(daemon)
        assert len(admin.list_holds()) == 1
        admin.load("world")
        assert {each.name for each in admin.list_modules()} == {"hello", "world", "greet"}
        for kind, stream, payload in watching.frames():
            if (kind, stream) == (Kind.DATA, watch) and b"world" in payload:
                break
    assert daemon.log.read_text().count("the front has ended") == 3


def test_who_connects_while_there_is_no_front_waits_for_it(daemon: Daemon) -> None:
    os.kill(daemon.front_pid(), signal.SIGKILL)
    wait_until(lambda: "the front has ended" in daemon.log.read_text())
    with ExitStack() as crowd:
        path = place(daemon, "observer")
        waiting = [crowd.enter_context(RawConnection(path)) for _ in range(50)]
        asked = [raw.call(LIST) for raw in waiting]
        for raw, stream in zip(waiting, asked, strict=True):
            assert b"grpc-status\x010" in raw.end_of(stream)


def test_a_hold_of_a_loader_ends_with_the_front_and_is_released(daemon: Daemon) -> None:
    with daemon.client() as admin:
        request = module_service_pb2.HoldModulesRequest(
            load=module_service_pb2.LoadModulesRequest(names=["hello"]), unload=True
        )
        with RawConnection(place(daemon, "loader")) as raw:
            held = raw.call("/kmodd.v1.ModuleService/HoldModules", request.SerializeToString())
            raw.await_answer(held)
            assert len(admin.list_holds()) == 1
            os.kill(daemon.front_pid(), signal.SIGKILL)
            wait_until(lambda: not admin.list_holds())
            wait_until(lambda: not admin.list_modules())


def bomb(path: Path, streams: int) -> None:
    """Begin calls with 16,000 fields each, which are references of one byte to the table's last."""
    with RawConnection(path) as raw, suppress(BrokenPipeError, ConnectionResetError):
        for number in range(streams):
            fields = raw.fields_of(LIST) + (b"\x40\x01a\x01b" if number == 0 else b"")
            raw.send(frame(Kind.HEADERS, fields, 2 * number + 1))
            more = frame(Kind.CONTINUATION, b"\xbe" * 16000, 2 * number + 1, Flag.END_HEADERS)
            raw.send(more)
        raw.send(frame(Kind.PING, bytes(8)))
        for kind, _, _ in raw.frames():
            if kind == Kind.PING:  # it has read all of it
                return


@pytest.mark.parametrize("name", ["observer", "loader"])
def test_a_bomb_of_headers_costs_the_daemon_nothing(daemon: Daemon, name: str) -> None:
    assert answers(daemon, name)
    with daemon.client() as admin, admin.hold("hello"):
        before = resident(daemon.process.pid)
        for _ in range(4):
            bomb(place(daemon, name), 100)
        assert resident(daemon.process.pid) - before < GROWTH
        assert len(admin.list_holds()) == 1
    wait_until(lambda: answers(daemon, name))


def test_floods_of_frames_cost_the_daemon_nothing(daemon: Daemon) -> None:
    assert answers(daemon)
    before = resident(daemon.process.pid)
    headers = b"\x83\x86\x44\x02/x"
    with daemon.client() as admin:
        for flood in (
            [frame(Kind.PING, bytes(8))] * 20000,
            [frame(Kind.SETTINGS, b"")] * 20000,
            [
                frame(Kind.HEADERS, headers, 2 * number + 1, Flag.END_HEADERS)
                + frame(Kind.RST_STREAM, struct.pack(">I", 8), 2 * number + 1)
                for number in range(20000)
            ],
            [frame(Kind.HEADERS, headers, 1)] + [frame(Kind.CONTINUATION, b"", 1)] * 20000,
            [frame(Kind.WINDOW_UPDATE, struct.pack(">I", 1))] * 20000,
        ):
            with RawConnection(place(daemon, "observer")) as raw:
                with suppress(BrokenPipeError, ConnectionResetError):
                    for at in range(0, len(flood), 500):
                        raw.send(b"".join(flood[at : at + 500]))
                admin.list_modules()
    assert resident(daemon.process.pid) - before < GROWTH
    wait_until(lambda: answers(daemon))


def test_a_connection_has_so_many_calls_at_a_time(daemon: Daemon) -> None:
    with RawConnection(place(daemon, "observer")) as raw:
        settings = dict(
            struct.unpack_from(">HI", payload, at)
            for kind, _, payload in [next(raw.frames())]
            if kind == Kind.SETTINGS
            for at in range(0, len(payload), 6)
        )
    assert settings[3] == STREAMS  # SETTINGS_MAX_CONCURRENT_STREAMS


def test_a_deadline_ends_the_call_and_a_client_that_goes_is_noticed(daemon: Daemon) -> None:
    with daemon.client() as admin:
        loader = str(place(daemon, "loader"))
        with Client(loader) as client, client.hold("hello"), Client(loader, timeout=0.3) as late:
            with pytest.raises(CallError) as caught:
                late.unload("hello", wait=Duration(seconds=60))
            assert caught.value.reason == "DEADLINE_EXCEEDED"
            wait_until(lambda: not admin.list_operations())
        with RawConnection(place(daemon, "observer")) as raw:
            raw.await_answer(raw.call(WATCH))
            wait_until(lambda: admin.status().watch_count == 1)
        wait_until(lambda: admin.status().watch_count == 0)


def test_an_answer_that_is_longer_than_a_frame_of_http2_arrives_whole(daemon: Daemon) -> None:
    with Client(str(place(daemon, "observer"))) as client, daemon.client() as admin:
        assert list(client.configuration()) == list(admin.configuration())
        assert list(client.list_trees()) == list(admin.list_trees())


def test_failures_carry_their_details(daemon: Daemon) -> None:
    with Client(str(place(daemon, "loader"))) as client, daemon.client() as admin:
        found = []
        for each in (client, admin):
            with pytest.raises(CallError) as caught:
                each.remove("hello")
            error = caught.value
            found.append((error.reason, error.message, error.errno, error.module))
        assert found[0] == found[1]


def test_bytes_that_are_no_http2_end_their_connection_alone(daemon: Daemon) -> None:
    with RawConnection(place(daemon, "observer")) as good:
        for data in (b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 100, os.urandom(1 << 16)):
            with RawConnection(place(daemon, "observer"), preface=False) as raw:
                with suppress(BrokenPipeError, ConnectionResetError):
                    raw.send(data)
                assert raw.closed()
        answer, _ = good.answer(STATUS)
    assert daemon_service_pb2.GetStatusResponse.FromString(answer).pid == daemon.process.pid


def test_the_front_ends_with_the_daemon(daemon: Daemon) -> None:
    front = daemon.front_pid()
    daemon.process.kill()
    daemon.process.wait()
    wait_until(lambda: not Path(f"/proc/{front}").exists() or "Z" in status_of(front)["State"])


def test_a_signal_that_is_meant_for_the_daemon_is_left_to_it(daemon: Daemon) -> None:
    with RawConnection(place(daemon, "observer")) as raw:
        raw.await_answer(raw.call(WATCH))
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(daemon.front_pid(), each)
        assert b"grpc-status\x010" in raw.end_of(raw.call(LIST))
    assert "the front has ended" not in daemon.log.read_text()


def test_a_daemon_for_admins_alone_has_no_front(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        client.list_modules()
        assert daemon.children("kmodd.front.process") == []


def test_a_client_that_takes_no_answer_or_sends_no_request_is_cut_off(
    modules_root: ModuleTree,
) -> None:
    limits = "[limits]\nclient_idle = 1.0\nconcurrent_calls = 8\n"
    with running_daemon(modules_root.root, place="admin/s", settings=SETTINGS + limits) as daemon:
        wait_until(place(daemon, "observer").exists)
        with (
            RawConnection(place(daemon, "observer"), window=0) as deaf,
            RawConnection(place(daemon, "observer")) as dumb,
        ):
            for _ in range(3):
                deaf.call(LIST)
                last = dumb.begin(LIST)
            assert b"its client kept the call waiting" in dumb.end_of(last)
            wait_until(lambda: daemon.log.read_text().count("kept the call waiting") >= 6)
            for _ in range(20):
                assert answers(daemon)
