# SPDX-License-Identifier: Apache-2.0
"""Whom the client asks: root asks root's daemons, wherever the name of the socket comes from."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodctl.client import Client
from kmodctl.environment import _is_secure
from kmodctl.errors import KmodctlError, OthersDaemonError
from kmodctl.sockets import PUBLIC_SOCKET, SYSTEM_SOCKETS, _is_outside, candidates
from tests.support.here import run_here
from tests.support.require import require

PROJECT = Path(__file__).parents[2]

NOBODY = 65534

ROOTS_SOCKETS = tuple(path for path in SYSTEM_SOCKETS if path != PUBLIC_SOCKET)
"""Those of the system that root tries: not the one that may be there before a daemon is."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="kmodd-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@contextmanager
def listener(path: Path, user: int) -> Iterator[socket.socket]:
    """Who listens on ``path`` as ``user``, and says nothing."""
    require(os.geteuid() == 0, "being another user needs root")
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o666)
        os.seteuid(user)
        try:
            server.listen()
        finally:
            os.seteuid(0)
        yield server


def said(server: socket.socket) -> bytes:
    """What a client said that has come and gone."""
    server.settimeout(10)
    connection, _ = server.accept()
    with connection:
        connection.settimeout(10)
        return connection.recv(100)


def test_root_says_nothing_to_another_users_daemon(place: Path) -> None:
    path = place / "s"
    words = f"{path} is not asked: user {NOBODY} listens there, and root asks root's daemons alone"
    with listener(path, NOBODY) as server:
        for environment, line, program in (
            ({}, ["--socket", str(path), "lsmod"], "kmodctl"),
            ({"KMODD_SOCKET": str(path)}, ["lsmod"], "kmodctl"),
            ({"KMODD_SOCKET": str(path)}, ["hold", "x", "--", "true"], "kmodctl hold"),
        ):
            ran = run_here(None, "--timeout", "5", *line, **environment)
            assert (ran.status, ran.output, ran.errors) == (1, "", f"{program}: {words}\n")
            assert said(server) == b""


def test_a_program_of_roots_is_told_so_too(place: Path) -> None:
    with listener(place / "s", NOBODY) as server:
        with pytest.raises(OthersDaemonError) as raised:
            Client(str(place / "s"))
        assert (raised.value.socket, raised.value.user) == (str(place / "s"), NOBODY)
        assert isinstance(raised.value, KmodctlError)
        assert said(server) == b""


def test_root_asks_roots_daemon_and_another_user_whom_there_is(place: Path) -> None:
    with listener(place / "s", 0), listener(place / "t", NOBODY):
        Client(str(place / "s")).close()
        os.seteuid(NOBODY)
        try:
            Client(str(place / "s")).close()
            Client(str(place / "t")).close()
        finally:
            os.seteuid(0)


