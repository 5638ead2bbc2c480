# SPDX-License-Identifier: Apache-2.0
"""The daemon's life: how it starts, whom it refuses, how it stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.modules import SOURCES
from tests.support.require import require
from tests.support.tree import ModuleTree


def kmodd(*arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    """Run kmodd as a process, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "kmodd", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_sigterm_ends_the_daemon_and_takes_the_socket_away(daemon: Daemon) -> None:
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    assert "stopped" in daemon.log.read_text()


@pytest.mark.parametrize(
    "follow",
    [partial(Client.read_log, follow=True), Client.watch_database, Client.watch_modules],
    ids=["log", "databases", "modules"],
)
def test_sigterm_ends_followers_and_tells_them(
    daemon: Daemon, follow: Callable[[Client], Iterator[object]]
) -> None:
    with daemon.client() as client:
        messages = follow(client)
        next(messages)
        assert daemon.stop() == 0
        with pytest.raises(CallError) as ended:
            list(messages)
        assert ended.value.reason == "SHUTTING_DOWN"


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    second = kmodd("--root", str(modules_root.root), "--socket", str(daemon.socket))
    assert second.returncode == 1
    assert second.stderr == (
        f"kmodd: {daemon.socket}: another kmodd (pid {daemon.process.pid}) listens there\n"
    )
    with daemon.client() as client:
        assert client.status().pid == daemon.process.pid


def test_a_killed_daemons_socket_is_not_in_the_way(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root) as first:
        first.process.kill()
        first.process.wait()
        assert first.socket.exists()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "kmodd", "--root", str(modules_root.root)),
                *("--socket", str(first.socket)),
            ]
        )
        try:
            successor = Daemon(process, first.socket, first.log)
            wait_until(lambda: successor.kmodctl("status").returncode == 0)
            with successor.client() as client:
                assert client.status().pid == process.pid
            assert successor.stop() == 0
        finally:
            process.kill()
            process.wait()


def test_the_socket_is_its_owners_alone(daemon: Daemon) -> None:
    assert daemon.socket.stat().st_mode & 0o777 == 0o600


def test_a_root_without_a_tree_is_told_with_the_directory(tmp_path: Path) -> None:
    result = kmodd("--root", str(tmp_path), "--socket", str(tmp_path / "s"))
    assert result.returncode == 1
    assert result.stderr.startswith(f"kmodd: {tmp_path}/lib/modules has no module tree")
    assert kmodd("--root", str(tmp_path / "nosuch")).returncode != 0


def test_a_release_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with running_daemon(tmp_path, "--release", "9.9.9") as daemon:
        result = daemon.kmodctl("modprobe", "greet")
        assert result.stderr == (
            f"modprobe: FATAL: Module greet not found in directory {tmp_path}/lib/modules/9.9.9\n"
        )
        assert "no module tree" in daemon.kmodctl("status").stdout
        assert daemon.kmodctl("lsmod").returncode == 0


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    result = kmodd("--root", "/", "--release", "9.9.9", "--socket", str(path))
    assert result.returncode == 1
    assert "at most 107 bytes" in result.stderr


def test_a_socket_path_with_odd_letters_works(modules_root: ModuleTree) -> None:
    with running_daemon(modules_root.root, place="a b%20c?/s") as daemon:
        result = daemon.kmodctl("lsmod")
        assert (result.stderr, result.returncode) == ("", 0)


