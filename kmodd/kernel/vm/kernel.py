# SPDX-License-Identifier: Apache-2.0
"""A real kernel in a guest of the daemon's own: LinuxKernel, whose system calls are made there.

When the guest ends, does not answer in time, or talks nonsense, that is a panic. The calls under
way fail with KERNEL_PANIC, the log says why and goes on with the next boot, and what was loaded is
gone: ``boot_id`` is another one.
"""

import errno
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Protocol

from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import (
    DAEMONS_OWN,
    Answer,
    InsertFlags,
    KernelIdentity,
    LoadedModule,
    Requested,
)
from kmodd.kernel.linux import LinuxKernel
from kmodd.kernel.vm.guest_system import CALL_SECONDS, EndedCallError, GuestSystem
from kmodd.kernel.vm.wire import GONE, GuestWire, Tell
from kmodd.records import record

GREET_SECONDS = 30.0
"""Seconds that an agent which has answered has to begin a conversation."""

END_SECONDS = 2.0
"""Seconds that are waited for a guest that seems to have ended."""

SHORT_BOOT_SECONDS = 1.0
"""A boot that lasts less than that is not worth another, if it goes on like that."""

SHORT_BOOTS_MAX = 5
"""After so many short boots in a row a kernel is only booted by the next call."""

LAST_WORDS_MAX = 100
"""Lines of the console that are kept of a panic."""

REQUESTS_MAX = 64
"""Modules that the kernel may ask for at a time; a good one has 50 requests under way at most."""

NAME_MAX = 1024
"""Bytes of what it may ask for."""

PANIC = "Kernel panic - not syncing: "
"""How a kernel's last words begin (kernel/panic.c)."""

_EMERG, _ERR = 0, 3

log = logging.getLogger(__name__)


class BootedGuest(Protocol):
    """A guest whose agent has answered."""

    socket: socket.socket
    """Leads to the agent. Who has the guest closes it."""

    @property
    def pid(self) -> int:
        """The process that it is in."""

    @property
    def console(self) -> str:
        """What it has written to its console, the end of it."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; returns whether it has."""

    def kill(self) -> None:
        """End it at once."""

    def last_words(self) -> str:
        """Say how it has ended."""


@record
class _Boot:
    """One boot: the guest, the conversation with it, and since when it is up."""

    guest: BootedGuest
    wire: GuestWire
    since: float


