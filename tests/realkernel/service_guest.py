# SPDX-License-Identifier: Apache-2.0
"""What runs beside kmodd.service in the guest: ``service_guest.py UPLOADS OUTPUT``."""

import contextlib
import ctypes
import errno
import grp
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from kmodctl import Client, KmodctlError
from kmodd.log_kinds import LogKind
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import module_service_pb2_grpc
from tests.realkernel.fleet_unit import fleet
from tests.realkernel.guest import hints
from tests.realkernel.public_socket import (
    callers,
    front_killed_under_calls,
    killed_under_calls,
    one_who_has_ended,
)
from tests.realkernel.scenarios import (
    Record,
    Session,
    dependencies,
    failing_init,
    run,
    set_parameters,
)
from tests.realkernel.service_unit import (
    FRONT,
    PATIENCE,
    exposure,
    front_pid,
    journal_entries,
    main_pid,
    reload,
    rights_of,
    shown,
    systemctl,
    wait_for_another,
    watchdog_timeouts,
)
from tests.realkernel.wished import wished
from tests.support.daemon import wait_until

SOCKET = "/run/kmodd/admin/kmodd.sock"
TEST_SOCKET = "/run/kmodd/test/kmodd.sock"
TEST_SETTINGS = Path("/etc/kmodd/kmodd.toml.d/test.toml")
STATE = Path("/var/lib/kmodd")
OBSERVERS, LOADERS = "kmodd-observer", "kmodd-loader"
NOBODY = 65534
CALLER_ATTEMPTS = 3
MODPROBE_PATH = Path("/proc/sys/kernel/modprobe")
KMOD = Path("/usr/bin/kmod")
AF_PPPOX = 24
CLONE_NEWNET = 0x40000000
CALLS, NAMES = 50, 1000
"""How many calls are under way when the service is to stop, and how many names are in each."""


def main(arguments: Sequence[str]) -> None:
    """Run everything, and write a line of JSON for each."""
    uploads, output = arguments
    with open(output, "w", buffering=1) as results, Client(SOCKET) as client:
        session = Session(client, Path(uploads))
        checks: tuple[Callable[..., Record], ...] = (
            started,
            early,
            front,
            tree_made_writable,
            dependencies,
            failing_init,
            set_parameters,
            kernels_requests,
            hints_in_its_network,
            strangers,
            roles,
            callers,
            one_who_has_ended,
            reloaded,
            reloaded_while_a_loader_waits,
            killed_while_loading,
            killed_under_calls,
            stopped_process,
            journal,
            journal_of_a_module,
            front_killed_under_calls,
            wished,
            fleet,
            ended,
            kernels_request_without_a_daemon,
        )
        for check in checks:
            began = time.monotonic()
            record = run(session, check)
            results.write(json.dumps({"scenario": check.__name__, "record": record}) + "\n")
            print(f"{check.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def started(session: Session) -> Record:
    status = session.client.status()
    return {
        "unit": shown("ActiveState", "NRestarts", "StatusText"),
        "published": is_published(),
        "problem": status.tree.problem,
        "log": next(record.text for record in session.client.read_log()),
        "hides_processes": "hidepid=invisible" in Path(f"/proc/{main_pid()}/mountinfo").read_text(),
        "capabilities": rights_of(main_pid())["CapEff"],
    }


def front(_session: Session) -> Record:
    """The front is a unit of its own, and may do less than its unit lets it."""
    pid = front_pid()
    rights = rights_of(pid)
    return {
        "kmodd": exposure("kmodd.service"),
        "front": exposure(FRONT),
        "rights": {name: rights[name] for name in ("CapPrm", "CapEff", "CapInh", "NoNewPrivs")},
        "filters": [int(rights_of(each)["Seccomp_filters"]) for each in (main_pid(), pid)],
        "uid": int(rights["Uid"].split()[0]),
        "said": sum(
            each["MESSAGE"].startswith(f"what is sent by others than admins is read by {FRONT} (")
            for each in journal_entries()
        ),
        "socket": f"{os.stat('/run/kmodd/front.sock').st_mode:o}",
        "bounds": shown("MemoryMax", "TasksMax", unit=FRONT) | {"kmodd": shown("MemoryMax")},
    }


def is_published() -> bool:
    (release,) = Path("/lib/modules").iterdir()
    return (release / "modules.dep.bin").exists()


def tree_made_writable(session: Session) -> Record:
    """What the service sees of /lib/modules is a copy, in which the mount stays read-only."""
    before = main_pid()
    subprocess.run(["mount", "-o", "remount,rw", "/usr/lib/modules"], check=True)
    wait_for_another(session, before)
    return {
        "unit": shown("ActiveState", "NRestarts"),
        "published": is_published(),
        "problem": session.client.status().tree.problem,
    }


def kernels_requests(session: Session) -> Record:
    """A file system and a network protocol are used that are modules; kmod cannot help.

    The first by what the kernel calls for itself, the other by what it is told to call.
    """
    usual = MODPROBE_PATH.read_text()
    KMOD.chmod(0o644)
    mounted = mount("minix")
    MODPROBE_PATH.write_text("/opt/kmodd/bin/modprobe")
    with contextlib.suppress(OSError):  # the family comes, and has no protocol of number 0
        socket.socket(AF_PPPOX, socket.SOCK_DGRAM).close()
    listed = session.listed("minix", "pppox", "ppp_generic")
    MODPROBE_PATH.write_text(usual)
    KMOD.chmod(0o755)
    session.unload("minix", "pppox")
    return {
        "path": usual,
        "modprobe": os.readlink("/sbin/modprobe"),
        "mounted": mounted,
        "listed": sorted(listed),
    }


def kernels_request_without_a_daemon(_session: Session) -> Record:
    """What was preserved of kmod does it."""
    mounted = mount("efs")
    listed = Path("/sys/module/efs").exists()
    return {"mounted": mounted, "listed": listed}


def mount(kind: str) -> str:
    """Ask for a file system where none is; returns the kernel's refusal."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(b"none", b"/mnt", kind.encode(), 0, None)
    return errno.errorcode[ctypes.get_errno()]


def hints_in_its_network(session: Session) -> Record:
    """The kernel's events come to a network without interfaces, which is what kmodd has."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter_and_look() -> Record:
        with open(f"/proc/{main_pid()}/ns/net") as network:
            if libc.setns(network.fileno(), CLONE_NEWNET):  # it concerns this thread alone
                raise OSError(ctypes.get_errno(), "setns")
        return hints(session)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter_and_look).result()


