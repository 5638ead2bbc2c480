# SPDX-License-Identifier: Apache-2.0
"""Who asks: the kernel's word for it, over real sockets, by processes of several users."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.access.caller import Role
from kmodd.access.policy import policy_of
from kmodd.v1 import daemon_service_pb2, module_service_pb2, policy_pb2
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import Kind, RawConnection
from tests.support.identities import connected_as
from tests.support.methods import METHODS, Method
from tests.support.require import require
from tests.support.tree import ModuleTree

SETTINGS = """
audit_file = "@/audit"

[[socket]]
path = "@/public/s"
role = "admin"
mode = 0o666
grants = true
default = "none"

[[socket]]
path = "@/admin/s"

[[socket]]
path = "@/lesser/s"
role = "observer"
mode = 0o666
grants = true
default = "none"

[[grant]]
users = [3001]
role = "observer"

[[grant]]
groups = [4002]
role = "loader"
allow = ["hello", "world"]

[[grant]]
users = [3003]
groups = [4003]
role = "admin"

[[grant]]
users = [3001, 3004]
role = "none"

[[grant]]
containers = ["*"]
role = "loader"
allow = ["hello"]
"""

WHO_AM_I = "/kmodd.v1.DaemonService/WhoAmI"
LOAD = "/kmodd.v1.ModuleService/LoadModules"

PEOPLE = {
    (3001, (5001,)): Role.OBSERVER,
    (3002, (5002, 4002)): Role.LOADER,
    (3012, (4002,)): Role.LOADER,
    (3003, (5003, 4003)): Role.ADMIN,
    (3003, (5003,)): Role.NONE,  # a grant's users and groups must both fit
    (3004, (4002,)): Role.LOADER,  # the first that fits counts
    (3004, (5004,)): Role.NONE,
    (3005, (5005,)): Role.NONE,
    (0, (0,)): Role.ADMIN,
}
"""Users with their groups, and the role that each has at the public socket."""

require(os.geteuid() == 0, "only root may be another user")


@contextmanager
def serving(root: Path, settings: str = SETTINGS) -> Iterator[Daemon]:
    """A daemon whose sockets all users can reach."""
    with running_daemon(root, place="admin/s", settings=settings) as running:
        for name in ("public", "lesser"):
            wait_until((running.socket.parents[1] / name / "s").exists)
        running.socket.parents[1].chmod(0o711)
        yield running


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    with serving(modules_root.root) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The same for all the cells of the table, of which none changes anything."""
    tree = ModuleTree(tmp_path_factory.mktemp("identity") / "root", "6.1.0-identity")
    tree.directory.mkdir(parents=True)
    (tree.directory / "modules.order").touch()
    with serving(tree.root) as running:
        yield running


def place(daemon: Daemon, name: str = "public") -> Path:
    return daemon.socket.parents[1] / name / "s"


@contextmanager
def caller(
    daemon: Daemon,
    uid: int,
    gids: Sequence[int],
    name: str = "public",
    *,
    through: Sequence[str] = (),
    stays: bool = True,
) -> Iterator[tuple[RawConnection, int]]:
    """A connection that a process of that user has made, and its pid."""
    path = place(daemon, name)
    with (
        connected_as(path, uid, gids, through=through, stays=stays) as (connected, pid),
        RawConnection(path, connected=connected) as raw,
    ):
        yield raw, pid


def who(raw: RawConnection) -> daemon_service_pb2.WhoAmIResponse:
    answer, _ = raw.answer(WHO_AM_I)
    return daemon_service_pb2.WhoAmIResponse.FromString(answer)


