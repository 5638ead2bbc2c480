# SPDX-License-Identifier: Apache-2.0
"""kmodd.service in the guest, as systemd and its journal tell of it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from kmodctl import KmodctlError
from tests.realkernel.scenarios import Session
from tests.support.daemon import wait_until
from tests.support.http2 import RawConnection

FRONT = "kmodd-public.service"
"""The unit that reads what others than admins send."""

OBSERVERS_SOCKET = Path("/run/kmodd/observer/kmodd.sock")
LIST = "/kmodd.v1.ModuleService/ListModules"

PATIENCE = 240.0
"""Seconds that a restart may take in the guest."""


def wait_for_another(session: Session, before: int) -> None:
    """Wait until another process than ``before`` serves; asking takes time from its start.

    It answers before it has told systemd that it is ready.
    """

    def is_there() -> bool:
        is_another = main_pid() not in (0, before) and answers(session)
        return is_another and shown("ActiveState") == {"ActiveState": "active"}

    wait_until(is_there, seconds=PATIENCE, pause=0.5)


def answers(session: Session) -> bool:
    try:
        session.client.status()
    except KmodctlError:
        return False
    return True


def main_pid(unit: str = "kmodd.service") -> int:
    return int(shown("MainPID", unit=unit)["MainPID"])


def rights_of(pid: int) -> dict[str, str]:
    """Return the lines of a process's status that tell what it may (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    names = ("CapPrm", "CapEff", "CapInh", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Uid")
    return {name: fields[name] for name in names}


def front_pid() -> int:
    """Return the process that reads what those send who are no admins, once it does.

    Its unit's first process only waits for daemons.
    """
    with RawConnection(OBSERVERS_SOCKET, patience=PATIENCE) as raw:
        raw.await_answer(raw.call(LIST))
    group = shown("ControlGroup", unit=FRONT)["ControlGroup"]
    processes = Path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text().split()
    (front,) = {int(each) for each in processes} - {main_pid(FRONT)}
    return front


def exposure(unit: str) -> float:
    """Return how much there is to attack in a unit, as systemd sees it; 10 is the most."""
    answer = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", answer.stdout)
    assert found, answer.stdout
    return float(found[1])


def shown(*properties: str, unit: str = "kmodd.service") -> dict[str, str]:
    """Properties of the unit, by name."""
    answer = systemctl("show", unit, f"--property={','.join(properties)}")
    return dict(line.split("=", 1) for line in answer.splitlines())


def systemctl(*arguments: str) -> str:
    command = ["systemctl", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def reload() -> None:
    """Reload kmodd.service, and return once that is done.

    systemd waits for the signal alone where it hears of the reload only after that was sent.
    """
    before = _reloads()
    systemctl("reload", "kmodd.service")
    wait_until(
        lambda: _reloads() > before and shown("ActiveState") == {"ActiveState": "active"},
        seconds=PATIENCE,
        pause=0.5,
    )


def _reloads() -> int:
    return sum(each["MESSAGE"] == "reloaded" for each in journal_entries())


def journal_entries(*matches: str) -> list[dict[str, Any]]:
    """Return what the unit wrote, and what systemd wrote of it, the oldest first.

    With ``matches`` only what has these fields, whoever wrote it.
    """
    command = ["journalctl", "--output=json", "--no-pager"]
    command += matches or ["--unit=kmodd.service"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def watchdog_timeouts() -> int:
    """Return how often systemd has given the unit up since it showed no sign of life."""
    return sum("Watchdog timeout" in entry["MESSAGE"] for entry in journal_entries())