def early(_session: Session) -> Record:
    """It was ready before /var was there; what it keeps there follows."""

    def activated(unit: str) -> int:
        key = "ActiveEnterTimestampMonotonic"
        return int(shown(key, unit=unit)[key])

    subprocess.run(["systemd-tmpfiles", "--create", "kmodd.conf"], check=True)
    wait_until(lambda: any(STATE.glob("*.records")), seconds=PATIENCE, pause=0.5)
    return {
        "before_var": activated("kmodd.service") < activated("var.mount"),
        "state": f"{STATE.stat().st_mode:o}",
    }


def strangers(_session: Session) -> Record:
    """Who may connect to which socket: a member of no group, and of one group each."""
    found = {}
    for group in ("nogroup", OBSERVERS, LOADERS):
        number = grp.getgrnam(group).gr_gid
        found[group] = {
            socket: refusal
            for socket in ("admin", "observer", "loader", "test")
            if (refusal := connected(f"/run/kmodd/{socket}/kmodd.sock", number))
        }
    return found


def connected(path: str, group: int) -> int:
    """Connect as a user of that group alone; returns the errno."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(NOBODY)
        os._exit(socket.socket(socket.AF_UNIX).connect_ex(path))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def roles(_session: Session) -> Record:
    """What an observer and two loaders get."""
    found = {}
    for group, places in ((OBSERVERS, ("observer",)), (LOADERS, ("test", "loader"))):
        sockets = {f"/run/kmodd/{place}/kmodd.sock": place for place in places}
        told = _ask(",".join(sockets), grp.getgrnam(group).gr_gid)
        found.update({place: told[socket] for socket, place in sockets.items()})
    return found


def _ask(sockets: str, group: int) -> Record:
    """Return what caller.py finds at the sockets, as nobody in that group."""
    command = [sys.executable, "-m", "tests.realkernel.caller", sockets, "world", "gplsym"]
    # Once an abort ended it before it had called anything; what it said then was not kept.
    for _ in range(CALLER_ATTEMPTS):
        answer = subprocess.run(
            command, user=NOBODY, group=group, extra_groups=[], capture_output=True, check=False
        )
        if answer.returncode >= 0:
            break
    assert answer.returncode == 0, answer.stderr.decode("utf-8", "replace")
    told: Record = json.loads(answer.stdout)
    return told


def reloaded(session: Session) -> Record:
    """Configuration that came without an event's help is in force after a reload."""
    before = main_pid()
    Path("/etc/modprobe.d/late.conf").write_text("alias kmodd-late gplsym\n")
    reload()
    loaded = session.load("kmodd-late")
    session.unload("gplsym")
    return {"same": main_pid() == before, "load": loaded, "unit": shown("ActiveState")}


def reloaded_while_a_loader_waits(session: Session) -> Record:
    """A loader waits for an hour at a socket that a reload changes; the watchdog goes on."""
    session.load("world")
    before = main_pid()

    def waits() -> list[str]:
        found = (each.waits_for_module for each in session.client.list_operations())
        return [module for module in found if module]

    def answered() -> str:
        return shown("WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"]

    with Client(TEST_SOCKET) as loader, ThreadPoolExecutor(1) as pool:
        hour = Duration(seconds=3600)
        waiting = pool.submit(Session(loader, session.uploads).remove, "greet", wait=hour)
        try:
            wait_until(lambda: bool(waits()), seconds=PATIENCE)
            TEST_SETTINGS.write_text(TEST_SETTINGS.read_text().replace("0o660", "0o600"))
            systemctl("reload", "kmodd.service")
            wait_until(lambda: os.stat(TEST_SOCKET).st_mode & 0o777 == 0o600, seconds=PATIENCE)
            last = answered()
            wait_until(lambda: answered() != last, seconds=PATIENCE, pause=0.5)
            record = {
                "same": main_pid() == before,
                "unit": shown("ActiveState", "NRestarts"),
                "watchdog_timeouts": watchdog_timeouts(),
                "waits": waits(),
            }
        finally:
            session.remove("world")
    return record | {"waited": waiting.result()}


