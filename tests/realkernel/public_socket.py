# SPDX-License-Identifier: Apache-2.0
"""Who asks at the public socket of the guest, whom kmodd takes him for, and what he gets."""

import errno
import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmodd.host.peers import SO_PEERPIDFD
from kmodd.v1.daemon_service_pb2 import WhoAmIResponse
from kmodd.v1.policy_pb2 import Role
from tests.realkernel.knocker import Knock
from tests.realkernel.scenarios import Record, Session
from tests.realkernel.service_unit import FRONT, front_pid, main_pid, shown, wait_for_another
from tests.support.http2 import RawConnection

PUBLIC_SOCKET = "/run/kmodd/kmodd.sock"
KMODCTL = "/opt/kmodd/bin/kmodctl"
WHO_AM_I = "/kmodd.v1.DaemonService/WhoAmI"

ASK = """\
for module in world gplsym; do
    {kmodctl} "$@" modprobe $module && {kmodctl} "$@" modprobe -r $module
    echo $?
done
echo $$
exec {kmodctl} "$@" --json whoami
"""
"""Load and unload two modules, tell which process one is, and ask who that is.

The arguments are options of kmodctl's: root's asks at another socket unless it is told.
"""

SCRIPT = Path("/run/ask.sh")
CALLERS = 4
"""Who call without a pause while a front is killed."""

AT_PUBLIC_SOCKET = ("--socket", PUBLIC_SOCKET)


def callers(_session: Session) -> Record:
    """What each gets, by who it is."""
    SCRIPT.write_text(ASK.format(kmodctl=KMODCTL))
    scope = ("systemd-run", "--quiet", "--scope", "--unit=machine-web.scope")
    namespace = ("unshare", "--pid", "--fork", "--mount-proc")
    return {
        "user": _told(_as("games")),
        "group": _told(_as("bin", "kmodd-loader")),
        "unit": _told_by_unit("kmodd-network.service", "sys"),
        "container": _told(scope, *AT_PUBLIC_SOCKET),
        "namespace": _told(namespace, *AT_PUBLIC_SOCKET),
        "stranger": _told(_as("nobody")),
        "root": _told((), *AT_PUBLIC_SOCKET),
        "root by himself": _told(()),
    }


def _as(user: str, *groups: str) -> tuple[str, ...]:
    """The command that runs another as ``user``, in those groups besides his own."""
    own = str(pwd.getpwnam(user).pw_gid)
    others = f"--groups={','.join(groups)}" if groups else "--clear-groups"
    return ("setpriv", f"--reuid={user}", f"--regid={own}", others)


def _told(through: Sequence[str], *options: str) -> Record:
    """Run the script by the command ``through``, and return what it found."""
    command = [*through, "/bin/sh", str(SCRIPT), *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return _read(answer.stdout, answer.stderr)


def _told_by_unit(unit: str, user: str) -> Record:
    """The same in a unit of its own, as ``user``."""
    output, errors = Path("/run/asked.output"), Path("/run/asked.errors")
    subprocess.run(
        [
            *("systemd-run", "--quiet", f"--unit={unit}", f"--uid={user}"),
            *("--property=Type=oneshot", f"--property=StandardOutput=file:{output}"),
            *(f"--property=StandardError=file:{errors}", "/bin/sh", str(SCRIPT)),
        ],
        check=True,
    )
    return _read(output.read_text(), errors.read_text())


def _read(output: str, errors: str) -> Record:
    """Return what a script found: the two exit statuses, its process, and who that is."""
    lines = output.split("\n", 3)
    assert len(lines) == 4, output + errors
    who = json.loads(lines[3])
    return {
        "load": [int(status) for status in lines[:2]],
        "is_its_process": int(lines[2]) == who["caller"]["pid"],
        "who": who,
    }


def one_who_has_ended(_session: Session) -> Record:
    """Someone connects, and has ended before kmodd, which is stopped, can ask who that was."""
    user = pwd.getpwnam("games")
    daemon = main_pid()
    ours, its = socket.socketpair()
    os.kill(daemon, signal.SIGSTOP)
    try:
        child = os.fork()
        if child == 0:
            with socket.socket(socket.AF_UNIX) as connecting:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
                connecting.connect(PUBLIC_SOCKET)
                socket.send_fds(its, [b"."], [connecting.fileno()])
            os._exit(0)
        _, (connected,), _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(child, 0)
    finally:
        os.kill(daemon, signal.SIGCONT)
    found = socket.socket(fileno=connected)
    with RawConnection(Path(PUBLIC_SOCKET), connected=found) as raw:
        who = WhoAmIResponse.FromString(raw.answer(WHO_AM_I)[0])
    caller = who.caller
    return {
        "is_user": caller.uid == user.pw_uid,
        "role": Role.Name(who.role),
        "process": [caller.pid, caller.command, caller.unit],
        "release": os.uname().release,
        "has_descriptors": _has_descriptors(ours),
    }


def _has_descriptors(connected: socket.socket) -> bool:
    """Tell whether the kernel names a peer by a descriptor of its process."""
    try:
        os.close(connected.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD))
    except OSError as error:
        return error.errno != errno.ENOPROTOOPT
    return True