class VmKernel(LinuxKernel):
    """The kernel in a guest, which is booted anew whenever it panics.

    ``_turn`` guards the boot, and wakes those who wait for the next one.
    """

    kind = "vm"
    traits = DAEMONS_OWN

    def __init__(
        self,
        release: str,
        boot: Callable[[], BootedGuest],
        *,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """Boot the kernel, and wait for that; raises KernelError where it does not come up.

        ``boot`` gives a guest with a kernel of ``release``; it is called by one thread at a time. A
        call that takes more than ``call_seconds`` is a panic.
        """
        self._boot_guest = boot
        self._turn = threading.Condition()
        self._boot: _Boot | None = None
        self._greeted: GuestWire | None = None
        self._own = frozenset[str]()
        self._is_booting = True
        self._closed = False
        self._short_boots = 0
        self._requested: Answer = lambda _name, _waits: Requested(1 << 8)
        self._guest = GuestSystem(release, self._wire, call_seconds=call_seconds)
        self._start()
        try:
            super().__init__(system=self._guest)
        except BaseException:
            self._end(KernelError(Reason.SHUTTING_DOWN, "the kernel does not come up"))
            raise
        self.boot_id = str(uuid.uuid4())
        self._own = frozenset(module.name for module in self.modules())

    @property
    def pid(self) -> int | None:
        """The process that the guest is in, None while there is none."""
        boot = self._boot
        return boot.guest.pid if boot else None

    def identity(self) -> KernelIdentity:
        """As of any real kernel: its version magic is only told in a refusal."""
        return KernelIdentity("", "the kernel in the guest", super().identity().taint_mask)

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules; none while there is no guest."""
        if self._boot is None:
            return ()
        try:
            return super().modules()
        except KernelError as error:
            if error.reason in (Reason.KERNEL_PANIC, Reason.SHUTTING_DOWN):
                return ()
            raise

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``, which is sent to the guest."""
        with self._told_of_crashes():
            super().finit_module(fd, parameters, flags)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the module ``image``."""
        with self._told_of_crashes():
            super().init_module(image, parameters, flags)

    def delete_module(self, name: str, *, force: bool = False) -> None:
        """Unload ``name``, unless it is one of those that the guest came with."""
        if name in self._own:
            why = f"module {name} is one of those by which kmodd reaches the guest"
            raise KernelError(Reason.MODULE_BUSY, why, errno=errno.EBUSY, module=name)
        with self._told_of_crashes():
            super().delete_module(name, force=force)

    def set_parameter(self, module: str, name: str, value: str) -> None:
        """Write to the file of a parameter."""
        with self._told_of_crashes():
            super().set_parameter(module, name, value)

    def answer_requests(self, answer: Answer) -> None:
        """Have ``answer`` called with what the kernel asks modprobe for."""
        self._requested = answer

    def close(self) -> None:
        """Halt the kernel; calls under way fail with SHUTTING_DOWN."""
        self._end(_halted())
        super().close()

    def _end(self, error: KernelError) -> None:
        with self._turn:
            self._closed = True
            boot, self._boot = self._boot, None
            self._turn.notify_all()
        if boot is not None:
            boot.wire.fail(error)
            boot.guest.kill()
            boot.wire.close()

    @contextmanager
    def _told_of_crashes(self) -> Iterator[None]:
        """Say of a call whose process the kernel has ended that the module's code did it."""
        try:
            yield
        except KernelError as error:
            if not isinstance(error.__cause__, EndedCallError):
                raise
            what = f"module {error.module}" if error.module else "the module"
            why = f"the code of {what} crashed in the kernel (see the log)"
            raise KernelError(
                Reason.MODULE_CRASHED, why, module=error.module, log=error.log
            ) from error

    def _wire(self) -> GuestWire:
        """Return the conversation with the guest, once there is one; raises KernelError."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_booting or self._closed)
            if self._closed:
                raise _halted()
            if self._boot is not None:
                return self._boot.wire
            self._is_booting = True
        return self._start().wire

    def _start(self) -> _Boot:
        """Boot; the caller has said that it does. Raises KernelError where nothing comes of it."""
        boot = None
        try:
            boot = self._begin()
        finally:
            with self._turn:
                self._is_booting, self._greeted = False, None
                late = boot if self._closed else None
                self._boot = None if self._closed else boot
                self._turn.notify_all()
            if late is not None:
                late.wire.fail(_halted())
                late.guest.kill()
                late.wire.close()
        self._guest.told(Tell.LOST, b"")
        if boot.wire.is_over:  # it has ended before it was up
            self._gone(boot.wire, GONE)
        return boot

    def _begin(self) -> _Boot:
        """Have a guest, and a conversation with it."""
        self._guest.log.restart_clock()
        guest = self._boot_guest()

        asking = threading.BoundedSemaphore(REQUESTS_MAX)

        def told(kind: Tell, number: int, body: bytes) -> None:
            if kind is not Tell.REQUEST:
                self._guest.told(kind, body)
            elif len(body) > NAME_MAX or not asking.acquire(blocking=False):
                wire.reply(number, 1)
            else:
                answer = partial(self._answer, wire, number, body, asking)
                threading.Thread(target=answer, daemon=True).start()

        wire = self._greeted = GuestWire(guest.socket, told, self._gone)
        try:
            wire.greet(GREET_SECONDS)
        except BaseException as error:
            wire.fail(KernelError(Reason.KERNEL_PANIC, f"{PANIC}{error}"))
            guest.kill()
            wire.close()
            if isinstance(error, OSError):
                raise KernelError(Reason.KERNEL_PANIC, f"no guest: {error.strerror}") from error
            raise
        return _Boot(guest, wire, time.monotonic())

    def _answer(
        self, wire: GuestWire, number: int, body: bytes, asking: threading.BoundedSemaphore
    ) -> None:
        name = body.decode("utf-8", "surrogateescape")
        try:
            status = self._requested(name, True).status
        except Exception:
            log.exception("a request for %s", name)
            status = 1 << 8
        finally:
            asking.release()
        wire.reply(number, status >> 8 & 0xFF if status >= 0 else 1)

    def _gone(self, wire: GuestWire, why: str) -> None:
        """Report the end of a boot, and begin the next; only once for each boot."""
        with self._turn:
            boot = self._boot
            if boot is not None and boot.wire is wire:
                self._boot, self._is_booting = None, True
                is_short = time.monotonic() - boot.since < SHORT_BOOT_SECONDS
                self._short_boots = self._short_boots + 1 if is_short else 0
            else:
                if wire is self._greeted:  # it is not up yet; else somebody sees to it already
                    wire.fail(KernelError(Reason.KERNEL_PANIC, f"{PANIC}{why}"))
                return
        error = self._report(boot, why)
        self.boot_id = str(uuid.uuid4())
        wire.fail(error)
        self._guest.told(Tell.LOST, b"")
        rebooting = threading.Thread(target=self._reboot, args=(boot,), name="kmodd-vm-boot")
        rebooting.daemon = True
        rebooting.start()

    def _report(self, boot: _Boot, why: str) -> KernelError:
        """Log a panic, and return what it is to those whose calls were under way."""
        if boot.guest.wait(END_SECONDS if why == GONE else 0):
            why = boot.guest.last_words()
        boot.guest.kill()
        words = _last_words(boot.guest.console)
        line = next((word for word in words if word.startswith(PANIC)), f"{PANIC}{why}")
        if line not in words:
            self._guest.log.say(_EMERG, line)
        for word in words:
            self._guest.log.say(_EMERG if word == line else _ERR, word)
        log.error("the kernel in the guest panicked (%s); all its modules are gone", line)
        told = f"{line}; the kernel boots anew, and every module that was loaded is gone"
        about = words if line in words else (line, *words)
        return KernelError(Reason.KERNEL_PANIC, told, log=about)

    def _reboot(self, last: _Boot) -> None:
        """Bury a boot and begin the next, unless it is for the next call to do that."""
        last.wire.close()
        if self._short_boots >= SHORT_BOOTS_MAX:
            with self._turn:
                self._is_booting = False
                self._turn.notify_all()
            return
        # Where nothing comes of it, the next call tries again.
        with suppress(KmoddError):
            self._start()


def _halted() -> KernelError:
    return KernelError(Reason.SHUTTING_DOWN, "the kernel is halted")


def _last_words(console: str) -> tuple[str, ...]:
    """Return the lines of the console that end a kernel's life, without their times."""
    lines = [line.partition("] ")[2] or line for line in console.splitlines()]
    starts = [at for at, line in enumerate(lines) if line.startswith(PANIC)]
    return tuple(lines[starts[-1] :][:LAST_WORDS_MAX]) if starts else ()