def test_root_passes_over_the_directory_that_su_has_left_and_says_so(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = place / "kmodd/kmodd.sock"
    with listener(own, 0):
        environment = {"XDG_RUNTIME_DIR": str(place)}
        assert candidates(None, environment) == (str(own),)
        os.chown(place, NOBODY, NOBODY)
        assert capfd.readouterr().err == ""
        assert candidates(None, environment) == ROOTS_SOCKETS
        assert capfd.readouterr().err == (
            f"kmodctl: {own} is passed over: $XDG_RUNTIME_DIR is user {NOBODY}'s, not root's\n"
        )
        os.seteuid(NOBODY)
        try:
            assert candidates(None, environment) == (str(own),)
            assert candidates(None, {}) == SYSTEM_SOCKETS
        finally:
            os.seteuid(0)
        own.unlink()
        assert candidates(None, environment) == ROOTS_SOCKETS
        assert capfd.readouterr().err == ""  # nothing was passed over


MACHINE = "         0          0 4294967295\n"
ONE = "         0       1000          1\n"
ROOTLESS = "         0       1000          1\n         1     100000      65536\n"
WITH_ROOT = "         0          0          1\n"


@pytest.mark.parametrize(
    ("uid_map", "process", "outside"),
    [
        (MACHINE, 7, False),
        (MACHINE, 0, False),
        ("", 0, False),
        (ONE, 7, True),
        (ONE, 0, True),
        (ROOTLESS, 7, False),
        (ROOTLESS, 0, True),
        (WITH_ROOT, 7, False),
        (WITH_ROOT, 0, True),
    ],
)
def test_who_has_no_number_in_a_container_is_outside_unless_it_could_be_another(
    uid_map: str, process: int, outside: bool
) -> None:
    assert _is_outside(process, uid_map) is outside


IN_CONTAINER = """
import _socket, ctypes, os, sys  # while files can be read that are root's alone
from kmodctl.sockets import find_socket
user = int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
os.setresuid(user, user, user)
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is ours
if libc.unshare(0x10000000):  # CLONE_NEWUSER
    raise OSError(ctypes.get_errno(), "unshare")
with open("/proc/self/uid_map", "w") as file:
    file.write(f"0 {user} 1")
print(os.geteuid(), find_socket(sys.argv[1]))
"""
"""Looks for a daemon as the root of a namespace of users that has but one."""


@pytest.mark.parametrize(
    ("listens", "is_asked"), [(0, True), (NOBODY, True), (1234, True), ("maker is root", False)]
)
def test_root_of_a_container_asks_the_daemon_outside(
    place: Path, listens: int | str, is_asked: bool
) -> None:
    user, maker = (1234, 0) if isinstance(listens, str) else (listens, NOBODY)
    with listener(place / "s", user):
        ran = subprocess.run(
            [sys.executable, "-c", IN_CONTAINER, str(place / "s"), str(maker)],
            env={"PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
    require("unshare" not in ran.stderr, "an own namespace of users is not allowed here")
    assert ran.stdout == (f"0 {place}/s\n" if is_asked else ""), ran.stderr
    assert is_asked or "OthersDaemonError" in ran.stderr


def as_set_user_id(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python's ``script`` as a program with root's set-user-ID bit that nobody calls."""
    require(os.geteuid() == 0, "having more rights than a caller needs root")
    setpriv = require("setpriv", "being another user needs util-linux")
    return subprocess.run(
        [setpriv, "--ruid", str(NOBODY), "--euid", "0", sys.executable, "-c", script],
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("first", ["", "import os; os.setresuid(0, 0, 0); "])
def test_the_environment_has_no_say_where_its_author_has_fewer_rights(first: str) -> None:
    told = dict.fromkeys(
        ("KMODD_SOCKET", "KMODD_REAL_KMOD", "KMODD_TOKEN", "MODPROBE_OPTIONS", "XDG_RUNTIME_DIR"),
        "/x",
    )
    script = f"{first}from kmodctl.environment import environment; print(*environment())"
    names = as_set_user_id(script, **told).stdout.split()
    assert "PATH" in names
    assert not told.keys() & set(names)


def test_roots_modprobe_executes_no_program_that_its_caller_names(tmp_path: Path) -> None:
    program, mark = tmp_path / "kmod", tmp_path / "mark"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    script = (
        "import sys; sys.argv = ['modprobe', '-n', 'no-such-x']; from kmodctl.cli import run; run()"
    )
    told = {"KMODD_REAL_KMOD": str(program), "MODPROBE_OPTIONS": f"-C {tmp_path} --no-such"}
    ran = as_set_user_id(script, **told)
    assert not mark.exists()
    assert "--no-such" not in ran.stderr


def test_the_auxiliary_vector_is_read_in_words_of_the_machine() -> None:
    def vector(*pairs: tuple[int, int], word: int) -> bytes:
        return b"".join(number.to_bytes(word, sys.byteorder) for pair in pairs for number in pair)

    for word in (4, 8):
        for value in (0, 1):
            made = vector((33, 1 << 31), (23, value), (0, 0), word=word)
            assert _is_secure(made, word) is bool(value)
        assert not _is_secure(vector((6, 4096), (0, 0), (23, 1), word=word), word)
    assert not _is_secure(b"")
