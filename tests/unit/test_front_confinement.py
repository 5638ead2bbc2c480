# SPDX-License-Identifier: Apache-2.0
"""What a front has given up, and what it could not do if it would."""

import json
import os
import subprocess
import sys
from typing import Any

from kmodd.front.confinement import OPEN_FILES
from tests.support.daemon import may_give_up_all

SCRIPT = """
import array, errno, fcntl, json, os, resource, socket, sys, threading
from kmodd import system_calls
from kmodd.front.confinement import give_up_privileges

os.mkdir("/tmp/kmodd-test-%d" % os.getpid())
limits = os.open("/proc/self/limits", os.O_RDONLY)
status = os.open("/proc/self/status", os.O_RDONLY)
here, there = socket.socketpair()
refused = give_up_privileges(1 << 30)

def tried(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

def threaded():
    done = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    return done

def passed():
    socket.send_fds(here, [b"x"], [status])
    said, (taken,), _, _ = socket.recv_fds(there, 1, 1)
    return os.pread(taken, 5, 0).decode()

print(json.dumps({
    "refused": refused,
    "read": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "list": tried(lambda: os.listdir("/etc")),
    "make": tried(lambda: os.open("/tmp/kmodd-test-file", os.O_CREAT | os.O_WRONLY)),
    "remove": tried(lambda: os.rmdir("/tmp/kmodd-test-%d" % os.getpid())),
    "execute": tried(lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
    "become": tried(lambda: os.setresuid(0, 0, 0)),
    "limits": os.pread(limits, 1 << 16, 0).decode(),
    "socket": tried(lambda: socket.socket(socket.AF_UNIX).close()),
    "network": tried(lambda: socket.socket(socket.AF_INET)),
    "netlink": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "fork": tried(os.fork),
    "signal": tried(lambda: os.kill(os.getppid(), 0)),
    "own": tried(lambda: fcntl.fcntl(here, fcntl.F_SETOWN, os.getpid())),
    "thread": threaded(),
    "passed": passed(),
    "status": os.pread(status, 1 << 16, 0).decode(),
}))
"""


def confined(script: str = SCRIPT) -> dict[str, Any]:
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def status_line(found: dict[str, Any], name: str) -> list[str]:
    """Return the words of a line of a process's status (proc_pid_status(5))."""
    (line,) = (line for line in found["status"].splitlines() if line.startswith(f"{name}:"))
    return str(line).partition(":")[2].split()


def limit_of(found: dict[str, Any], name: str) -> list[str]:
    """Return the soft and the hard limit of a process (proc_pid_limits(5))."""
    limits = found["limits"].splitlines()
    (line,) = (line for line in limits if line.startswith(name))
    return str(line).removeprefix(name).split()[:2]


def test_a_front_opens_makes_and_executes_nothing() -> None:
    found = confined()
    tried = [found[what] for what in ("read", "list", "make", "remove", "execute", "fork")]
    assert tried == ["EPERM"] * 6
    assert status_line(found, "Seccomp") == ["2"]


def test_a_front_has_unix_sockets_and_no_network() -> None:
    found = confined()
    assert [found[what] for what in ("socket", "network", "netlink")] == ["", "EPERM", "EPERM"]
    assert [found[what] for what in ("signal", "own")] == ["EPERM", "EPERM"]
    assert (found["thread"], found["passed"]) == ([1], "Name:")


def test_without_the_filter_it_opens_makes_and_executes_nothing_either() -> None:
    script = SCRIPT.replace("tried(os.fork)", "''")
    found = confined(script.replace("refused =", "system_calls.ARCHITECTURES.clear()\nrefused ="))
    tried = [found[what] for what in ("read", "list", "make", "remove", "execute")]
    assert tried == ["EACCES"] * 5
    assert status_line(found, "Seccomp") == ["0"]
    assert found["refused"][-1] == "a filter of system calls: Function not implemented"


def test_a_front_of_roots_is_nobody_and_stays_it() -> None:
    found = confined()
    assert limit_of(found, "Max data size") == [str(1 << 30)] * 2
    assert int(limit_of(found, "Max open files")[1]) <= OPEN_FILES
    if may_give_up_all():
        assert found["refused"] == []
    if os.geteuid() == 0:
        assert found["become"] == "EPERM"
        assert status_line(found, "Groups") == []
        (uid,) = set(status_line(found, "Uid"))
        assert uid not in ("0", "65534")
