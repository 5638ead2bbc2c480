# SPDX-License-Identifier: Apache-2.0
"""Sockets, locks and their directories that somebody removes under a daemon."""

import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kmodctl import CallError, Client, NoDaemonError
from kmodd.host.socket_lock import lock_file
from tests.support.daemon import START, Daemon, wait_until
from tests.support.tree import ModuleTree


def remove_socket(daemon: Daemon) -> None:
    daemon.socket.unlink()


def remove_directory(daemon: Daemon) -> None:
    shutil.rmtree(daemon.socket.parent)


def remove_lock(daemon: Daemon) -> None:
    lock(daemon).unlink()


def lock(daemon: Daemon) -> Path:
    return lock_file(daemon.socket)


def is_whole(daemon: Daemon) -> bool:
    return daemon.socket.is_socket() and lock(daemon).exists()


def second(daemon: Daemon, root: Path) -> "subprocess.Popen[str]":
    """Start another daemon for the same socket."""
    state = daemon.log.with_name("second")
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "kmodd", "serve", "--root", str(root), "--no-publish"),
            *("--socket", str(daemon.socket), "--state", str(state)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("remove", [remove_socket, remove_directory, remove_lock])
def test_what_was_removed_is_made_again_and_said_and_refuses_a_second_daemon(
    daemon: Daemon, modules_root: ModuleTree, remove: Callable[[Daemon], None]
) -> None:
    mode = stat.S_IMODE(daemon.socket.stat().st_mode)
    remove(daemon)
    wait_until(lambda: is_whole(daemon) and "made again" in daemon.log.read_text())
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == mode
    assert daemon.kmodctl("status").returncode == 0
    other = second(daemon, modules_root.root)
    _, said = other.communicate(timeout=START)
    assert f"another kmodd (pid {daemon.process.pid}) listens there" in said
    assert other.returncode == 1
    assert daemon.kmodctl("status").returncode == 0


def is_answered(client: Client) -> bool:
    """Tell whether a call got to the daemon: one made just as its server ends is cancelled."""
    with suppress(CallError, NoDaemonError):
        return [hold.names for hold in client.list_holds()] == [["hello"]]
    return False


def test_a_hold_outlives_the_directory_of_its_socket(daemon: Daemon) -> None:
    with daemon.client() as holder, holder.hold("hello"):
        for _ in range(2):
            remove_directory(daemon)
            wait_until(lambda: is_whole(daemon))
            assert daemon.kmodctl("status").returncode == 0
            wait_until(lambda: is_answered(holder))
        assert [each.name for each in holder.list_modules()] == ["hello"]
        assert daemon.stop() == 0


def test_a_daemon_leaves_the_socket_of_one_that_took_its_place(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    daemon.process.send_signal(signal.SIGSTOP)  # it sees nothing of what comes
    remove_directory(daemon)
    other = second(daemon, modules_root.root)
    try:
        wait_until(daemon.socket.exists)
        daemon.process.send_signal(signal.SIGCONT)
        wait_until(
            lambda: f"another kmodd (pid {other.pid}) listens there" in daemon.log.read_text()
        )
        assert daemon.stop() == 0
        with daemon.client() as client:
            assert client.status().pid == other.pid
    finally:
        other.kill()
        other.communicate()


def test_a_socket_that_cannot_be_made_again_is_said_once_and_made_once_it_can_be(
    daemon: Daemon,
) -> None:
    directory = daemon.socket.parent
    directory.rename(directory.with_name("moved"))
    directory.touch()
    wait_until(lambda: "Not a directory" in daemon.log.read_text())
    with pytest.raises(NoDaemonError):
        daemon.client()
    directory.unlink()
    wait_until(lambda: is_whole(daemon))
    assert daemon.log.read_text().count("Not a directory") == 1
    assert daemon.kmodctl("status").returncode == 0