@pytest.mark.parametrize(("person", "role"), PEOPLE.items(), ids=str)
def test_each_user_has_the_role_of_the_first_grant_that_fits(
    lasting: Daemon, person: tuple[int, tuple[int, ...]], role: Role
) -> None:
    uid, gids = person
    with caller(lasting, uid, gids) as (raw, pid):
        found = who(raw)
    assert policy_pb2.Role.Name(found.role) == f"ROLE_{role.name}"
    assert (found.caller.uid, list(found.caller.gids)) == (uid, sorted(gids))
    assert found.caller.pid == pid
    assert found.caller.command.startswith("python")
    assert found.socket == str(place(lasting))
    started = Path(f"/proc/{lasting.process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    assert found.caller.start_ticks >= int(started)
    assert list(found.allowed_modules) == (["hello", "world"] if role is Role.LOADER else [])
    assert (WHO_AM_I in found.methods, LOAD in found.methods) == (
        True,
        role in (Role.LOADER, Role.ADMIN),
    )


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(
    "person", [each for each in PEOPLE if each[0] not in (3004, 3012)], ids=str
)
def test_each_method_is_open_to_those_whose_grant_has_its_role(
    lasting: Daemon, method: Method, person: tuple[int, tuple[int, ...]]
) -> None:
    allowed = PEOPLE[person].has(policy_of(method.path).role)
    with caller(lasting, *person) as (raw, _):
        _, failure = raw.answer(method.path)
    assert (b"refused to " in failure) is not allowed


@pytest.mark.parametrize(("person", "role"), PEOPLE.items(), ids=str)
def test_the_role_of_the_socket_is_the_most_that_a_grant_gives_there(
    lasting: Daemon, person: tuple[int, tuple[int, ...]], role: Role
) -> None:
    with caller(lasting, *person, "lesser") as (raw, _):
        found = who(raw)
    assert policy_pb2.Role.Name(found.role) == f"ROLE_{role.at_most(Role.OBSERVER).name}"


def test_a_granted_loader_loads_what_its_grant_allows(daemon: Daemon) -> None:
    request = module_service_pb2.LoadModulesRequest
    with caller(daemon, 3002, (4002,)) as (raw, _):
        _, refused = raw.answer(LOAD, request(names=["greet"]).SerializeToString())
        assert b"greet is not among the modules it may have" in refused
        assert raw.answer(LOAD, request(names=["hello"]).SerializeToString())[0]
        _, refused = raw.answer(
            LOAD, request(names=["world"], parameters="x=1").SerializeToString()
        )
        assert b"modules may be given no parameters here" in refused
    with daemon.client() as admin:
        assert [each.name for each in admin.list_modules()] == ["hello"]


def test_who_inherits_a_connection_is_taken_for_who_made_it(daemon: Daemon) -> None:
    with caller(daemon, 3001, (5001,)) as (raw, pid):  # it is this process that sends
        assert (who(raw).caller.uid, who(raw).caller.pid) == (3001, pid)
    with caller(daemon, 3001, (5001,), stays=False) as (raw, _):
        assert who(raw).caller.uid == 3001


def test_a_process_that_ended_before_it_was_taken_is_told_as_its_user_alone(
    daemon: Daemon,
) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with caller(daemon, 3001, (5001,), stays=False) as (raw, _):
            daemon.process.send_signal(signal.SIGCONT)
            found = who(raw).caller
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert (found.uid, found.pid, found.command, found.unit) == (3001, 0, "", "")


@pytest.mark.parametrize("through", [(), ("unshare", "--pid", "--fork")], ids=str)
def test_root_whose_process_ended_before_it_was_taken_is_no_admin(
    daemon: Daemon, through: Sequence[str]
) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with caller(daemon, 0, (0,), through=through, stays=False) as (raw, _):
            daemon.process.send_signal(signal.SIGCONT)
            found = who(raw)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert (found.caller.uid, found.caller.pid, found.role) == (0, 0, policy_pb2.ROLE_NONE)


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_a_pid_that_another_user_has_by_now_is_nobodys(kernel: str) -> None:
    """In a pid namespace, where the next number can be chosen."""
    require("unshare", "a pid namespace needs unshare of util-linux")
    script = Path(__file__).parents[1] / "support" / "reused_pid.py"
    ran = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, script, kernel],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["reused"] is True
    assert (found["uid"], found["pid"], found["command"]) == (3001, 0, "")


