# SPDX-License-Identifier: Apache-2.0
"""A kernel in a guest, of which the agent alone is real: how it ends, and goes on."""

import errno
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags, Requested, Requester
from kmodd.kernel.linux import read_command_line
from kmodd.kernel.vm import kernel as kernel_module
from kmodd.kernel.vm.kernel import VmKernel
from kmodd.kernel.vm.wire import VERSION, Ask, Tell, await_agent
from tests.support.daemon import wait_until
from tests.support.played_guest import PATIENCE, own_agent

CRASH = """\
[    1.000000] nothing to see
[    2.5] Kernel panic - not syncing: Fatal exception in interrupt
[    2.6] Rebooting in 1 seconds..
"""


class RunningAgent:
    """A guest that is an agent alone: a process of this machine."""

    def __init__(self, console: str = "") -> None:
        self.console = console
        self.socket, theirs = socket.socketpair()
        with theirs:
            command = [str(own_agent()), "--port", str(theirs.fileno()), "kmodd-test-vm"]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        await_agent(self.socket, PATIENCE)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, seconds: float | None = None) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def last_words(self) -> str:
        return f"it ended with {self.process.returncode}"


class SaidAgent(RunningAgent):
    """A guest that answers each request with what it is told to."""

    def __init__(self, answer: Callable[[int], int], modules: bytes = b"") -> None:
        self.console, self._modules = "", modules
        self.socket, self._theirs = socket.socketpair()
        self._answer = answer
        self._answering = threading.Thread(target=self._run, daemon=True)
        self._answering.start()

    @property
    def pid(self) -> int:
        return 1

    def wait(self, seconds: float | None = None) -> bool:
        return not seconds and not self._answering.is_alive()

    def kill(self) -> None:
        with suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)
        self._theirs.close()

    def last_words(self) -> str:
        return "it was ended"

    def ask(self, number: int, name: bytes) -> None:
        """Ask for a module."""
        self._theirs.sendall(struct.pack(">IIB", 5 + len(name), number, Tell.REQUEST) + name)

    def _run(self) -> None:
        with suppress(OSError), self._theirs.makefile("rb") as requests:
            while head := requests.read(9):
                size, number, kind = struct.unpack(">IIB", head)
                body = requests.read(size - 5)
                if kind == Ask.HELLO:
                    said = struct.pack(">I", VERSION) + b"6.1.0\0x86_64\0"
                    self._say(Tell.PART, number, said)
                if kind == Ask.READ and self._modules and body.endswith(b"/proc/modules"):
                    self._say(Tell.PART, number, self._modules)
                    self._say(Tell.END, number, bytes(5))
                elif kind == Ask.REPLY:
                    self.replied = (number, body)
                elif kind not in (Ask.UPLOAD, Ask.DROP):
                    code = 0 if kind == Ask.HELLO else self._answer(kind)
                    self._say(Tell.END, number, struct.pack(">IB", code, 0))

    def _say(self, kind: int, number: int, body: bytes) -> None:
        self._theirs.sendall(struct.pack(">IIB", 5 + len(body), number, kind) + body)


@contextmanager
def booted(
    guests: list[RunningAgent], again: Callable[[], RunningAgent] = RunningAgent
) -> Iterator[VmKernel]:
    """A kernel whose first guest is in ``guests``, where those of later boots are added."""
    left = [guests[0]]

    def boot() -> RunningAgent:
        if left:
            return left.pop()
        guests.append(again())
        return guests[-1]

    kernel = VmKernel("6.1.0", boot)
    try:
        yield kernel
    finally:
        kernel.close()
        for guest in guests:
            guest.kill()
            guest.socket.close()


def refuse(kernel: VmKernel) -> KernelError:
    with pytest.raises(KernelError) as refused:
        kernel.set_parameter("nosuch", "a", "1")
    return refused.value


def test_a_kernel_in_a_guest_is_asked_as_any_other() -> None:
    with booted([RunningAgent()]) as kernel:
        assert (kernel.kind, kernel.release) == ("vm", "6.1.0")
        assert refuse(kernel).reason is Reason.MODULE_NOT_LOADED
        assert kernel.details("nosuch") is None
        assert kernel.command_line == read_command_line()
        assert isinstance(kernel, Requester)


