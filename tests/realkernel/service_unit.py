# SPDX-License-Identifier: Apache-2.0
"""kmodd.service in the guest, as systemd and its journal tell of it."""

import json
import subprocess
from typing import Any

from kmodctl import KmodctlError
from tests.realkernel.scenarios import Session
from tests.support.daemon import wait_until

PATIENCE = 240.0
"""Seconds that a restart may take in the guest."""


def wait_for_another(session: Session, before: int) -> None:
    """Wait until another process than ``before`` serves; asking takes time from its start."""
    wait_until(
        lambda: main_pid() not in (0, before) and answers(session), seconds=PATIENCE, pause=0.5
    )


def answers(session: Session) -> bool:
    try:
        session.client.status()
    except KmodctlError:
        return False
    return True


def main_pid() -> int:
    return int(shown("MainPID")["MainPID"])


def shown(*properties: str, unit: str = "kmodd.service") -> dict[str, str]:
    """Properties of the unit, by name."""
    answer = systemctl("show", unit, f"--property={','.join(properties)}")
    return dict(line.split("=", 1) for line in answer.splitlines())


def systemctl(*arguments: str) -> str:
    command = ["systemctl", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def journal_entries() -> list[dict[str, Any]]:
    """Return what the unit wrote, and what systemd wrote of it, the oldest first."""
    command = ["journalctl", "--unit=kmodd.service", "--output=json", "--no-pager"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def watchdog_timeouts() -> int:
    """Return how often systemd has given the unit up since it showed no sign of life."""
    return sum("Watchdog timeout" in entry["MESSAGE"] for entry in journal_entries())
