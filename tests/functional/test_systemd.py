# SPDX-License-Identifier: Apache-2.0
"""The daemon as a service: what it tells a manager, and the unit that starts it."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from kmodctl.sockets import PUBLIC_SOCKET
from kmodd.access.caller import Role
from kmodd.access.grants import Grants
from kmodd.access.peer import Peer
from kmodd.front.confinement import OPEN_FILES, THREADS_MAX
from kmodd.front.fronts import UNIT as KNOWN_FRONT
from kmodd.front_server import MEMORY
from kmodd.host.descriptors import connections
from kmodd.settings import Limits, Settings
from kmodd.settings.toml import read_settings
from kmodd.setup.pieces import pieces
from kmodd.trees import Trees
from tests.support.daemon import kmodctl, running_daemon, wait_until
from tests.support.modules import MODULES, module_tree
from tests.support.require import require
from tests.support.tree import ModuleTree
from tests.support.trusted import trusted_directory

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "kmodd.service"
PUBLIC = SYSTEMD / "kmodd-public.socket"
FRONT = SYSTEMD / "kmodd-public.service"
FRONT_SOCKET = SYSTEMD / "kmodd-front.socket"
FLEET = SYSTEMD / "kmodd-fleet.service"
EXPOSURE = {UNIT: "22", FRONT: "15", FLEET: "11"}
"""The most that systemd-analyze may find, in tenths."""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's socket, which new daemons are told of."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def told(manager: socket.socket) -> dict[str, str]:
    lines = manager.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def falls_silent(manager: socket.socket) -> bool:
    """Whether there comes a second without a word; at five words a second it must be soon."""
    for _ in range(20):
        if not select.select([manager], [], [], 1.0)[0]:
            return True
        manager.recv(4096)
    return False


def test_a_manager_is_told_of_start_reload_and_stop(
    modules_root: ModuleTree, manager: socket.socket
) -> None:
    with running_daemon(modules_root.root) as daemon:
        ready = told(manager)
        assert ready["READY"] == "1"
        assert ready["STATUS"] == f"{modules_root.release}: {len(MODULES)} modules in the tree"
        options = modules_root.root / "etc/modprobe.d/new.conf"
        options.parent.mkdir(parents=True)
        options.write_text("options greet times=3\n")
        (modules_root.directory / "extra/hello.ko").unlink()
        daemon.process.send_signal(signal.SIGHUP)
        assert told(manager)["RELOADING"] == "1"
        left = len(MODULES) - 1
        assert told(manager)["STATUS"] == f"{modules_root.release}: {left} modules in the tree"
        with daemon.client() as client:
            (result,) = client.load("greet", dry_run=True)
            assert result.steps[0].parameters == "times=3"
        assert daemon.stop() == 0
        assert told(manager) == {"STOPPING": "1"}


NEEDLESS = (
    *("kmodd.kernel.emulated", "kmodd.kernelimage", "kmodd.keys", "kmodd.oneshot", "kmodctl"),
    *("kmodd.front.process", "kmodd.front.calls", "kmodd.setup.command", "kmodd.messages"),
    *("unicorn", "cryptography", "backports", "importlib.metadata", "email", "zipfile", "csv"),
    *("google.protobuf.json_format", "multiprocessing", "concurrent.futures.process", "http"),
)
"""What no start on the machine's kernel has time for: a boot waits for it."""


