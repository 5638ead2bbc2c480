# SPDX-License-Identifier: Apache-2.0
"""A guest: QEMU's process, the socket to the agent in it, the console, the monitor.

The guest has no network, no disk and nothing else of the host's. What it is spoken to by are
sockets without names, which QEMU inherits. QEMU may start no program and gain no right (its
sandbox, where it is built in), and ends with the daemon.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from kmodd.errors import KernelError, Reason
from kmodd.kernel.vm.acceleration import Acceleration
from kmodd.kernel.vm.images import BootFile
from kmodd.kernel.vm.machines import GuestMachine
from kmodd.kernel.vm.port import PORT_NAME
from kmodd.kernel.vm.processes import start_bound
from kmodd.kernel.vm.qmp import Monitor, QmpError
from kmodd.records import record

CONSOLE_KEPT = 64 << 10
"""Bytes that are kept of what the guest wrote to its console, the last ones."""

MONITOR_SECONDS = 10.0
"""Seconds that QEMU has for an answer."""

STATE_SECONDS = 60.0
"""Seconds that it has to write a state, or to read one."""

END_SECONDS = 5.0
"""Seconds after which a process that was killed is left to the system."""

ASKED_SECONDS = 30.0
"""Seconds that QEMU has to say what it is and has."""

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

_QUIET = "quiet loglevel=1"
"""What is written to the console is written by an emulated processor, a character at a time; a
panic, and what comes after an oops, is written all the same."""


@record(kw_only=True)
class Hardware:
    """What a guest is: ``memory`` is in MiB."""

    machine: GuestMachine
    acceleration: Acceleration
    memory: int
    processors: int


def program_of(machine: GuestMachine) -> str:
    """Return the path of QEMU's program; raises KernelError where there is none."""
    found = shutil.which(machine.program)
    if found is None:
        why = (
            f"a guest for {machine.architecture} needs {machine.program}, which is not there; "
            f"Debian's package {machine.package} has it"
        )
        raise KernelError(Reason.KERNEL_REFUSED, why)
    return found


def version_of(program: str) -> str:
    """Return what QEMU says of its version, with what tells its file from another one's.

    Raises KernelError where it does not run.
    """
    try:
        ran = subprocess.run(
            [program, "--version"], capture_output=True, timeout=ASKED_SECONDS, check=True
        )
        status = os.stat(program)
    except (OSError, subprocess.SubprocessError) as error:
        raise KernelError(Reason.KERNEL_REFUSED, f"{program} does not run: {error}") from error
    stamp = f"{status.st_size} {status.st_mtime_ns}"
    return f"{ran.stdout.decode('utf-8', 'replace')}{stamp}"


def has_sandbox(program: str) -> bool:
    """Tell whether that QEMU has a sandbox, and the system lets it be used."""
    command = [program, "-sandbox", SANDBOX, "-machine", "help"]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=ASKED_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return ran.returncode == 0


def kernel_arguments(machine: GuestMachine, command_line: str) -> str:
    """Return the command line of a guest's kernel, with ``command_line`` at its end.

    A panic ends the guest at once: the machine is not to start again by itself.
    """
    words = (f"console={machine.console} panic=-1", _QUIET, machine.arguments, command_line)
    return " ".join(filter(None, words))


def hardware_arguments(hardware: Hardware) -> list[str]:
    """Return QEMU's arguments for the machine, which a saved state depends on."""
    machine = hardware.machine
    kvm = hardware.acceleration is Acceleration.KVM
    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", machine.machine, "-m", f"{hardware.memory}M"),
        *("-accel", "kvm" if kvm else "tcg,thread=multi"),
        *("-cpu", "host" if kvm else machine.processor, "-smp", str(hardware.processors)),
        *("-nic", "none", "-serial", "chardev:console"),
        *("-device", machine.device),
        *("-device", f"virtserialport,chardev=agent,name={PORT_NAME}"),
    ]