def killed_under_calls(session: Session) -> Record:
    """A user knocks all the time while kmodd is killed and comes back."""
    with _knocking() as knocked:
        before = main_pid()
        gone = _killed(before)
        wait_for_another(session, before)
        back = time.monotonic()
    ends = [status for began, _, _, status in knocked if began > gone]
    return {
        "refusals": sorted({refusal for _, _, refusal, _ in knocked}),
        "before": sum(began <= gone for began, *_ in knocked),
        "meanwhile": sum(gone < began <= back for began, *_ in knocked),
        "ends": sorted(set(ends)),
        "unit": shown("ActiveState", "NRestarts"),
        "socket": shown("ActiveState", unit="kmodd-public.socket"),
    }


def front_killed_under_calls(session: Session) -> Record:
    """The same while the front is killed, and some call without a pause.

    kmodd, an admin and his hold do not notice. How long it takes until somebody is answered by the
    next one is in seconds.
    """
    daemon, starts = main_pid(), shown("NRestarts")
    held = session.client.hold("hello")
    with _knocking(CALLERS) as knocked:
        before = front_pid()
        gone = _killed(before)
        after = front_pid()
        time.sleep(1)
    answered = [end for began, end, _, status in knocked if began > gone and status == "0"]
    record = {
        "refusals": sorted({refusal for _, _, refusal, _ in knocked}),
        "before": sum(end <= gone for _, end, _, _ in knocked),
        "ends": sorted({status for began, _, _, status in knocked if began > gone}),
        "back": min(answered) - gone,
        "is_another": after not in (0, before),
        "same": (main_pid(), shown("NRestarts")) == (daemon, starts),
        "holds": len(session.client.list_holds()),
        "unit": shown("ActiveState", unit=FRONT),
    }
    held.close()
    session.unload("hello")
    return record


def _killed(pid: int) -> float:
    """Kill a process, and return when it had gone (time.monotonic)."""
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([process], [], [])
    os.close(process)
    return time.monotonic()


@contextmanager
def _knocking(callers: int = 0) -> Iterator[list[Knock]]:
    """Have a user knock at the public socket; what became of it is in the list afterwards."""
    command = [sys.executable, "-m", "tests.realkernel.knocker", PUBLIC_SOCKET, str(callers)]
    knocked: list[Knock] = []
    with subprocess.Popen(
        [*_as("games"), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as knocker:
        assert knocker.stdin is not None
        assert knocker.stdout is not None
        assert knocker.stdout.readline() == "answered\n"
        yield knocked
        knocked += json.loads(knocker.communicate()[0])
    assert knocker.returncode == 0
