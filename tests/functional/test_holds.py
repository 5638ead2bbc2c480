# SPDX-License-Identifier: Apache-2.0
"""Holds over a real socket: a hold lives as long as its call, however that ends."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from kmodctl import CallError, Client
from kmodd.v1.daemon_service_pb2 import Operation
from tests.support.daemon import START, Daemon, running_daemon, wait_until
from tests.support.tree import ModuleTree


def loaded(client: Client) -> list[str]:
    return [module.name for module in client.list_modules()]


@contextmanager
def kmodctl_process(daemon: Daemon, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run kmodctl in the background; killed at the end where it still runs."""
    # Who runs the tests in a shell's background has SIGINT ignored.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "kmodctl", *arguments],
        env={**os.environ, "KMODD_SOCKET": str(daemon.socket)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_hold_lives_as_long_as_its_call(admins: Daemon, either: Daemon) -> None:
    with admins.client() as client, either.client() as holder:
        with holder.hold("world", unload=True, note="a test") as hold:
            assert list(hold.answer.modules) == ["greet", "world"]
            assert [result.name for result in hold.answer.results] == ["world"]
            with pytest.raises(CallError) as refused:
                client.remove("greet")
            assert refused.value.reason == "MODULE_HELD"
            assert refused.value.detail == f"hold {hold.answer.hold} of a test"
            (listed,) = client.list_holds()
            assert (listed.hold, listed.note) == (hold.answer.hold, "a test")
            assert (list(listed.names), list(listed.modules)) == (["world"], ["greet", "world"])
            assert listed.role == ("admin" if either == admins else "loader")
            assert [module.hold_count for module in client.list_modules()] == [1, 1]
            assert client.status().hold_count == 1
        wait_until(lambda: not client.list_holds())
        wait_until(lambda: not loaded(client))


def test_a_killed_holder_holds_no_longer(admins: Daemon, either: Daemon) -> None:
    with admins.client() as client:
        command = ("hold", "-u", "world", "--", "sh", "-c", "echo held; exec sleep 60")
        with kmodctl_process(either, *command) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            assert loaded(client) == ["world", "greet"]
            process.kill()
            wait_until(lambda: not loaded(client))
            assert not client.list_holds()


def test_a_hold_that_cannot_begin_fails_as_the_load_does(either: Daemon) -> None:
    with either.client() as client:
        with pytest.raises(CallError) as refused:
            client.hold("world", "nosuch")
        assert refused.value.reason == "MODULE_NOT_FOUND"
        assert not loaded(client)
        with pytest.raises(CallError, match="a request names 1 to"):
            client.hold()


def test_a_removal_that_waits_ends_with_its_client(admins: Daemon, either: Daemon) -> None:
    with (
        admins.client() as client,
        either.client() as holder,
        holder.hold("greet"),
        kmodctl_process(either, "rmmod", "--wait", "60000", "greet") as waiting,
    ):
        wait_until(lambda: bool(client.list_operations()))
        waiting.send_signal(signal.SIGINT)
        waiting.wait(START)
        wait_until(lambda: not client.list_operations())
    with admins.client() as client:
        wait_until(lambda: not client.list_holds())
        assert loaded(client) == ["greet"]
    assert "result=CALLER_GONE" in admins.log.read_text()


def test_an_administrator_ends_a_hold_and_its_holder_is_told(
    admins: Daemon, either: Daemon
) -> None:
    with admins.client() as client, either.client() as holder, holder.hold("greet") as hold:
        client.end_hold(hold.answer.hold)
        assert hold.lost.wait(START)
        assert isinstance(hold.failure, CallError)
        assert hold.failure.reason == "HOLD_ENDED"
        client.remove("greet")
        with pytest.raises(CallError) as refused:
            client.end_hold(hold.answer.hold)
        assert refused.value.reason == "HOLD_NOT_FOUND"


def test_a_daemon_that_stops_ends_holds_and_says_so(either: Daemon) -> None:
    with either.client() as holder, holder.hold("greet", unload=True) as hold:
        assert either.stop() == 0
        assert hold.lost.wait(START)
        assert isinstance(hold.failure, CallError)
        assert hold.failure.reason == "SHUTTING_DOWN"
    assert "action=release" in either.log.read_text()
    assert "unloaded=greet" in either.log.read_text()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_hold_takes_its_hold_again_from_the_next_daemon(
    modules_root: ModuleTree, tmp_path: Path, end: int
) -> None:
    place = str(tmp_path / "run" / "s")

    def has_hold(daemon: Daemon) -> bool:
        return "world" in daemon.kmodctl("hold", "--list").stdout

    with (
        running_daemon(modules_root.root, place=place) as first,
        kmodctl_process(first, "hold", "-u", "world", "--", "cat") as holder,
    ):
        wait_until(lambda: has_hold(first))
        first.process.send_signal(end)
        first.process.wait(START)
        with running_daemon(modules_root.root, place=place) as second:
            wait_until(lambda: has_hold(second))
            _, errors = holder.communicate("", timeout=START)
            assert holder.returncode == 0
            wait_until(lambda: 'unloaded="world greet"' in second.log.read_text())
    assert errors.count("WARNING") == 1
    assert "the hold is lost until the daemon is there again" in errors


def test_hold_runs_a_command_and_ends_with_its_status(daemon: Daemon) -> None:
    script = "kmodctl lsmod && kmodctl rmmod greet; kmodctl modprobe -r world; exit 7"
    kmodctl = f"{sys.executable} -m kmodctl"
    result = daemon.kmodctl("hold", "world", "--", "sh", "-c", script.replace("kmodctl", kmodctl))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Module", "world", "greet"]
    first, second = result.stderr.splitlines()
    assert first.startswith("rmmod: ERROR: Module greet is in use by: hold 1 of sh -c")
    assert second.startswith("modprobe: FATAL: Module world is in use by: hold 1 of sh -c")
    assert result.returncode == 7
    assert daemon.kmodctl("rmmod", "world", "greet").returncode == 0


def test_hold_has_the_shells_statuses_for_commands_that_do_not_run(
    daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "data").touch()
    assert daemon.kmodctl("hold", "greet", "--", "/nowhere/nothing").returncode == 127
    assert daemon.kmodctl("hold", "greet", "--", str(tmp_path / "data")).returncode == 126
    killed = daemon.kmodctl("hold", "greet", "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL
    for wrong in ((), ("greet",), ("greet", "--"), ("--", "true"), ("--list", "greet")):
        result = daemon.kmodctl("hold", *wrong)
        assert (result.returncode, bool(result.stderr)) == (1, True)


def test_hold_hands_signals_on_and_outlives_an_interrupt(daemon: Daemon) -> None:
    script = "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with kmodctl_process(daemon, "hold", "greet", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "term\n"
        assert process.wait(START) == 3


def test_hold_hands_on_what_another_of_its_threads_takes(daemon: Daemon) -> None:
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with kmodctl_process(daemon, "hold", "greet", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threads = {int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()}
        other = min(threads - {process.pid})
        assert ctypes.CDLL(None).tgkill(process.pid, other, signal.SIGTERM) == 0
        assert process.wait(START) == 3


def test_hold_tells_when_the_hold_was_lost_and_leaves_the_command_alone(
    admins: Daemon, either: Daemon
) -> None:
    with admins.client() as client:
        command = ("sh", "-c", "read line; exit 5")
        with kmodctl_process(either, "hold", "greet", "--", *command) as process:
            wait_until(lambda: bool(client.list_holds()))
            (hold,) = client.list_holds()
            assert admins.kmodctl("hold", "--end", str(hold.hold)).returncode == 0
            assert process.stderr is not None
            warning = "kmodctl hold: WARNING: the hold is lost: an administrator has ended hold 1\n"
            assert process.stderr.readline() == warning
            process.communicate("\n", timeout=START)
        assert process.returncode == 5


def test_hold_lists_the_holds_there_are(daemon: Daemon) -> None:
    with daemon.client() as holder, holder.hold("world", note="a test"):
        (line,) = daemon.kmodctl("hold", "--list").stdout.splitlines()
        assert line.split("  ")[0] == "1"
        assert line.endswith("greet world  a test")
        assert '"note": "a test"' in daemon.kmodctl("--json", "hold", "--list").stdout


def test_a_hold_tells_where_its_note_was_cut(daemon: Daemon) -> None:
    with daemon.client() as client:
        for note in ("a" * 64, "b" * 65):
            client.hold("greet", note=note)
        notes = [hold.note for hold in client.list_holds()]
    assert notes == ["a" * 64, "b" * 63 + "…"]


def test_more_holds_than_a_socket_may_have_are_refused(daemon: Daemon) -> None:
    with daemon.client() as client:
        holds = [client.hold("greet") for _ in range(32)]
        with pytest.raises(CallError) as refused:
            client.hold("greet")
        assert refused.value.reason == "LIMIT_REACHED"
        holds.pop().close()
        wait_until(lambda: len(client.list_holds()) == 31)
        with client.hold("greet"):
            pass
        for hold in holds:
            hold.close()
        wait_until(lambda: not client.list_holds())
        client.remove("greet")


def by_whom(operation: Operation) -> str:
    caller = operation.caller
    unit = f" of {caller.unit}" if caller.unit else ""
    user = pwd.getpwuid(caller.uid).pw_name
    return f"by {user} (pid {caller.pid} {caller.command}{unit})"


def test_operations_tell_who_waits_for_what(daemon: Daemon) -> None:
    with (
        daemon.client() as client,
        daemon.client() as holder,
        ThreadPoolExecutor(1) as threads,
    ):
        with holder.hold("world"):
            waiting = threads.submit(client.unload, "world", wait=Duration(seconds=60))
            wait_until(lambda: bool(client.list_operations()))
            wait_until(lambda: client.list_operations()[0].waits_for_module == "world")
            (operation,) = client.list_operations()
            assert (operation.what, operation.waits_for_operation) == ("world", 0)
            assert operation.role == "admin"
            assert operation.socket == str(daemon.socket)
            assert (operation.caller.uid, operation.caller.pid) == (os.geteuid(), os.getpid())
            line = daemon.kmodctl("operations").stdout
            assert line == (
                f"{operation.number}: unload world, for admin {daemon.socket}, "
                f"{by_whom(operation)}, waits for world to be unused\n"
            )
        assert not waiting.result(START)[0].HasField("failure")
        assert client.list_operations() == []
        assert daemon.kmodctl("operations").stdout == ""