def test_a_guest_that_ends_is_followed_by_another() -> None:
    guests = [RunningAgent()]
    with booted(guests) as kernel:
        first = kernel.boot_id
        assert kernel.pid == guests[0].pid
        guests[0].process.kill()
        wait_until(lambda: len(guests) == 2, seconds=PATIENCE)
        assert refuse(kernel).reason is Reason.MODULE_NOT_LOADED
        assert kernel.boot_id != first
        assert kernel.pid == guests[1].pid
        said = [record.text for record in kernel.read_log()]
        assert "Kernel panic - not syncing: it ended with -9" in said
        numbers = [record.sequence for record in kernel.read_log()]
        assert numbers == sorted(set(numbers))


def test_what_the_console_had_of_a_panic_is_told() -> None:
    guests = [RunningAgent(CRASH)]
    with booted(guests) as kernel:
        guests[0].process.kill()
        wait_until(lambda: len(guests) == 2, seconds=PATIENCE)
        refuse(kernel)
        said = [record.text for record in kernel.read_log() if record.level in (0, 3)]
        told = ["Kernel panic - not syncing: Fatal exception in interrupt"]
        assert [text for text in said if text in CRASH] == [*told, "Rebooting in 1 seconds.."]


def test_calls_under_way_fail_with_the_panic() -> None:
    called, reached, ended = (threading.Event() for _ in range(3))

    def answer(_kind: int) -> int:
        if called.is_set():
            reached.set()
            ended.wait(PATIENCE)
        return errno.ENOENT

    guests: list[RunningAgent] = [SaidAgent(answer)]
    with booted(guests) as kernel:
        called.set()
        failed: list[KernelError] = []
        asking = threading.Thread(target=lambda: failed.append(refuse(kernel)))
        asking.start()
        assert reached.wait(PATIENCE)
        guests[0].kill()
        asking.join(PATIENCE)
        assert failed[0].reason is Reason.KERNEL_PANIC
        assert "boots anew" in failed[0].message
        ended.set()


def test_an_oops_is_the_modules_doing() -> None:
    def answer(kind: int) -> int:
        return errno.EOWNERDEAD if kind in (Ask.INSERT, Ask.DELETE) else errno.ENOENT

    with booted([SaidAgent(answer)]) as kernel:
        with pytest.raises(KernelError, match="crashed") as crashed:
            kernel.init_module(b"x", "", InsertFlags.NONE)
        assert crashed.value.reason is Reason.MODULE_CRASHED
        with pytest.raises(KernelError, match="crashed") as crashed:
            kernel.delete_module("sample")
        assert (crashed.value.reason, crashed.value.module) == (Reason.MODULE_CRASHED, "sample")


def test_what_the_guest_is_reached_by_stays() -> None:
    listed = b"virtio_pci 24576 0 - Live 0x0\n"
    with booted([SaidAgent(lambda _kind: errno.ENOENT, listed)]) as kernel:
        for force in (False, True):
            with pytest.raises(KernelError, match="reaches the guest") as refused:
                kernel.delete_module("virtio_pci", force=force)
            assert (refused.value.reason, refused.value.errno) == (Reason.MODULE_BUSY, errno.EBUSY)


@pytest.mark.parametrize(
    ("status", "told"), [(0, b"\0"), (1 << 8, b"\1"), (3 << 8, b"\3"), (-errno.ENOENT, b"\1")]
)
def test_a_request_is_answered_with_modprobes_status(status: int, told: bytes) -> None:
    guest = SaidAgent(lambda _kind: errno.ENOENT)
    with booted([guest]) as kernel:
        asked: list[tuple[str, bool]] = []

        def answer(name: str, waits: bool) -> Requested:
            asked.append((name, waits))
            return Requested(status)

        kernel.answer_requests(answer)
        guest.ask(7, b"net-pf-10")
        wait_until(lambda: hasattr(guest, "replied"), seconds=PATIENCE)
        assert (asked, guest.replied) == ([("net-pf-10", True)], (7, told))


