# SPDX-License-Identifier: Apache-2.0
"""The gate that udev passes once kmodd has loaded what a device wants.

udev's rule, as ``kmodd setup`` makes it, reads the file ``gate``. That is a named pipe which kmodd
holds open: who reads it waits, and reads its end once all is done that kmodd had heard of when he
opened it. So udev's own queue has the device until then, and ``udevadm settle`` waits as ever,
without a program that is run for each device.

``gate`` leads to a descriptor of kmodd's (/proc/PID/fd/N), so it is there for as long as the
process is and not a moment longer: where kmodd was killed, readers read the end, find no gate, and
udev loads as it would without kmodd. Whenever one has come, another pipe takes the place of the one
that he waits at (dup2(2)), so that nobody who comes later is let through with him.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from kmodd.host.openings import Openings

GATE = "gate"
"""The name of the gate in its directory."""

LINGER = 30.0
"""Seconds that a pipe is kept after those who waited have gone on: who had found it before, and
opens it after, would wait for ever for somebody who writes.
"""

PAUSE = 0.25
"""Seconds between two looks whether there is such a one."""

log = logging.getLogger(__name__)


class _Door:
    """A pipe; ``fd`` holds it open, ``asked`` counts how often it was found to have readers."""

    def __init__(self, path: str, openings: Openings) -> None:
        os.mkfifo(path, 0o600)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.asked = 0
        try:
            self.number = openings.watch(path)
        except OSError:
            os.close(self.fd)
            raise


class UdevGate:
    """The gate in a directory of its own. ``_lock`` guards every field but ``question``.

    ``when_done`` of ``all_heard`` may call back from any thread. A gate that cannot be kept is
    taken away, and the log says so: udev then does its work itself.
    """

    def __init__(self, directory: Path) -> None:
        """Nobody finds the gate before ``open``. Raises OSError."""
        self._directory = directory
        self._openings = Openings()
        self._lock = threading.Lock()
        self._made = 0
        self._stable = -1
        self._current: _Door | None = None
        self._doors: dict[int, _Door] = {}
        self._past: list[tuple[float, str]] = []
        self._timer: threading.Timer | None = None
        self._closed = False

    @property
    def question(self) -> int:
        """A descriptor that can be read when somebody has come to the gate."""
        return self._openings.fd

    def open(self) -> None:
        """Show the gate; what another life of kmodd has left is taken away before."""
        with self._lock:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                for left in self._directory.iterdir():
                    _let_through(str(left))
                    left.unlink()
                self._current = self._door()
                self._stable = os.dup(self._current.fd)
                self._show()
            except OSError as error:
                self._give_up(error)

    def all_heard(self, when_done: Callable[[Callable[[], None]], None]) -> None:
        """Let those pass who have come by now, once all is done that was heard of by now.

        ``when_done`` calls what it is given at that time.
        """
        asked: list[tuple[_Door, int]] = []
        with self._lock:
            try:
                for number in self._openings.take():
                    door = self._doors.get(number)
                    if door is None:
                        continue
                    if door is self._current:
                        self._current = self._door()
                        os.dup2(self._current.fd, self._stable, inheritable=False)
                    door.asked += 1
                    asked.append((door, door.asked))
            except OSError as error:
                self._give_up(error)
        for door, times in asked:
            when_done(partial(self._let_pass, door, times))

    def close(self) -> None:
        """Take the gate away; who waits there goes on at once, as if there were no kmodd."""
        with self._lock:
            self._take_away()
            self._closed = True

    def end(self) -> None:
        """Give back the ``question``, which nobody may look at any more; the gate is closed."""
        self._openings.close()

    def _door(self) -> _Door:
        """Make a pipe; with the lock held."""
        self._made += 1
        door = _Door(f"{self._directory}/{self._made}", self._openings)
        self._doors[door.number] = door
        return door

    def _show(self) -> None:
        """Put the gate in its place; with the lock held."""
        temporary = self._directory / f"{GATE}.new"
        temporary.symlink_to(f"/proc/{os.getpid()}/fd/{self._stable}")
        temporary.replace(self._directory / GATE)

    def _let_pass(self, door: _Door, times: int) -> None:
        """Have those go on who wait at a pipe, unless another has come to it since."""
        with self._lock:
            if self._closed or door.asked != times or self._doors.pop(door.number, None) is None:
                return
            self._retire(door)
            if self._timer is None:
                self._look_later()

    def _retire(self, door: _Door) -> None:
        self._openings.forget(door.number)
        os.close(door.fd)
        self._past.append((time.monotonic(), door.path))

    def _look_later(self) -> None:
        self._timer = threading.Timer(PAUSE, self._look_again)
        self._timer.daemon = True
        self._timer.start()

    def _look_again(self) -> None:
        """Let those go on who had found a pipe in the moment in which it was closed."""
        with self._lock:
            past, self._past = self._past, []
            for retired, path in past:
                _let_through(path)
                if time.monotonic() - retired < LINGER:
                    self._past.append((retired, path))
                else:
                    with suppress(OSError):
                        os.unlink(path)
            self._timer = None
            if self._past:
                self._look_later()

    def _give_up(self, error: OSError) -> None:
        """Leave it to udev, with the lock held."""
        why = error.strerror or str(error)
        log.error("udev loads drivers itself, since %s cannot be kept: %s", self._directory, why)
        self._take_away()

    def _take_away(self) -> None:
        with suppress(OSError):
            (self._directory / GATE).unlink()
        if self._stable >= 0:
            os.close(self._stable)
        self._stable, self._current = -1, None
        for door in self._doors.values():
            self._retire(door)
        self._doors.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, path in self._past:
            _let_through(path)
            with suppress(OSError):
                os.unlink(path)
        self._past = []


def _let_through(path: str) -> None:
    """Have those read its end who wait for somebody to open a pipe for writing."""
    with suppress(OSError):  # ENXIO: nobody waits
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW))
