# SPDX-License-Identifier: Apache-2.0
"""kmodd-public.service and its socket without systemd: a socket that starts the front."""

import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "front"}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What a service manager does between fork and exec (sd_listen_fds(3))."""

FRONT = (sys.executable, "-m", "kmodd", "front")

LOOK = 0.05
PATIENCE = 60.0


class FrontUnit:
    """Starts a front whenever somebody connects and none runs, as a socket unit does."""

    def __init__(self, listening: socket.socket) -> None:
        self.place = Path(listening.getsockname())
        self.starts = 0
        self._listening = listening
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def pid(self) -> int:
        """Return the process that waits for daemons."""
        assert self._process is not None
        return self._process.pid

    def front_pid(self) -> int:
        """Return the process that serves the daemon there is; waits for it."""
        found: list[int] = []
        deadline = time.monotonic() + PATIENCE
        while not found:
            assert time.monotonic() < deadline, "there is no front"
            time.sleep(LOOK)
            process = self._process
            if process is None:
                continue
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            with suppress(OSError):
                found = [int(each) for each in children.read_text().split()]
        return found[-1]

    def stop(self) -> None:
        """End the front, and start no other."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        fd = self._listening.fileno()
        while not self._over.is_set():
            if self._process is None and select.select([fd], [], [], LOOK)[0]:
                self.starts += 1
                command = [sys.executable, "-c", HAND_OVER, str(fd), *FRONT]
                self._process = subprocess.Popen(command, pass_fds=(fd,))
            elif self._process is not None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(LOOK)
                    self._process = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def front_socket() -> Iterator[socket.socket]:
    """A socket that listens as kmodd-front.socket does, for this user alone."""
    with (
        tempfile.TemporaryDirectory(prefix="kmodd-test-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        os.chmod(directory, 0o755)
        listening.bind(f"{directory}/front.sock")
        os.chmod(f"{directory}/front.sock", 0o600)
        listening.listen(16)
        yield listening


@contextmanager
def front_unit() -> Iterator[FrontUnit]:
    """A front's unit that waits for a daemon."""
    with front_socket() as listening:
        unit = FrontUnit(listening)
        try:
            yield unit
        finally:
            unit.stop()
