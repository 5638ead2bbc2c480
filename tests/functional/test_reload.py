# SPDX-License-Identifier: Apache-2.0
"""SIGHUP with other settings of the sockets: nothing is taken away from who has it."""

import os
import signal
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.v1.module_service_pb2 import LoadModulesRequest
from tests.support.daemon import START, Daemon, configure, running_daemon, wait_until
from tests.support.http2 import RawConnection
from tests.support.identities import connected_as
from tests.support.require import require
from tests.support.tree import ModuleTree

SETTINGS = """\
run_commands = true

[[socket]]
path = "@/admin/s"

[[socket]]
path = "@/loader/s"
role = "loader"
mode = 0o600
allow = ["hello"]
"""

LOADER = """
[[socket]]
path = "@/loader/s"
role = "loader"
mode = 0o600
allow = ["hello"]
"""


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with running_daemon(modules_root.root, settings=SETTINGS, place="admin/s") as running:
        wait_until(loader_socket(running).exists)
        yield running


def loader_socket(daemon: Daemon) -> Path:
    return daemon.socket.parents[1] / "loader" / "s"


def reload(daemon: Daemon, old: str, new: str) -> None:
    """Have ``new`` in place of ``old`` in the settings, and wait until that is in force."""
    config = daemon.socket.parents[1] / "kmodd.toml"
    text = config.read_text()
    directory = str(daemon.socket.parents[1])
    old, new = old.replace("@", directory), new.replace("@", directory)
    assert old in text
    config.write_text(text.replace(old, new))
    before = count(daemon, RELOADED)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: count(daemon, RELOADED) > before)


RELOADED = "reloaded"
"""What the log says once the new settings are in force."""


def count(daemon: Daemon, line: str) -> int:
    return daemon.log.read_text().count(line)


def test_an_allow_list_that_grows_is_in_force_for_the_next_call_of_a_connection_with_a_hold(
    daemon: Daemon,
) -> None:
    with Client(str(loader_socket(daemon))) as client, client.hold("hello", unload=True):
        with pytest.raises(CallError) as refused:
            client.load("greet")
        assert refused.value.reason == "ACCESS_DENIED"
        reload(daemon, '["hello"]', '["hello", "greet"]')
        client.load("greet")
        with daemon.client() as admin:
            assert [hold.names for hold in admin.list_holds()] == [["hello"]]
            assert {each.name for each in admin.list_modules()} == {"hello", "greet"}


def test_an_allow_list_that_shrinks_leaves_the_hold_and_refuses_the_next_call(
    daemon: Daemon,
) -> None:
    with Client(str(loader_socket(daemon))) as client, client.hold("hello"):
        reload(daemon, '["hello"]', '["world"]')
        with pytest.raises(CallError) as refused:
            client.load("hello")
        assert refused.value.reason == "ACCESS_DENIED"
        with daemon.client() as admin:
            assert len(admin.list_holds()) == 1


@pytest.mark.parametrize("role", ["observer", "admin"])
def test_a_role_that_changes_leaves_holds_and_is_told_to_the_client_that_has_one(
    daemon: Daemon, role: str
) -> None:
    with Client(str(loader_socket(daemon))) as client, client.hold("hello"):
        reload(daemon, 'role = "loader"\nmode = 0o600\nallow = ["hello"]', f'role = "{role}"')
        assert client.status().role == {"observer": 1, "admin": 3}[role]
        with daemon.client() as admin:
            assert len(admin.list_holds()) == 1


def test_a_mode_that_changes_is_the_sockets_and_leaves_holds(daemon: Daemon) -> None:
    socket = loader_socket(daemon)
    with Client(str(socket)) as client, client.hold("hello"):
        reload(daemon, "0o600", "0o660")
        assert stat.S_IMODE(socket.stat().st_mode) == 0o660
        assert [each.name for each in client.list_modules()] == ["hello"]
        with daemon.client() as admin:
            assert len(admin.list_holds()) == 1


@pytest.mark.parametrize(
    "steps",
    [
        (('0o666\nallow = ["hello"]', '0o660\nallow = ["*"]'),),
        (("0o666", "0o660"), ('["hello"]', '["*"]')),
    ],
    ids=["at once", "one after the other"],
)
def test_who_stays_on_a_connection_of_before_gets_nothing_of_what_others_may(
    daemon: Daemon, steps: tuple[tuple[str, str], ...]
) -> None:
    require(os.geteuid() == 0, "only root may be another user")
    socket = loader_socket(daemon)
    daemon.socket.parents[1].chmod(0o711)
    reload(daemon, "0o600", "0o666")
    request = LoadModulesRequest(names=["greet"]).SerializeToString()
    load = "/kmodd.v1.ModuleService/LoadModules"
    with (
        connected_as(socket, 3001, (5001,)) as (connected, _),
        RawConnection(socket, connected=connected) as stays,
        RawConnection(socket) as roots,
        daemon.client() as admin,
    ):
        watch = stays.call("/kmodd.v1.ModuleService/WatchModules")
        stays.await_answer(watch)
        assert b"is not among the modules" in roots.answer(load, request)[1]
        for old, new in steps:
            reload(daemon, old, new)
        assert b"refused to who has no role at the socket" in stays.answer(load, request)[1]
        assert not admin.list_modules()
        assert roots.answer(load, request)[0], "who may connect by the new mode, too"