class Guest:
    """A guest that was started. ``socket`` leads to the agent, and is the caller's to close.

    ``_lock`` guards what was written to the console. A thread reads that until QEMU ends.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        agent: socket.socket,
        console: socket.socket,
        monitor: socket.socket,
        errors: int,
    ) -> None:
        self.socket = agent
        self._process = process
        self._errors = errors
        self._monitor = monitor
        self._words = ""
        self._lock = threading.Lock()
        self._console = bytearray()
        self._reader = threading.Thread(
            target=self._read_console, args=(console,), name="kmodd-console", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    @property
    def console(self) -> str:
        """What the guest has written to its console, the end of it."""
        with self._lock:
            return self._console.decode("utf-8", "replace")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the guest has ended; returns whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the guest at once, and give back what it took; more than once is as good as once."""
        self._process.kill()
        if not self.wait(END_SECONDS):
            return  # a process that not even SIGKILL ends at once
        self._reader.join(END_SECONDS)
        self._monitor.close()
        self._hear()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def last_words(self) -> str:
        """Say how QEMU has ended, as far as it has, with what it wrote to stderr."""
        status = self._process.poll()
        self._hear()
        words = [each for each in self._words.splitlines() if "warning:" not in each]
        if status is None:
            return "it still runs"
        if status < 0:
            return f"QEMU was ended by {_signal_name(-status)}"
        if status:
            return words[-1] if words else f"QEMU ended with status {status}"
        return "the guest switched itself off"

    def save(self, fd: int) -> None:
        """Write the guest's state to the file ``fd``; it stands still meanwhile.

        Raises QmpError where that fails; the guest runs on all the same.
        """
        monitor = Monitor(self._monitor, MONITOR_SECONDS)
        monitor.run("stop", MONITOR_SECONDS)
        try:
            bandwidth = {"max-bandwidth": 1 << 40}
            monitor.run("migrate-set-parameters", MONITOR_SECONDS, **bandwidth)
            monitor.run("getfd", MONITOR_SECONDS, fd=fd, fdname="state")
            monitor.run("migrate", MONITOR_SECONDS, uri="fd:state")
            self._await(monitor, "query-migrate", ("completed",), ("failed", "cancelled"))
        finally:
            monitor.run("cont", MONITOR_SECONDS)

    def resume(self) -> None:
        """Have a guest run whose state is being read; raises QmpError."""
        monitor = Monitor(self._monitor, MONITOR_SECONDS)
        ready = ("paused", "running", "postmigrate", "prelaunch")
        self._await(monitor, "query-status", ready, ("internal-error", "io-error", "shutdown"))
        monitor.run("cont", MONITOR_SECONDS)

    def _await(self, monitor: Monitor, query: str, good: Sequence[str], bad: Sequence[str]) -> None:
        deadline = time.monotonic() + STATE_SECONDS
        while time.monotonic() < deadline:
            status = monitor.run(query, MONITOR_SECONDS).get("status")
            if status in good:
                return
            if status in bad:
                raise QmpError(f"{query}: {status}")
            time.sleep(0.005)
        raise QmpError(f"{query}: not within {STATE_SECONDS:g} seconds")

    def _read_console(self, console: socket.socket) -> None:
        with console:
            while True:
                try:
                    piece = console.recv(1 << 16)
                except OSError:
                    return
                if not piece:
                    return
                with self._lock:
                    self._console += piece
                    del self._console[:-CONSOLE_KEPT]

    def _hear(self) -> None:
        """Take what QEMU wrote to stderr, once it has ended."""
        with self._lock:
            if self._errors < 0 or self._process.poll() is None:
                return
            errors, self._errors = self._errors, -1
        with suppress(OSError):
            self._words = os.read(errors, 1 << 16).decode("utf-8", "replace")
        os.close(errors)


def start(
    program: str,
    hardware: Hardware,
    *,
    sandbox: bool,
    boot: BootFile | None = None,
    initramfs: int | None = None,
    arguments: str = "",
    state: int | None = None,
) -> Guest:
    """Start a guest: one that boots, or one that goes on from ``state``, a file's descriptor.

    ``initramfs`` is a descriptor, too, ``arguments`` the kernel's command line. Raises KernelError
    where there is no process for it.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        ends = [socket.socketpair() for _ in range(3)]
        for end, other_end in ends:
            ours.enter_context(end)
            theirs.enter_context(other_end)
        # A full pipe must not stop QEMU, nor an empty one its reader.
        errors, errors_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ours.callback(os.close, errors)
        theirs.callback(os.close, errors_end)
        inherited = [other_end.fileno() for _, other_end in ends]
        command = [program, *hardware_arguments(hardware)]
        for name, fd in zip(("agent", "console", "monitor"), inherited, strict=True):
            command += ["-chardev", f"socket,id={name},fd={fd}"]
        command += ["-mon", "chardev=monitor,mode=control"]
        if sandbox:
            command += ["-sandbox", SANDBOX]
        if state is not None:
            command += ["-incoming", f"fd:{state}"]
            inherited.append(state)
        if boot is not None:
            command += ["-kernel", boot.path, "-append", arguments]
            inherited += boot.descriptors
        if initramfs is not None:
            command += ["-initrd", f"/proc/self/fd/{initramfs}"]
            inherited.append(initramfs)
        try:
            process = start_bound(command, descriptors=inherited, errors=errors_end)
        except OSError as error:
            why = f"no process for a guest: {error.strerror}"
            raise KernelError(Reason.INTERNAL, why, errno=error.errno or 0) from error
        ours.pop_all()
        agent, console, monitor = (end for end, _ in ends)
        return Guest(process, agent, console, monitor, errors)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