def test_a_kernel_asks_for_so_much_at_a_time_and_no_more() -> None:
    guest = SaidAgent(lambda _kind: errno.ENOENT)
    over, asked = threading.Event(), threading.Semaphore(0)

    def answer(_name: str, _waits: bool) -> Requested:
        asked.release()
        over.wait(PATIENCE)
        return Requested()

    with booted([guest]) as kernel:
        kernel.answer_requests(answer)
        guest.ask(1, b"x" * (kernel_module.NAME_MAX + 1))
        wait_until(lambda: getattr(guest, "replied", None) == (1, b"\1"), seconds=PATIENCE)
        for number in range(kernel_module.REQUESTS_MAX):
            guest.ask(number + 2, b"x")
            assert asked.acquire(timeout=PATIENCE)
        guest.ask(1000, b"x")
        wait_until(lambda: guest.replied == (1000, b"\1"), seconds=PATIENCE)
        over.set()


def test_a_request_that_cannot_be_answered_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    guest = SaidAgent(lambda _kind: errno.ENOENT)
    with booted([guest]) as kernel:

        def answer(_name: str, _waits: bool) -> Requested:
            raise LookupError

        kernel.answer_requests(answer)
        guest.ask(8, b"x")
        wait_until(lambda: hasattr(guest, "replied"), seconds=PATIENCE)
        assert guest.replied == (8, b"\1")
    assert "a request for x" in caplog.text


def no_guest() -> RunningAgent:
    raise KernelError(Reason.KERNEL_PANIC, "no process to be had")


def test_a_kernel_that_does_not_come_up_is_none() -> None:
    with pytest.raises(KernelError, match="no process"):
        VmKernel("6.1.0", no_guest)

    dumb = SaidAgent(lambda _kind: 0)
    dumb.kill()
    with pytest.raises(KernelError):
        VmKernel("6.1.0", lambda: dumb)
    dumb.socket.close()


def test_the_next_call_tries_again_where_no_boot_succeeds() -> None:
    tries = []

    def again() -> RunningAgent:
        tries.append(1)
        return no_guest() if len(tries) < 3 else RunningAgent()

    guests = [RunningAgent()]
    with booted(guests, again) as kernel:
        guests[0].process.kill()
        wait_until(lambda: len(tries) == 1, seconds=PATIENCE)
        assert kernel.modules() == ()
        assert refuse(kernel).message == "no process to be had"
        assert refuse(kernel).reason is Reason.MODULE_NOT_LOADED


def refuse_once_booted(kernel: VmKernel, guests: list[RunningAgent], count: int) -> None:
    wait_until(lambda: len(guests) == count, seconds=PATIENCE)
    refuse(kernel)


def test_boots_that_are_too_short_wait_for_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "SHORT_BOOT_SECONDS", 1000.0)
    guests = [RunningAgent()]
    with booted(guests) as kernel:
        for count in range(1, kernel_module.SHORT_BOOTS_MAX):
            guests[-1].process.kill()
            refuse_once_booted(kernel, guests, count + 1)
        guests[-1].process.kill()
        wait_until(lambda: kernel.pid is None, seconds=PATIENCE)
        assert len(guests) == kernel_module.SHORT_BOOTS_MAX
        refuse(kernel)
        assert len(guests) == kernel_module.SHORT_BOOTS_MAX + 1


def test_a_halted_kernel_says_so() -> None:
    guests = [RunningAgent()]
    with booted(guests) as kernel:
        kernel.close()
        assert refuse(kernel).reason is Reason.SHUTTING_DOWN
        assert kernel.modules() == ()
        assert guests[0].wait(PATIENCE)


def test_who_lists_modules_as_the_kernel_is_halted_finds_none() -> None:
    guest = RunningAgent()
    found: list[object] = []
    with booted([guest]) as kernel:
        os.kill(guest.pid, signal.SIGSTOP)
        listing = threading.Thread(target=lambda: found.append(kernel.modules()))
        listing.start()
        wait_until(lambda: bool(kernel._boot and kernel._boot.wire._calls))
        kernel.close()
        listing.join(PATIENCE)
    assert found == [()]


def test_who_follows_a_guest_is_told_of_its_end() -> None:
    hints = threading.Event()
    guests = [RunningAgent()]
    with booted(guests) as kernel, kernel.watching(hints.set):
        guests[0].process.kill()
        assert hints.wait(PATIENCE)


def test_a_file_is_sent_from_its_beginning() -> None:
    with booted([RunningAgent()]) as kernel, open("/etc/passwd", "rb") as file:
        os.lseek(file.fileno(), 100, os.SEEK_SET)
        with pytest.raises(KernelError):
            kernel.finit_module(file.fileno(), "", InsertFlags.NONE)
        assert file.tell() == 100
