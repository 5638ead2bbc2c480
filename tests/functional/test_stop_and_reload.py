# SPDX-License-Identifier: Apache-2.0
"""What is under way when a socket's settings change, or when the daemon is to stop."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kmodctl import CallError, Client, NoDaemonError
from tests.support.daemon import START, Daemon, configure, kmodctl, running_daemon, wait_until
from tests.support.tree import ModuleTree

SETTINGS = """\
run_commands = true
audit_file = "@/audit"

[[socket]]
path = "@/admin/s"
role = "admin"

[[socket]]
path = "@/run/s"
role = "loader"
allow = ["*"]
"""


@pytest.fixture
def daemon(modules_root: ModuleTree, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that takes its time to load greet: until the file ``go`` is there."""
    with running_daemon(modules_root.root, settings=SETTINGS, place="admin/s") as running:
        wait = f"while test -d {tmp_path} && ! test -e {tmp_path}/go; do sleep 0.05; done"
        configure(running, modules_root, f"install greet {wait}\n")
        yield running


def is_loading(daemon: Daemon) -> bool:
    with suppress(CallError, NoDaemonError), daemon.client() as client:
        return any(each.command for each in client.list_operations())
    return False


def changing(daemon: Daemon) -> Path:
    """The socket whose settings are to change."""
    return daemon.socket.parents[1] / "run" / "s"


def role_of_new_clients(daemon: Daemon) -> str:
    """The role there; clients of one process may share a connection."""
    asked = kmodctl("--json", "status", environment={"KMODD_SOCKET": str(changing(daemon))})
    return str(json.loads(asked.stdout)["role"])


def test_a_socket_with_new_settings_is_there_at_once_and_the_old_load_goes_on(
    daemon: Daemon, tmp_path: Path
) -> None:
    said: list[object] = []

    def load() -> None:
        with Client(str(changing(daemon))) as client:
            said.append(client.load("greet"))

    loading = threading.Thread(target=load)
    loading.start()
    wait_until(lambda: is_loading(daemon))
    config = daemon.socket.parents[1] / "kmodd.toml"
    config.write_text(config.read_text().replace('"loader"\nallow = ["*"]', '"observer"'))
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: role_of_new_clients(daemon) == "ROLE_OBSERVER")  # none finds nobody there
    assert is_loading(daemon)
    assert not said
    (tmp_path / "go").touch()
    loading.join(START)
    assert said


def test_a_hold_that_is_loading_when_the_daemon_stops_is_let_finish(
    daemon: Daemon, tmp_path: Path
) -> None:
    def hold() -> None:
        with (
            suppress(CallError, NoDaemonError),
            Client(str(changing(daemon))) as client,
            client.hold("greet", "hello"),
        ):
            pass

    holding = threading.Thread(target=hold)
    holding.start()
    wait_until(lambda: is_loading(daemon))
    threading.Timer(3.0, (tmp_path / "go").touch).start()  # longer than streams have
    assert daemon.stop() == 0
    holding.join(START)
    trail = (daemon.socket.parents[1] / "audit").read_text().splitlines()
    (held,) = (line for line in map(json.loads, trail) if line["action"] == "hold")
    assert held["result"] == "done"