def test_root_in_a_pid_namespace_of_its_own_is_no_admin(daemon: Daemon) -> None:
    require("unshare", "a pid namespace needs unshare of util-linux")
    through = ("unshare", "--pid", "--fork")
    with caller(daemon, 0, (0,), through=through) as (raw, _):
        found = who(raw)
    assert (found.caller.uid, found.role) == (0, policy_pb2.ROLE_NONE)
    with caller(daemon, 0, (0,), "admin", through=through) as (raw, _):
        assert who(raw).role == policy_pb2.ROLE_ADMIN  # the socket says so, whoever holds it


def test_a_container_without_a_user_namespace_is_no_admin_and_one_with_is_its_user(
    daemon: Daemon,
) -> None:
    bwrap = require("bwrap", "a container needs the package bubblewrap")
    words = (bwrap, "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc")
    with caller(daemon, 0, (0,), through=words) as (raw, _):
        assert who(raw).role == policy_pb2.ROLE_NONE
    with caller(daemon, 3001, (5001,), through=words) as (raw, _):
        found = who(raw)
    assert (found.caller.uid, found.role) == (3001, policy_pb2.ROLE_OBSERVER)


def test_root_of_a_container_is_no_admin_once_the_process_has_ended(daemon: Daemon) -> None:
    bwrap = require("bwrap", "a container needs the package bubblewrap")
    words = (bwrap, "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc")
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with caller(daemon, 0, (0,), through=words, stays=False) as (raw, _):
            daemon.process.send_signal(signal.SIGCONT)
            found = who(raw)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert (found.caller.uid, found.caller.pid, found.role) == (0, 0, policy_pb2.ROLE_NONE)


def test_audit_holds_operations_and_events_say_who(daemon: Daemon) -> None:
    request = module_service_pb2.HoldModulesRequest(
        load=module_service_pb2.LoadModulesRequest(names=["hello"])
    )
    with caller(daemon, 3002, (4002, 5002)) as (raw, pid), daemon.client() as admin:
        held = raw.call("/kmodd.v1.ModuleService/HoldModules", request.SerializeToString())
        raw.await_answer(held)
        (hold,) = admin.list_holds()
        assert (hold.caller.uid, hold.caller.pid, hold.role) == (3002, pid, "loader")
        listed = daemon.kmodctl("hold", "--list").stdout
        assert f"loader {place(daemon)}  uid 3002 (pid {pid} python" in listed
        events = daemon.kmodctl("events").stdout
        assert f"by uid 3002 (pid {pid} python" in events
        finished = json.loads(daemon.kmodctl("--json", "events").stdout.splitlines()[-1])
        assert finished["operation"]["caller"]["uid"] == 3002
    audit = (daemon.socket.parents[1] / "audit").read_text()
    lines = [json.loads(line) for line in audit.splitlines()]
    facts = next(line for line in lines if line["action"] == "hold")
    assert (facts["uid"], facts["gids"], facts["pid"]) == (3002, "4002 5002", pid)
    assert facts["start_ticks"] > 0
    assert facts["command"].startswith("python")
    assert f'uid=3002 gids="4002 5002" pid={pid}' in daemon.log.read_text()


def test_an_observer_is_not_told_who_others_are(daemon: Daemon) -> None:
    with caller(daemon, 3001, (5001,)) as (raw, _), daemon.client() as admin:
        watch = raw.call("/kmodd.v1.ModuleService/WatchModules")
        raw.await_answer(watch)
        admin.load("hello")
        for kind, stream, payload in raw.frames():
            if (kind, stream) == (Kind.DATA, watch):
                event = module_service_pb2.WatchModulesResponse.FromString(payload[5:])
                if event.HasField("operation"):
                    break
        assert event.operation.what == "hello"
        assert not event.operation.HasField("caller")
        assert (event.operation.socket, event.operation.role) == ("", "")


def test_a_denial_names_the_user_and_the_process(daemon: Daemon) -> None:
    with caller(daemon, 3005, (5005,)) as (raw, pid):
        _, refused = raw.answer("/kmodd.v1.ModuleService/ListModules")
    assert b"refused to who has no role at the socket" in refused
    wait_until(lambda: f"takes the role observer (uid 3005, pid {pid} python" in read(daemon))


def read(daemon: Daemon) -> str:
    return daemon.log.read_text()