def killed_while_loading(session: Session) -> Record:
    """The kernel is as it is, and the next daemon tells of it, and of what was asked for.

    The client that holds a module goes with the daemon that it holds it by.
    """
    session.load("hello")
    held = session.client.hold("gplsym")
    holds = [len(session.client.list_holds())]
    stop = threading.Event()

    def keep_loading() -> None:
        with Client(SOCKET) as other:
            while not stop.is_set():
                try:
                    other.load("world")
                    other.unload("world")
                except KmodctlError:
                    time.sleep(0.1)

    loader = threading.Thread(target=keep_loading)
    loader.start()
    time.sleep(1)
    before = main_pid()
    os.kill(before, signal.SIGKILL)
    stop.set()
    loader.join()
    wait_for_another(session, before)
    listed = [module.name for module in session.client.list_modules()]
    in_kernel = [line.split()[0] for line in Path("/proc/modules").read_text().splitlines()]
    origins = {
        module.name: pb.Origin.Name(module.origin)
        for module in session.client.list_modules()
        if module.name in ("hello", "overlay")
    }
    held.close()
    holds.append(len(session.client.list_holds()))
    works = session.load("world")
    session.unload("world", "hello", "gplsym")
    return {
        "origins": origins,
        "holds": holds,
        "listed": listed == in_kernel and "hello" in listed,
        "works": works,
        "unit": shown("ActiveState", "NRestarts"),
    }


def stopped_process(session: Session) -> Record:
    """A process that does nothing any more is killed by the watchdog, and another one started."""
    before = main_pid()
    os.kill(before, signal.SIGSTOP)
    wait_for_another(session, before)
    return {"unit": shown("ActiveState", "NRestarts")}


def journal(_session: Session) -> Record:
    """The priorities of what kmodd wrote.

    Whether it tries to keep its records before /var is there depends on how long the boot takes.
    """
    ours = [entry for entry in journal_entries() if entry.get("SYSLOG_IDENTIFIER") == "kmodd"]
    left_out = [entry for entry in ours if entry["MESSAGE"].endswith("; the socket is left out")]
    return {
        "left_out": [[entry["PRIORITY"], entry["MESSAGE"]] for entry in left_out],
        "listening": [
            entry["PRIORITY"] for entry in ours if entry["MESSAGE"].startswith("listening on")
        ],
        "warnings": [
            entry["MESSAGE"]
            for entry in ours
            if int(entry["PRIORITY"]) <= 4
            and entry not in left_out
            and not entry["MESSAGE"].startswith(
                ("refused to ", "the same or the like ", "operation=")
            )
            and not (str(STATE) in entry["MESSAGE"] and " cannot be kept: " in entry["MESSAGE"])
        ],
    }


def journal_of_a_module(_session: Session) -> Record:
    """What the journal has of a module that came as a dependency, and of one that was refused."""
    subprocess.run(["journalctl", "--update-catalog"], check=True)
    loaded = journal_entries("KMODD_MODULE=greet", "KMODD_ACTION=load", "KMODD_RESULT=done")
    refused = journal_entries("KMODD_MODULE=halfway", "PRIORITY=4")
    explained = subprocess.run(
        ["journalctl", "--no-pager", "-x", f"MESSAGE_ID={LogKind.LOAD_REFUSED.value}"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = ("_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "MESSAGE_ID", "KMODD_UID", "KMODD_MODULE")
    return {
        "loaded": {name: loaded[0][name] for name in names},
        "refused": {name: refused[0][name] for name in names},
        "explained": [line for line in explained.stdout.splitlines() if "Subject: " in line][-1],
    }


def ended(session: Session) -> Record:
    """It is told to stop while many wait for what it finds of very many names.

    How long that took is what systemd noted, in microseconds.
    """
    with grpc.insecure_channel(f"unix:{SOCKET}") as channel:
        load = module_service_pb2_grpc.ModuleServiceStub(channel).LoadModules
        calls = [
            load.future(pb.LoadModulesRequest(names=[f"gone{at}_{n}" for n in range(NAMES)]))
            for at in range(CALLS)
        ]

        def begun() -> int:
            answered = [call for call in calls if call.done()]
            return len(answered) + len(session.client.list_operations())

        wait_until(lambda: begun() >= CALLS, seconds=PATIENCE)
        systemctl("stop", "kmodd.service")
        codes = [call.code().name for call in calls]
    asked, over = "ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic"
    times = shown(asked, over)
    return {
        "unit": shown("ActiveState", "Result"),
        "socket": os.path.exists(SOCKET),
        "took": int(times[over]) - int(times[asked]),
        "codes": {code: codes.count(code) for code in codes},
        "watchdog_timeouts": watchdog_timeouts(),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