def test_a_start_on_the_machines_kernel_imports_nothing_that_it_can_do_without(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with trusted_directory() as place:
        tree = module_tree(place / "root")
        release = os.uname().release
        directory = tree.directory.rename(tree.directory.with_name(release))
        Trees(tree.root, release).rebuild()
        assert (directory / "modules.dep.bin").exists()
        settings = """
kernel = "linux"
[[socket]]
path = "@/run/kmodd.sock"
[[socket]]
path = "@/observer.sock"
role = "observer"
"""
        with running_daemon(tree.root, settings=settings) as daemon:
            assert told(manager)["READY"] == "1"
            log = daemon.log.read_text()
    lines = (line for line in log.splitlines() if line.startswith("import time:"))
    imported = {f"{line.rpartition('|')[2].strip()}." for line in lines}
    assert imported >= {"kmodd.servers.", "kmodd.kernel.linux.", "kmodd.front_server.", "grpc."}
    needless = tuple(f"{name}." for name in NEEDLESS)
    assert [name for name in sorted(imported) if name.startswith(needless)] == []


def test_the_status_line_names_a_socket_that_is_left_out(
    modules_root: ModuleTree, manager: socket.socket
) -> None:
    settings = (
        '[[socket]]\npath = "@/admin/s"\n'
        '[[socket]]\npath = "@/bad/s"\nrole = "observer"\ngroup = "no-such-group"\n'
    )
    with running_daemon(modules_root.root, settings=settings, place="admin/s"):
        status = told(manager)["STATUS"]
        assert status.endswith("/bad/s: the group 'no-such-group' is not known here")
        assert status.startswith(f"{modules_root.release}: {len(MODULES)} modules in the tree; ")


def test_the_watchdog_hears_of_a_daemon_that_answers_and_of_no_other(
    modules_root: ModuleTree, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with running_daemon(modules_root.root) as daemon:
        assert told(manager)["READY"] == "1"
        assert told(manager)["WATCHDOG"] == "1"
        daemon.process.send_signal(signal.SIGSTOP)
        assert falls_silent(manager)
        daemon.process.send_signal(signal.SIGCONT)
        assert told(manager)["WATCHDOG"] == "1"
        daemon.socket.unlink()
        assert told(manager)["WATCHDOG"] == "1"
        wait_until(daemon.socket.exists)


def test_the_watchdog_hears_of_a_daemon_that_is_reloaded_again_and_again(
    modules_root: ModuleTree, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    with running_daemon(modules_root.root) as daemon:
        assert told(manager)["READY"] == "1"
        for _ in range(2):
            daemon.process.send_signal(signal.SIGHUP)
            assert [next(iter(told(manager))) for _ in range(3)] == [
                *("RELOADING", "READY", "WATCHDOG")
            ]


REMOUNTING = """
mount -t tmpfs none "$1" && cp -a "$1.disk/." "$1" && mount -o remount,ro "$1" || exit
place=$1
shift
"$@" &
read -r _
mount -o remount,rw "$place"
wait $!
"""
"""Runs a daemon on a root that is read-only; a line of input makes it writable."""


@contextmanager
def read_only_at_first(tree: ModuleTree, through: Sequence[str]) -> Iterator["Popen[bytes]"]:
    """A watched daemon on ``tree`` that the words ``through`` start."""
    unshare = require("unshare", "a root of the test's own needs a mount namespace")
    probe = subprocess.run([unshare, "--map-root-user", "--mount", "true"], check=False)
    require(not probe.returncode, "mount namespaces are not allowed here")
    place = tree.root
    place.rename(f"{place}.disk")
    place.mkdir()
    process = Popen(
        [
            *(unshare, "--map-root-user", "--mount", "sh", "-c", REMOUNTING, "sh", str(place)),
            *(*through, sys.executable, "-m", "kmodd", "serve", "--root", str(place)),
            *("--socket", f"{place}.sock", "--state", f"{place}/state"),
        ],
        env=os.environ | {"WATCHDOG_USEC": "400000"},
        stdin=PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def make_writable(process: "Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def test_what_could_not_be_written_is_written_once_it_can_be(
    modules_root: ModuleTree, manager: socket.socket
) -> None:
    with read_only_at_first(modules_root, []) as process:
        assert told(manager)["STATUS"].endswith(": Read-only file system")
        make_writable(process)
        while not told(manager)["STATUS"].endswith("modules in the tree"):
            pass


def test_a_service_that_alone_cannot_write_by_now_ends_to_be_started_anew(
    modules_root: ModuleTree, manager: socket.socket
) -> None:
    copied_mounts = ["unshare", "--mount", "--propagation", "slave"]
    with read_only_at_first(modules_root, copied_mounts) as process:
        assert told(manager)["STATUS"].endswith(": Read-only file system")
        assert told(manager)["WATCHDOG"] == "1"
        make_writable(process)
        while told(manager) != {"STOPPING": "1"}:
            pass
        assert process.wait() == 0


def test_a_daemon_that_writes_to_the_journal_gives_priorities(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    with (tmp_path / "journal").open("wb") as stream:
        status = os.fstat(stream.fileno())
        command = [sys.executable, "-m", "kmodd", "run", "--root", str(modules_root.root)]
        subprocess.run(
            [*command, "--log-level", "debug", "--", "true"],
            env=os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            stderr=stream,
            check=True,
        )
    lines = (tmp_path / "journal").read_text().splitlines()
    assert lines
    assert all(line.startswith(("<6>", "<7>")) for line in lines)


def test_a_service_tells_where_it_listens_and_a_private_daemon_does_not(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    kmodd = [sys.executable, "-m", "kmodd"]
    place = ["--root", str(modules_root.root), "--socket", str(tmp_path / "s")]
    serving = subprocess.Popen(
        [*kmodd, "serve", *place, "--state", str(tmp_path / "state")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    assert any(line == f"kmodd: listening on {tmp_path}/s as admin\n" for line in serving.stderr)
    serving.terminate()
    serving.communicate()
    private = subprocess.run(
        [*kmodd, "run", *place, "--", "true"], capture_output=True, text=True, check=True
    )
    assert private.stderr == ""


SANDBOX = """
place=$1 kmodctl=$2
shift 2
mount --bind "$place" /mnt &&
mount --bind "$kmodctl" /bin/kmod &&
mount -t tmpfs none /run && mkdir /run/kmodd &&
for closed in /tmp /var/tmp /dev/shm /run; do
    mount --bind $closed $closed && mount -o remount,bind,ro $closed || exit
done
mount -t tmpfs none /run/kmodd || exit
echo 0 >/proc/sys/user/max_mnt_namespaces && echo 0 >/proc/sys/user/max_user_namespaces || exit
cd /tmp && umask 077
exec setpriv --no-new-privs --bounding-set -all,+sys_module,+syslog "$@"
"""
"""What the unit allows, as far as a user namespace has it; /mnt and /run/kmodd may be written."""


def test_commands_with_the_paths_of_kmods_tools_work_within_the_units_bounds(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    unshare = require("unshare", "the bounds are those of a mount namespace")
    for tool in ("setpriv", "kmod"):
        require(tool, "the unit takes capabilities away, and covers kmod")
    program = Path(sys.executable).with_name("kmodctl")
    require(program.exists(), "kmodd is not installed beside its Python")
    shell = (unshare, "--map-root-user", "--mount", "sh", "-c", SANDBOX, "sh")
    through = (*shell, str(tmp_path), str(program))
    tried = subprocess.run([*through, "true"], check=False)
    require(tried.returncode == 0, "mount namespaces are not allowed here")
    assert f"BindReadOnlyPaths=-/opt/kmodd/bin/{program.name}:/bin/kmod" in UNIT.read_text()
    configuration = modules_root.root / "etc/modprobe.d/test.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        "install world /sbin/modprobe -i world && { modprobe -q hello ; : ; } && /bin/kmod list\n"
        "remove greet (lsmod | grep -o -e ^world -e ^greet | xargs /sbin/rmmod) && /bin/lsmod\n"
    )
    inside = Path("/mnt") / modules_root.root.relative_to(tmp_path)
    daemon = Popen(
        [
            *(*through, sys.executable, "-m", "kmodd", "serve", "--root", str(inside)),
            *("--allow-commands", "--socket", "/mnt/socket", "--state", "/mnt/state"),
        ]
    )
    try:
        socket = tmp_path / "socket"
        wait_until(lambda: socket.exists() or daemon.poll() is not None)
        outputs = []
        for words in (["world"], ["-r", "greet"]):
            ran = kmodctl("modprobe", *words, environment={"KMODD_SOCKET": str(socket)})
            assert (ran.returncode, ran.stderr) == (0, "")
            outputs.append(re.findall(r"^\w+", ran.stdout, re.MULTILINE))
    finally:
        daemon.kill()
        daemon.wait()
    assert outputs == [["Module", "hello", "world", "greet"], ["Module", "hello"]]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    analyze = require("systemd-analyze", "systemd judges its units itself")
    program = Path(sys.executable).with_name("kmodd")
    units = [tmp_path / each.name for each in (UNIT, PUBLIC, FRONT, FRONT_SOCKET, FLEET)]
    for unit in units:
        text = (SYSTEMD / unit.name).read_text()
        unit.write_text(text.replace("/opt/kmodd/bin", str(program.parent)))
    answer = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_systemd_finds_nothing_wrong_with_what_setup_makes(tmp_path: Path) -> None:
    analyze = require("systemd-analyze", "systemd judges its units itself")
    programs = Path(sys.executable).parent
    rule = tmp_path / "root/usr/lib/udev/rules.d/80-drivers.rules"
    rule.parent.mkdir(parents=True)
    rule.write_text('ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load"\n')
    for piece in pieces(tmp_path / "root", programs):
        place = tmp_path / "units" / piece.path.removeprefix("etc/systemd/system/")
        if place != tmp_path / "units" / piece.path:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(piece.text)
    unit = tmp_path / "units" / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/kmodd/bin/kmodd", str(programs / "kmodd")))
    made = [str(path) for path in (tmp_path / "units").iterdir() if path.is_file()]
    assert len(made) == 3
    answer = subprocess.run(
        [analyze, "verify", "--man=no", *made], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize("unit", EXPOSURE)
def test_systemd_finds_little_to_attack_in_a_unit(unit: Path) -> None:
    analyze = require("systemd-analyze", "systemd judges its units itself")
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE[unit]}", str(unit)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def lines_of(unit: Path) -> dict[str, str]:
    """The settings of a unit, of several of one name the last."""
    return dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)


def test_the_unit_has_descriptors_for_the_connections_of_its_sockets_and_the_public_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = int(lines_of(UNIT)["LimitNOFILE"])
    monkeypatch.setattr("resource.getrlimit", lambda _: (most, most))
    sockets = read_settings(SYSTEMD / "kmodd.toml", Settings()).sockets
    assert connections(Limits().connections, len(sockets) + 1) == Limits().connections


def test_the_front_is_started_by_a_socket_that_is_roots_alone_and_kmodd_wants() -> None:
    socket_unit, unit = lines_of(FRONT_SOCKET), lines_of(UNIT)
    assert (socket_unit["Service"], socket_unit["SocketMode"]) == (FRONT.name, "0600")
    assert "SocketUser" not in socket_unit
    assert FRONT.name == KNOWN_FRONT
    assert unit["Wants"] == FRONT_SOCKET.name
    assert FRONT_SOCKET.name in unit["After"].split()
    place = socket_unit["ListenSequentialPacket"]
    assert unit["ExecStart"].endswith(f"kmodd serve --kernel linux --front {place}")
    front = lines_of(FRONT)
    assert front["ExecStart"] == "/opt/kmodd/bin/kmodd front"
    assert int(front["LimitNOFILE"]) == OPEN_FILES
    assert int(front["TasksMax"]) == THREADS_MAX
    assert megabytes(front["MemoryMax"]) << 20 == MEMORY
    assert megabytes(unit["MemoryMax"]) << 20 > Limits().uploads_bytes


def megabytes(text: str) -> int:
    """What a unit has as 512M or 2G (systemd.resource-control(5))."""
    return int(text[:-1]) * {"M": 1, "G": 1024}[text[-1]]


def test_the_public_socket_is_where_a_client_looks_and_the_unit_may_put_it() -> None:
    lines = lines_of(PUBLIC)
    assert lines["ListenStream"] == PUBLIC_SOCKET
    assert lines["Service"] == UNIT.name
    directories = lines_of(UNIT)["RuntimeDirectory"].split()
    assert str(Path(PUBLIC_SOCKET).parent) in [f"/run/{each}" for each in directories]


def test_the_agent_of_a_fleet_is_who_the_grant_in_the_example_is_for(tmp_path: Path) -> None:
    config = tmp_path / "kmodd.toml"
    text = (SYSTEMD / "kmodd.toml").read_text()
    config.write_text(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE))
    (grant,) = (each for each in read_settings(config, Settings()).grants if each.units)
    assert grant.role is Role.STEWARD
    unit = lines_of(FLEET)
    peer = Peer(uid=61234, gids=frozenset({61234}), pid=7, unit=FLEET.name)
    caller = Grants([grant]).caller(PUBLIC_SOCKET, Role.LOADER, Role.NONE, peer)
    assert (caller.role, caller.source) == (Role.STEWARD, "fleet")
    assert unit["Environment"] == f"KMODD_SOCKET={PUBLIC_SOCKET}"
    assert (unit["DynamicUser"], unit["CapabilityBoundingSet"]) == ("yes", "")


def test_the_example_of_settings_goes_with_the_unit_and_its_groups() -> None:
    lines = lines_of(UNIT)
    groups = {
        line.split()[1]
        for line in (SYSTEMD / "sysusers.d/kmodd.conf").read_text().splitlines()
        if line.startswith("g ")
    }
    settings = read_settings(SYSTEMD / "kmodd.toml", Settings())
    assert groups == set(lines["SupplementaryGroups"].split())
    assert groups == {each.group for each in settings.sockets if each.group}
    directories = {f"/run/{each}" for each in lines["RuntimeDirectory"].split()}
    assert {str(each.path.parent) for each in settings.sockets} < directories


def test_the_public_socket_is_off_in_the_example_and_right_where_it_is_taken_in(
    tmp_path: Path,
) -> None:
    text = (SYSTEMD / "kmodd.toml").read_text()
    config = tmp_path / "kmodd.toml"
    config.write_text(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE))
    before = read_settings(SYSTEMD / "kmodd.toml", Settings())
    settings = read_settings(config, Settings())
    assert before.grants == ()
    (public,) = set(settings.sockets) - set(before.sockets)
    assert (public.mode, public.grants, public.default) == (0o666, True, Role.NONE)
    assert [each.role for each in settings.grants] == [Role.LOADER, Role.STEWARD, Role.OBSERVER]
    unit = lines_of(PUBLIC)
    assert unit["ListenStream"] == str(public.path)
    assert int(unit["SocketMode"], 8) == public.mode