def test_run_gives_a_command_a_daemon_and_its_exit_status(modules_root: ModuleTree) -> None:
    root = ("--root", str(modules_root.root))
    result = kmodd(
        "run", *root, "--", "sh", "-c", "kmodctl modprobe world && kmodctl lsmod; exit 7"
    )
    assert result.returncode == 7, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Module", "world", "greet"]
    assert kmodd("run", *root, "--", "nosuch-command").returncode == 127
    killed = kmodd("run", *root, "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL


def test_kmods_tools_are_kmodctls_in_what_is_run(modules_root: ModuleTree) -> None:
    file = SOURCES / "hello.ko"
    script = f"""
        insmod {file} && modprobe world && lsmod && kmod list && rmmod hello
        modinfo -F name world && depmod && modprobe -r world && lsmod"""
    result = kmodd("run", "--root", str(modules_root.root), "--", "sh", "-ec", script)
    assert (result.stderr, result.returncode) == ("", 0)
    names = [line.split()[0] for line in result.stdout.splitlines()]
    loaded = ["Module", "world", "greet", "hello"]
    assert names == [*loaded, *loaded, "world", "Module"]


def test_what_a_private_daemon_refuses_is_said_once(modules_root: ModuleTree) -> None:
    """The command says it; the log, which is on the same terminal, need not."""
    place = ("--root", str(modules_root.root))
    result = kmodd("run", *place, "--deny", "greet=not here", "--", "kmodctl", "modprobe", "greet")
    assert result.stderr == "modprobe: ERROR: could not insert 'greet': greet is denied: not here\n"
    result = kmodd("run", *place, "--log-level", "info", "--", "kmodctl", "modprobe", "nosuch")
    assert " action=load what=nosuch " in result.stderr


def test_what_is_run_within_a_command_belongs_to_its_own_daemon(
    modules_root: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMODD_TOKEN", "of-another-daemon")
    result = kmodd("run", "--root", str(modules_root.root), "--", "modprobe", "-v", "greet")
    assert (result.stderr, result.returncode) == ("", 0)
    assert result.stdout.endswith("greet.ko \n")


def test_run_without_a_command_is_a_shell_that_says_which_kernel_it_has(
    modules_root: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    result = kmodd(
        "run", "--root", str(modules_root.root), typed="modprobe greet; lsmod | wc -l; exit 3\n"
    )
    assert (result.stdout.strip(), result.returncode) == ("2", 3)
    release = modules_root.release
    assert result.stderr == f"kmodd: a shell on the emulated kernel, {release}; 'exit' ends both\n"


def test_a_daemon_logs_which_kernel_it_serves(daemon: Daemon, modules_root: ModuleTree) -> None:
    said = daemon.log.read_text()
    assert f"kmodd: serving the emulated kernel, {modules_root.release}\n" in said
    assert "system's socket" not in said


def test_an_emulated_kernel_at_the_systems_socket_is_warned_of(modules_root: ModuleTree) -> None:
    script = 'mount -t tmpfs none /run && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    require(probe.returncode == 0, f"no user namespaces here: {probe.stderr.decode().strip()}")
    system = "/run/kmodd/admin/kmodd.sock"
    settings = f'[[socket]]\npath = "@/run/kmodd.sock"\n[[socket]]\npath = "{system}"\n'
    with running_daemon(modules_root.root, through=unshare, settings=settings) as daemon:
        assert f"{system} is the system's socket, but this kernel is not the machine's" in (
            daemon.log.read_text()
        )


def test_run_hands_sigterm_on_to_the_command(modules_root: ModuleTree) -> None:
    command = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "kmodd", "run", "--root", str(modules_root.root)),
            *("--", "sh", "-c", command),
        ],
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(60) == 3


@pytest.mark.parametrize("moment", range(8))
def test_sigterm_is_heard_at_any_moment(modules_root: ModuleTree, moment: int) -> None:
    # The signal may hit any of grpc's threads; the main thread must wake all the same.
    with running_daemon(modules_root.root) as daemon:
        time.sleep(moment / 100)
        assert daemon.stop() == 0


def test_run_leaves_nothing_behind(modules_root: ModuleTree) -> None:
    command = ("sh", "-c", "dirname $KMODD_SOCKET")
    result = kmodd("run", "--root", str(modules_root.root), "--", *command)
    assert not Path(result.stdout.strip()).exists()


def test_garbage_on_the_socket_harms_nobody(daemon: Daemon) -> None:
    for garbage in (b"\0" * 1000, os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(daemon.socket))
            connection.sendall(garbage)
    assert daemon.kmodctl("lsmod").returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_is_there_without_a_root(arguments: list[str]) -> None:
    result = kmodd(*arguments)
    assert result.returncode == 0
    assert "kmodd" in result.stdout


def test_a_kernel_that_takes_no_module_shows_in_the_health(modules_root: ModuleTree) -> None:
    switch = ("--kernel-command-line", "sysctl.kernel.modules_disabled=1")
    with running_daemon(modules_root.root, *switch) as daemon:
        assert daemon.health("ModuleService") == "NOT_SERVING"
        assert daemon.health("DatabaseService") == "SERVING"