def test_whoami_at_the_command_line(daemon: Daemon) -> None:
    shown = daemon.kmodctl("whoami").stdout
    assert "user:       0 (root)\n" in shown
    assert f"socket:     {daemon.socket}\nrole:       admin\n" in shown
    assert "WhoAmI" in shown.splitlines()[-1]
    assert json.loads(daemon.kmodctl("--json", "whoami").stdout)["role"] == "ROLE_ADMIN"


def test_a_tool_is_told_by_its_own_name(daemon: Daemon) -> None:
    assert daemon.kmodctl("modprobe", "hello").returncode == 0
    events = daemon.kmodctl("events").stdout
    assert re.search(r"operation \d+: load hello, .* by root \(pid \d+ kmodctl", events)


def test_a_grant_that_changes_is_in_force_for_connections_that_there_are(daemon: Daemon) -> None:
    config = daemon.socket.parents[1] / "kmodd.toml"
    with caller(daemon, 3001, (5001,)) as (raw, _):
        assert who(raw).role == policy_pb2.ROLE_OBSERVER
        text = config.read_text().replace('[3001]\nrole = "observer"', '[3001]\nrole = "none"')
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "kmodd: reloaded" in read(daemon))
        assert who(raw).role == policy_pb2.ROLE_NONE
        config.write_text(text.replace("users = [3003]\n", "users = [3001]\n"))
    with caller(daemon, 3003, (4003,)) as (raw, _):
        assert who(raw).role == policy_pb2.ROLE_ADMIN
        daemon.process.send_signal(signal.SIGHUP)
        # What an admin may send is more than what others may: the connection ends.
        assert raw.closed()


def test_one_user_who_fills_his_share_leaves_others_theirs(modules_root: ModuleTree) -> None:
    limits = SETTINGS + "[limits]\nconcurrent_calls = 8\nstreams = 4\nconnections = 10\n"
    watch = "/kmodd.v1.ModuleService/WatchModules"
    with (
        serving(modules_root.root, limits) as daemon,
        caller(daemon, 3001, (5001,)) as (greedy, _),
        caller(daemon, 3012, (4002,)) as (other, _),
    ):
        for _ in range(2):
            greedy.await_answer(greedy.call(watch))
        assert b"2 calls of the kind 'stream' of uid 3001" in greedy.end_of(greedy.call(watch))
        for _ in range(2):  # which wait for their requests, and count as calls of his
            greedy.begin(LOAD)
        wait_until(lambda: b"4 calls of uid 3001 are under way" in greedy.answer(WHO_AM_I)[1])
        assert who(other).role == policy_pb2.ROLE_LOADER
        assert other.answer(watch)[0]


def test_one_user_has_half_of_the_connections(modules_root: ModuleTree) -> None:
    settings = SETTINGS + "[limits]\nconnections = 4\n"
    with serving(modules_root.root, settings) as daemon:
        path = place(daemon)
        with (
            caller(daemon, 3001, (5001,)) as (first, _),
            caller(daemon, 3001, (5001,)) as (second, _),
        ):
            assert {who(first).caller.uid, who(second).caller.uid} == {3001}
            with connected_as(path, 3001, (5001,)) as (third, _):
                third.settimeout(30)
                assert not third.recv(1)
            with caller(daemon, 3002, (4002,)) as (other, _):
                assert who(other).caller.uid == 3002


def test_what_a_user_sends_too_fast_is_read_later_and_nothing_of_it_is_lost(
    modules_root: ModuleTree,
) -> None:
    settings = SETTINGS + "[limits]\nuser_bytes = 20000\n"
    request = module_service_pb2.LoadModulesRequest(names=["hello"], parameters="x" * 30000)
    with (
        serving(modules_root.root, settings) as daemon,
        caller(daemon, 3002, (4002,)) as (raw, _),
    ):
        for _ in range(2):
            stream = raw.begin(LOAD)
            data = request.SerializeToString()
            raw.message(stream, data[:0], claimed=len(data))
            for at in range(0, len(data), 16000):
                raw.more(stream, data[at : at + 16000])
            raw.end(stream)
            assert b"modules may be given no parameters here" in raw.end_of(stream)
