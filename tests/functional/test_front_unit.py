# SPDX-License-Identifier: Apache-2.0
"""A front that a service manager starts: whom the daemon speaks to, and what it does without."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kmodd.front.wire import GREETING
from tests.functional.test_front import LIST, SETTINGS, answers, place, status_of
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.front_unit import FRONT, FrontUnit, front_socket, front_unit
from tests.support.http2 import RawConnection
from tests.support.require import require
from tests.support.tree import ModuleTree

STRANGER = 54321

SPEAKING = """
import os, socket, sys
listening, uid, word = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
if uid:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
connected, _ = listening.accept()
connected.sendall(word.encode())
print(len(connected.recv(1 << 16)), flush=True)
"""
"""Somebody answers at a front's socket, and says how many bytes he was told then."""

LISTENING = """
import os, socket, sys
path, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listening.bind(path)
listening.listen()
print("listens", flush=True)
connected, _ = listening.accept()
print(len(connected.recv(1 << 16)), flush=True)
"""
"""The same, at a socket of his own."""


@pytest.fixture
def unit() -> Iterator[FrontUnit]:
    with front_unit() as waiting:
        yield waiting


@contextmanager
def serving(tree: ModuleTree, front: Path) -> Iterator[Daemon]:
    words = ("--front", str(front))
    with running_daemon(tree.root, *words, place="admin/s", settings=SETTINGS) as daemon:
        for name in ("observer", "loader"):
            wait_until(place(daemon, name).exists)
        yield daemon


def children(daemon: Daemon) -> list[int]:
    return daemon.children("kmodd.front.process")


def test_what_an_observer_sends_is_read_by_the_unit(
    modules_root: ModuleTree, unit: FrontUnit
) -> None:
    with serving(modules_root, unit.place) as daemon:
        assert answers(daemon)
        assert (unit.starts, children(daemon)) == (1, [])
        front = unit.front_pid()
        said = f"is read by kmodd-public.service (uid {os.geteuid()}, pid {front} "
        assert said in daemon.log.read_text()
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


