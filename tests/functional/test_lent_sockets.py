# SPDX-License-Identifier: Apache-2.0
"""Sockets that a service manager has made, and keeps while the daemon starts anew."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kmodctl import Client
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import RawConnection
from tests.support.identities import connected_as
from tests.support.require import require
from tests.support.tree import ModuleTree

SETTINGS = """
[[socket]]
path = "@/admin/s"

[[socket]]
path = "{lent}"
{name}
role = "observer"
mode = {mode}
"""

LIST = "/kmodd.v1.ModuleService/ListModules"

HAND_OVER = """
import os, sys
fd, names = int(sys.argv[1]), sys.argv[2]
os.dup2(fd, 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}
os.execv(sys.argv[3], sys.argv[3:])
"""
"""What a service manager does between fork and exec (sd_listen_fds(3))."""


@pytest.fixture
def lent() -> Iterator[socket.socket]:
    """A socket that listens, as of a service manager."""
    with (
        tempfile.TemporaryDirectory(prefix="kmodd-test-") as directory,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        listening.bind(f"{directory}/lent")
        os.chmod(f"{directory}/lent", 0o604)
        listening.listen(16)
        yield listening


@contextmanager
def serving(
    tree: ModuleTree,
    lent: socket.socket,
    names: str,
    name: str = 'name = "public"',
    mode: int = 0o666,
) -> Iterator[Daemon]:
    settings = SETTINGS.format(lent=lent.getsockname(), name=name, mode=mode)
    through = (sys.executable, "-c", HAND_OVER, str(lent.fileno()), names)
    with running_daemon(
        tree.root,
        place="admin/s",
        settings=settings,
        through=through,
        descriptors=(lent.fileno(),),
    ) as running:
        wait_until(lambda: f"listening on {lent.getsockname()} as" in running.log.read_text())
        yield running


@pytest.mark.parametrize(
    ("names", "name"), [("public", 'name = "public"'), ("unknown", ""), ("", "")]
)
def test_a_socket_is_taken_by_its_name_or_its_path_and_left_as_it_is(
    modules_root: ModuleTree, lent: socket.socket, names: str, name: str
) -> None:
    place = Path(lent.getsockname())
    before = place.stat()
    with serving(modules_root, lent, names, name) as daemon, Client(str(place)) as client:
        assert client.list_modules() == []
        assert daemon.stop() == 0
    after = place.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_nobody_is_refused_while_the_daemon_starts_anew(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    place = Path(lent.getsockname())
    with RawConnection(place) as early:
        asked = early.call(LIST)
        with serving(modules_root, lent, "public") as daemon:
            early.await_answer(asked)
            daemon.process.kill()
            daemon.process.wait()
            assert early.closed()
            with RawConnection(place) as between:
                asked = between.call(LIST)
                with serving(modules_root, lent, "public"):
                    assert b"grpc-status\x010" in between.end_of(asked)


def test_a_socket_at_another_path_is_not_taken_for_the_one_of_its_name(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    settings = SETTINGS.format(lent="@/public/s", name='name = "public"', mode=0o666)
    through = (sys.executable, "-c", HAND_OVER, str(lent.fileno()), "public")
    with running_daemon(
        modules_root.root,
        place="admin/s",
        settings=settings,
        through=through,
        descriptors=(lent.fileno(),),
    ) as daemon:
        said = f"public/s: the socket that was handed over is '{lent.getsockname()}'"
        wait_until(lambda: said in daemon.log.read_text())
        with daemon.client() as client:
            assert client.list_modules() == []


def test_one_that_somebody_removes_is_made_again(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    place = Path(lent.getsockname())
    with serving(modules_root, lent, "public") as daemon:
        place.unlink()
        wait_until(lambda: "was removed: made again" in daemon.log.read_text())
        with Client(str(place)) as client:
            assert client.list_modules() == []
        assert daemon.stop() == 0
    assert not place.exists()


@pytest.mark.parametrize("is_left", [False, True], ids=["nothing", "a dead socket"])
def test_one_that_was_removed_before_the_daemon_came_is_made_again(
    modules_root: ModuleTree,
    lent: socket.socket,
    is_left: bool,
) -> None:
    place = Path(lent.getsockname())
    place.unlink()
    if is_left:  # as one is that a daemon made in its place, and was killed
        with socket.socket(socket.AF_UNIX) as made_again:
            made_again.bind(str(place))
            made_again.listen()
    with serving(modules_root, lent, "public") as daemon:
        assert f"{place} was removed: made again" in daemon.log.read_text()
        with Client(str(place)) as client:
            assert client.list_modules() == []
        assert daemon.stop() == 0
    assert not place.exists()


def test_one_that_something_else_lies_in_the_place_of_is_left_out_and_that_said(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    place = Path(lent.getsockname())
    place.unlink()
    place.write_text("of others")
    settings = SETTINGS.format(lent=place, name='name = "public"', mode=0o666)
    through = (sys.executable, "-c", HAND_OVER, str(lent.fileno()), "public")
    with running_daemon(
        modules_root.root,
        place="admin/s",
        settings=settings,
        through=through,
        descriptors=(lent.fileno(),),
    ) as daemon:
        said = f"{place}: cannot listen there: there is a file of others; the socket is left out"
        wait_until(lambda: said in daemon.log.read_text())
        with daemon.client() as client:
            assert client.list_modules() == []
    assert place.read_text() == "of others"


def test_commands_of_the_daemon_are_told_of_no_socket(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    require(os.geteuid() == 0, "the kernel's process shows what it has to root alone")
    with serving(modules_root, lent, "public") as daemon:
        environment = Path(f"/proc/{daemon.kernel_pid()}/environ").read_bytes()
        assert b"LISTEN_" not in environment
        opened = Path(f"/proc/{daemon.kernel_pid()}/fd")
        ours = os.fstat(lent.fileno()).st_ino
        for each in opened.iterdir():
            with suppress(FileNotFoundError):  # closed by now
                assert each.stat().st_ino != ours


def test_who_may_connect_by_the_settings_alone_is_served_whatever_the_mode_of_it(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    require(os.geteuid() == 0, "only root may be another user")
    place = Path(lent.getsockname())
    place.parent.chmod(0o711)
    place.chmod(0o666)
    with serving(modules_root, lent, "public", mode=0o660):
        with (
            connected_as(place, 3001, (os.getegid(),)) as (connected, _),
            RawConnection(place, connected=connected) as raw,
        ):
            assert b"grpc-status\x010" in raw.end_of(raw.call(LIST))
        with connected_as(place, 3001, (5001,)) as (connected, _):
            connected.settimeout(30)
            assert connected.recv(1) == b""
        with Client(str(place)) as client:
            assert client.list_modules() == []


def reload(daemon: Daemon, config: Path, text: str) -> None:
    """Have other settings, and wait until they are in force."""
    before = daemon.log.read_text().count("reloaded")
    config.write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.read_text().count("reloaded") > before)


def test_one_that_is_wanted_no_more_and_then_again_is_taken_again(
    modules_root: ModuleTree, lent: socket.socket
) -> None:
    place = Path(lent.getsockname())
    with serving(modules_root, lent, "public") as daemon:
        config = daemon.socket.parents[1] / "kmodd.toml"
        whole = config.read_text()
        without = whole[: whole.rindex("[[socket]]")]
        reload(daemon, config, without)
        unwanted = f"{place}: nobody answers there: no [[socket]] is for what systemd made"
        assert f"listening on {place} no more\n" in daemon.log.read_text()
        assert daemon.log.read_text().count(unwanted) == 1
        reload(daemon, config, whole)
        assert daemon.log.read_text().count(unwanted) == 1
        assert f"listening on {place} as observer\nkmodd: reloaded\n" in daemon.log.read_text()
        with Client(str(place)) as client:
            assert client.list_modules() == []