def test_no_call_fails_while_modes_and_allow_lists_change(daemon: Daemon) -> None:
    over = threading.Event()
    calls: list[int] = []

    def ask() -> None:
        with Client(str(loader_socket(daemon))) as client:
            while not over.is_set():
                calls.append(len(client.list_modules()))

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask)
        try:
            for mode, other in (("0o600", "0o660"), ("0o660", "0o666"), ("0o666", "0o600")):
                reload(daemon, mode, other)
                reload(daemon, '["hello"', '["hello"')
        finally:
            over.set()
        asking.result()
    assert calls


def test_a_socket_that_cannot_be_had_leaves_nothing_behind(daemon: Daemon) -> None:
    wrong = LOADER.replace("loader/s", "other/s") + 'group = "no-such-group"\n'
    config = daemon.socket.parents[1] / "kmodd.toml"
    config.write_text(config.read_text() + wrong.replace("@", str(daemon.socket.parents[1])))
    reload(daemon, "0o600", "0o660")
    with daemon.client() as client:
        before = client.status().thread_count
        for old, new in (("0o660", "0o600"), ("0o600", "0o660")) * 3:
            reload(daemon, old, new)
        assert client.status().thread_count <= before + 2


def test_a_mode_that_changes_is_the_sockets_own_file(daemon: Daemon) -> None:
    socket = loader_socket(daemon)
    before = socket.stat()
    reload(daemon, "0o600", "0o660\ngroup = 12")
    after = socket.stat()
    assert after.st_ino == before.st_ino
    if os.geteuid() == 0:
        assert (stat.S_IMODE(after.st_mode), after.st_gid) == (0o660, 12)
        reload(daemon, "0o660\ngroup = 12", "0o640")
        assert stat.S_IMODE(socket.stat().st_mode) == 0o640
        assert socket.stat().st_gid == before.st_gid
    else:
        assert stat.S_IMODE(after.st_mode) == 0o600
        assert "cannot be given to its owner and group" in daemon.log.read_text()


def test_a_hold_ends_with_its_call_on_a_socket_whose_mode_has_changed(daemon: Daemon) -> None:
    with Client(str(loader_socket(daemon))) as client:
        with client.hold("hello", unload=True):
            reload(daemon, "0o600", "0o660")
        with daemon.client() as admin:
            wait_until(lambda: not admin.list_holds() and not admin.list_modules())


def test_a_watch_goes_on_over_a_change_of_its_socket(daemon: Daemon) -> None:
    with Client(str(loader_socket(daemon))) as client, daemon.client() as admin:
        watch = client.watch_modules()
        next(watch)
        reload(daemon, "0o600", "0o660")
        reload(daemon, '["hello"]', '["world"]')
        admin.load("greet")
        (change,) = next(each for each in watch if each.HasField("changes")).changes.changes
        assert change.module.name == "greet"


@pytest.mark.parametrize("wrong", ['group = "no-such-group"', 'owner = "no-such-user"'])
def test_a_socket_whose_new_settings_are_wrong_stays_as_it_was_and_the_log_says_so(
    daemon: Daemon, wrong: str
) -> None:
    with Client(str(loader_socket(daemon))) as client, client.hold("hello"):
        reload(daemon, '["hello"]', f'["world"]\n{wrong}')
        client.load("hello")
        assert "is not known here; the socket stays as it was" in daemon.log.read_text()
    with Client(str(loader_socket(daemon))) as anew:
        assert anew.status().role == 2


def test_a_socket_that_is_taken_out_is_gone_with_its_holds_and_no_other_is(
    daemon: Daemon,
) -> None:
    with (
        daemon.client() as admin,
        admin.hold("greet"),
        Client(str(loader_socket(daemon))) as client,
        client.hold("hello", unload=True) as held,
    ):
        reload(daemon, LOADER, "")
        assert not loader_socket(daemon).exists()
        assert held.lost.wait(START)
        wait_until(lambda: [each.names for each in admin.list_holds()] == [["greet"]])
        wait_until(lambda: [each.name for each in admin.list_modules()] == ["greet"])


def test_a_reload_waits_for_no_caller_of_a_socket_that_is_taken_out(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    wait = f"while test -d {tmp_path} && ! test -e {tmp_path}/go; do sleep 0.05; done"
    configure(daemon, modules_root, f"install hello {wait}\n")
    said: list[object] = []

    def load() -> None:
        with Client(str(loader_socket(daemon))) as client:
            said.append(client.load("hello"))

    loading = threading.Thread(target=load)
    loading.start()
    with daemon.client() as admin:
        wait_until(lambda: any(each.command for each in admin.list_operations()))
        reload(daemon, LOADER, "")
        reload(daemon, "run_commands = true\n", LOADER)  # there anew, while the load goes on
        with Client(str(loader_socket(daemon))) as anew:
            assert anew.status().role == 2
        assert len(admin.list_operations()) == 1
        assert not said
    (tmp_path / "go").touch()
    loading.join(START)
    assert said


def test_without_one_socket_that_could_be_had_those_of_before_stay(daemon: Daemon) -> None:
    config = daemon.socket.parents[1] / "kmodd.toml"
    reload(daemon, config.read_text(), '[[socket]]\npath = "/proc/none/s"\n')
    for socket in (daemon.socket, loader_socket(daemon)):
        with Client(str(socket)) as client:
            assert not client.list_modules()
