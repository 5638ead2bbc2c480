# SPDX-License-Identifier: Apache-2.0
"""A real kmodd in a process of its own, and kmodctl as a user runs it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kmodctl.client import Client
from tests.support.tree import ModuleTree

START = 60.0
"""Seconds that a daemon may take to listen, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: its process, its socket, and what it writes to stderr."""

    process: "subprocess.Popen[bytes]"
    socket: Path
    log: Path

    def client(self) -> Client:
        """Return a new connection."""
        return Client(str(self.socket))

    def kmodctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run kmodctl against this daemon, as a process."""
        return kmodctl(*arguments, environment={"KMODD_SOCKET": str(self.socket)})

    def kernel_pid(self) -> int:
        """Return the process that the daemon's emulated kernel is in."""
        (found,) = self.children("kmodd.kernel.emulated.process.child")
        return found

    def front_pid(self) -> int:
        """Return the process that reads what those send who are no admins; waits for it."""
        wait_until(lambda: bool(self.children("kmodd.front.process")))
        (found,) = self.children("kmodd.front.process")
        return found

    def children(self, what: str = "") -> list[int]:
        """Return the processes it has started that still run, with ``what`` in their command."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = [int(pid) for task in tasks for pid in text_of(task).split()]
        return [pid for pid in found if what in text_of(Path(f"/proc/{pid}/cmdline"))]

    def open_files(self) -> list[str]:
        """Return what the daemon's descriptors lead to, less those closed by now."""
        found = []
        for each in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(os.readlink(each))
        return found

    def health(self, service: str) -> str:
        """What the daemon says of one of its services: SERVING or NOT_SERVING."""
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            request = health_pb2.HealthCheckRequest(service=f"kmodd.v1.{service}")
            answer = health_pb2_grpc.HealthStub(channel).Check(request)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def stop(self) -> int:
        """Ask the daemon to stop; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START)


def kmodctl(
    *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run kmodctl as a process, with nothing but ``environment`` telling it of a daemon."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KMODD_SOCKET", "XDG_RUNTIME_DIR")
    }
    return subprocess.run(
        [sys.executable, "-m", "kmodctl", *arguments],
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=START,
    )


@contextmanager
def running_daemon(
    root: Path,
    *arguments: str,
    place: str = "run/kmodd.sock",
    through: Sequence[str] = (),
    settings: str = "",
    seconds: float = START,
    python: str = sys.executable,
    descriptors: Sequence[int] = (),
) -> Iterator[Daemon]:
    """Start ``kmodd serve`` on ``root`` and yield it once it listens; kill it at the end.

    ``seconds`` is how long it may take to listen, ``python`` the interpreter that it is run by,
    ``descriptors`` what it inherits.

    ``place`` is its socket's path in a directory that goes with it, ``through`` a command that
    runs the daemon as its last words. ``settings`` is a kmodd.toml to be used in place of one
    socket for admins; ``@`` in it stands for a directory that goes with the daemon, and it must
    have a socket at ``@`` with ``place`` behind it. The daemon's log goes to stderr at the end.
    """
    with tempfile.TemporaryDirectory(prefix="kmodd-test-") as directory:
        socket = Path(directory, place)
        log = Path(directory, "log")
        listening = ("--socket", str(socket))
        if settings:
            config = Path(directory, "kmodd.toml")
            config.write_text(settings.replace("@", directory))
            listening = ("--config", str(config))
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [
                    *(*through, python, "-m", "kmodd", "serve"),
                    *("--root", str(root), *listening, "--log-level", "debug"),
                    *("--state", str(Path(directory, "state"))),
                    *arguments,
                ],
                stderr=stderr,
                pass_fds=descriptors,
            )
        try:
            wait_until(lambda: socket.exists() or process.poll() is not None, seconds=seconds)
            assert process.poll() is None, log.read_text()
            yield Daemon(process, socket, log)
        finally:
            process.kill()
            process.wait()
            sys.stderr.write(log.read_text(errors="replace"))  # pytest shows it with a failure


def text_of(file: Path) -> str:
    """Return what a file in /proc says of a process or a thread: nothing once that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return file.read_text()
    return ""


def status_of(pid: int | str) -> dict[str, list[str]]:
    """Return the words of each line of /proc/PID/status, by its name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: words.split() for name, _, words in (line.partition(":") for line in lines)}


def may_give_up_all() -> bool:
    """Tell whether this process has the privileges that take one to give up all the others.

    They are CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_CHROOT and CAP_SYS_ADMIN.
    """
    held = int(status_of("self")["CapEff"][0], 16)
    return all(held >> number & 1 for number in (6, 7, 8, 18, 21))


def configure(daemon: Daemon, tree: ModuleTree, text: str) -> None:
    """Have ``text`` as the tree's modprobe.d, in force."""
    directory = tree.root / "etc/modprobe.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "test.conf").write_text(text)
    with daemon.client() as client:
        client.rebuild_database()


def wait_until(
    condition: Callable[[], bool], *, seconds: float = START, pause: float = 0.01
) -> None:
    """Return once ``condition`` holds, asked every ``pause`` seconds; fail if not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
