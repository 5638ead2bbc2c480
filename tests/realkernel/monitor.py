# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor, as the guest itself asks for it: to have devices plugged in and taken out.

The guest writes a command to a file in the directory that it shares, and finds the answer in
another one.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import wait_until

PROMPT = b"(qemu) "
PAUSE = 0.2
"""Seconds between two looks for a command."""

PATIENCE = 300.0
"""Seconds that the guest waits for an answer."""


@contextmanager
def attended(path: Path, output: Path) -> Iterator[None]:
    """Carry out what the guest asks for in ``output`` at the monitor that QEMU has at ``path``."""
    over = threading.Event()
    attendant = threading.Thread(target=_attend, args=(path, output, over))
    attendant.start()
    try:
        yield
    finally:
        over.set()
        attendant.join()


def _attend(path: Path, output: Path, over: threading.Event) -> None:
    number = 0
    while not over.wait(PAUSE):
        command = output / f"monitor-{number}"
        if not command.exists():
            continue
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(path))
            _read(monitor)
            monitor.sendall(command.read_bytes() + b"\n")
            answer = _read(monitor)
        _put(output / f"monitor-{number}-answer", answer.decode("utf-8", "replace"))
        number += 1


def _read(monitor: socket.socket) -> bytes:
    """Read what is said up to the next prompt."""
    said = b""
    while not said.endswith(PROMPT):
        more = monitor.recv(4096)
        if not more:
            break
        said += more
    return said


class GuestsMonitor:
    """The guest's end; ``output`` is the directory that it shares."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._number = 0

    def ask(self, command: str) -> str:
        """Have a command carried out; returns what QEMU says to it."""
        place = self._output / f"monitor-{self._number}"
        answer = place.with_name(f"{place.name}-answer")
        self._number += 1
        _put(place, command)
        wait_until(answer.exists, seconds=PATIENCE, pause=PAUSE)
        return answer.read_text()


def _put(path: Path, text: str) -> None:
    """Write a file that is there as a whole once it is there."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text)
    temporary.rename(path)