def test_a_front_of_the_units_has_no_rights_either(
    modules_root: ModuleTree, unit: FrontUnit
) -> None:
    with serving(modules_root, unit.place) as daemon:
        assert answers(daemon)
        status = status_of(unit.front_pid())
        assert [int(status[each], 16) for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [
            0
        ] * 4
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_one_that_is_killed_is_followed_by_another_and_nobody_is_refused(
    modules_root: ModuleTree, unit: FrontUnit
) -> None:
    with serving(modules_root, unit.place) as daemon, daemon.client() as admin:
        assert answers(daemon)
        with admin.hold("hello"):
            for _ in range(3):
                before = unit.front_pid()
                os.kill(before, signal.SIGKILL)
                assert answers(daemon)
                assert unit.front_pid() != before
            assert len(admin.list_holds()) == 1
        assert (unit.starts, children(daemon)) == (1, [])
        assert daemon.log.read_text().count("the front has ended") == 3


def test_a_unit_that_is_killed_is_started_anew_and_nobody_is_refused(
    modules_root: ModuleTree, unit: FrontUnit
) -> None:
    with serving(modules_root, unit.place) as daemon, daemon.client() as admin:
        assert answers(daemon)
        with admin.hold("hello"):
            front = unit.front_pid()
            os.kill(unit.pid(), signal.SIGKILL)
            os.kill(front, signal.SIGKILL)  # as systemd does
            assert answers(daemon)
            assert len(admin.list_holds()) == 1
        assert (unit.starts, children(daemon)) == (2, [])


def test_a_front_ends_with_its_daemon_and_its_unit_serves_the_next(
    modules_root: ModuleTree, unit: FrontUnit
) -> None:
    fronts = []
    for _ in range(2):
        with serving(modules_root, unit.place) as daemon:
            assert answers(daemon)
            fronts.append(unit.front_pid())
        wait_until(lambda: not Path(f"/proc/{fronts[-1]}").exists())
    assert unit.starts == 1
    assert len(set(fronts)) == 2


def test_more_connections_than_a_socket_has_room_for_wait_for_a_front(
    modules_root: ModuleTree,
) -> None:
    with (
        front_socket() as listening,
        serving(modules_root, Path(listening.getsockname())) as daemon,
        ExitStack() as crowd,
    ):
        path = place(daemon, "observer")
        waiting = [crowd.enter_context(RawConnection(path)) for _ in range(600)]
        asked = [raw.call(LIST) for raw in waiting]
        unit = FrontUnit(listening)
        crowd.callback(unit.stop)
        for raw, stream in zip(waiting, asked, strict=True):
            assert b"grpc-status\x010" in raw.end_of(stream)


def test_where_nobody_listens_the_daemon_has_a_front_of_its_own(modules_root: ModuleTree) -> None:
    with front_socket() as listening:
        gone = Path(listening.getsockname())
    for front in (gone, gone.parent.parent / "never" / "made"):
        with serving(modules_root, front) as daemon:
            assert answers(daemon)
            assert len(children(daemon)) == 1
            said = f"{front}: No such file or directory: kmodd starts the front itself"
            assert said in daemon.log.read_text()


def test_once_a_unit_is_there_the_next_front_is_its(modules_root: ModuleTree) -> None:
    with front_socket() as listening:
        front = Path(listening.getsockname())
        front.rename(front.with_name("later"))
        with serving(modules_root, front) as daemon:
            assert answers(daemon)
            front.with_name("later").rename(front)
            (own,) = children(daemon)
            unit = FrontUnit(listening)
            try:
                os.kill(own, signal.SIGKILL)
                wait_until(lambda: unit.starts == 1)
                assert answers(daemon)
                assert children(daemon) == []
            finally:
                unit.stop()


@pytest.mark.parametrize(
    ("uid", "word", "why"),
    [
        (STRANGER, GREETING.decode(), f"uid {STRANGER}, pid "),
        (0, "a front, really", "it was no front that spoke"),
    ],
)
def test_somebody_else_at_the_socket_is_told_nothing(
    modules_root: ModuleTree, uid: int, word: str, why: str
) -> None:
    require(os.geteuid() == 0 or not uid, "only root can be somebody else")
    with front_socket() as listening:
        fd = listening.fileno()
        command = [sys.executable, "-c", SPEAKING, str(fd), str(uid), word]
        with (
            subprocess.Popen(command, pass_fds=(fd,), stdout=subprocess.PIPE) as stranger,
            serving(modules_root, Path(listening.getsockname())) as daemon,
            daemon.client() as admin,
        ):
            assert stranger.communicate(timeout=60)[0] == b"0\n"
            wait_until(lambda: f"front.sock is not spoken to: {why}" in daemon.log.read_text())
            admin.load("hello")
            assert children(daemon) == []


def test_a_socket_that_somebody_else_has_made_is_not_spoken_to(modules_root: ModuleTree) -> None:
    require(os.geteuid() == 0, "only root can be somebody else")
    place_of_his = Path("/tmp") / f"kmodd-test-{os.getpid()}-front"
    command = [sys.executable, "-c", LISTENING, str(place_of_his), str(STRANGER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"listens\n"
            with serving(modules_root, place_of_his) as daemon:
                assert stranger.communicate(timeout=60)[0] == b"0\n"
                said = f"{place_of_his} is not spoken to: uid {STRANGER} listens there"
                wait_until(lambda: said in daemon.log.read_text())
        finally:
            stranger.kill()
            place_of_his.unlink(missing_ok=True)


def test_a_daemon_whose_front_never_speaks_serves_admins_and_stops(
    modules_root: ModuleTree,
) -> None:
    with (
        front_socket() as listening,
        serving(modules_root, Path(listening.getsockname())) as daemon,
        daemon.client() as admin,
        RawConnection(place(daemon, "observer")) as waiting,
    ):
        waiting.call(LIST)
        admin.load("hello")
        assert daemon.stop() == 0
        assert waiting.closed()


def test_a_front_that_nobody_has_lent_a_socket_says_so() -> None:
    ran = subprocess.run(FRONT, capture_output=True, text=True, check=False)
    said = "kmodd: front is for kmodd-public.service: no socket is lent\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


def test_a_front_serves_nobody_but_root_and_its_own_user() -> None:
    require(os.geteuid() == 0, "only root can be somebody else")
    with front_unit() as unit:
        os.chmod(unit.place, 0o666)
        asking = (
            "import os, socket, sys; os.setresuid(54321, 54321, 54321);"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
            "s.connect(sys.argv[1]); print(s.recv(100))"
        )
        command = [sys.executable, "-c", asking, str(unit.place)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert ran.stdout == "b''\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as root:
            root.connect(str(unit.place))
            assert root.recv(100) == GREETING
