# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel in a process of its own: what it does to itself, it does not do to kmodd.

When the process ends, does not answer in time, or talks nonsense, that is a panic. The calls under
way fail with KERNEL_PANIC, the log says why and goes on with the next boot, and what was loaded is
gone, as after a reboot: ``boot_id`` is another one.
"""

import contextvars
import errno
import logging
import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import (
    DAEMONS_OWN,
    MODULES_DISABLED,
    Answer,
    Device,
    EmulationReport,
    InsertFlags,
    KernelFile,
    KernelIdentity,
    LoadedModule,
    LogRecord,
    ModuleBuild,
    ModuleDetails,
    OpenFile,
    Requested,
    build_of,
)
from kmodd.kernel.emulated.execution.cpu import why_not
from kmodd.kernel.emulated.load.boot_command_line import parse_command_line
from kmodd.kernel.emulated.process.boot import (
    END_SECONDS,
    HURRY,
    Boot,
    ModuleRequest,
    PendingCall,
    Unpack,
)
from kmodd.kernel.emulated.process.messages import (
    number,
    text,
    unpack_details,
    unpack_device,
    unpack_devices,
    unpack_files,
    unpack_nothing,
    unpack_report,
    unpack_texts,
    unpack_undone,
)
from kmodd.kernel.emulated.process.remote_file import RemoteFile
from kmodd.kernel.emulated.process.wire import Message, ProtocolError, memory_file
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.kernel.emulated.reporting.log import KernelLog, Level
from kmodd.kernel.emulated.system_calls.image_file import file_status
from kmodd.kernel.emulated.system_calls.kernel import no_modprobe, print_banner
from kmodd.modulefile import Compression

CALL_SECONDS = 90.0
"""Seconds that a call may take. A load may wait 30 of them for the init of another module."""

HURRY_SECONDS = 2.0
"""Seconds that a call is waited for after its user is gone: some the kernel cannot end."""

SHORT_BOOTS_MAX = 5
"""After so many short boots in a row a kernel is only booted by the next call."""

log = logging.getLogger(__name__)


class IsolatedKernel:
    """An emulated kernel in a process of its own, booted anew whenever it panics.

    ``_lock`` guards the boot and the listing that belongs to it; readers of the listing take a
    finished tuple without it.
    """

    kind = "emulated"
    traits = DAEMONS_OWN
    compressions = frozenset(Compression)

    def __init__(
        self,
        release: str,
        vmlinux: Callable[[], Vmlinux],
        *,
        command_line: str = "",
        run_code: bool = True,
        call_seconds: float = CALL_SECONDS,
        tries: bool = False,
        treeless: Vmlinux | None = None,
    ) -> None:
        """Boot; does not wait for the kernel to come up.

        ``vmlinux`` is asked at every load, as the tree that it is derived from grows.
        ``command_line`` is the kernel's. With ``run_code`` modules' own code is run, where the
        emulator's library is installed. A call that takes more than ``call_seconds`` is a panic.
        One that ``tries`` modules is for TrialKernel. Where it takes long to be told from what the
        kernel is, as the tree has to be read, ``treeless`` is what is known without: then it boots
        behind, and who calls it waits for that.
        """
        self.release = release
        self.boot_id = str(uuid.uuid4())
        self.why_not_run = why_not(wanted=run_code) or (treeless or vmlinux()).why_not_run
        self.runs_init = not self.why_not_run
        self._run_code, self._tries = run_code, tries
        self._vmlinux = vmlinux
        self.command_line = command_line
        self._call_seconds = call_seconds
        self._lock = threading.RLock()
        self._log = KernelLog()
        self._boot: Boot | None = None
        self._listing: tuple[LoadedModule, ...] | None = ()
        self._closed = False
        self._boots = self._short_boots = 0
        self._undone: tuple[str, ...] = ()
        self._requested: Answer = no_modprobe
        self._has_begun = threading.Event()
        if treeless is None:
            self._begin()
        else:
            threading.Thread(target=self._begin_behind, name="kmodd-boot", daemon=True).start()

    @property
    def vmlinux(self) -> Callable[[], Vmlinux]:
        """Where it is known from what the kernel is."""
        return self._vmlinux

    @property
    def pid(self) -> int | None:
        """The process that the kernel is in, None while there is none."""
        boot = self._boot
        return boot.pid if boot else None

    def identity(self) -> KernelIdentity:
        """Return the version magic, where the symbols are known from, and the taints."""
        vmlinux, boot = self._vmlinux(), self._boot
        return KernelIdentity(
            vmlinux.vermagic,
            vmlinux.source,
            boot.taint_mask if boot else 0,
            vmlinux.builtins.names,
        )

    def refusal(self) -> str:
        """Say whether the command line has disabled modules."""
        return MODULES_DISABLED if parse_command_line(self.command_line).modules_disabled else ""

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, the newest first."""
        listing = self._listing
        if listing is None:
            with self._lock:
                listed = self._boot.listed.values() if self._boot else ()
                listing = self._listing = tuple(reversed(tuple(listed)))
        return listing

    def module(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, if there is one."""
        boot = self._boot
        return boot.listed.get(name) if boot else None

    def details(self, name: str) -> ModuleDetails | None:
        """Return what /sys/module tells of ``name``, if it is loaded."""
        found: ModuleDetails | None = self.ask({"do": "details", "name": name}, unpack_details)
        return found

    def build(self, name: str) -> ModuleBuild:
        """Return which build of ``name`` is loaded."""
        return build_of(self.details(name))

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``, compressed or not."""
        self._insert(fd, parameters, flags, image=False)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the module ``image``."""
        fd = memory_file(image)
        try:
            self._insert(fd, parameters, flags, image=True)
        finally:
            os.close(fd)

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport | None:
        """Unload ``name``."""
        message = {"do": "remove", "name": name, "force": force}
        report: EmulationReport | None = self.ask(message, unpack_report)
        return report

    def set_parameter(self, module: str, name: str, value: str) -> None:
        """Write to the file of a parameter."""
        message = {"do": "set", "module": module, "name": name, "value": value}
        self.ask(message, unpack_nothing)

    def add_device(self, modalias: str) -> Device:
        """Plug in a device."""
        device: Device = self.ask({"do": "plug", "modalias": modalias}, unpack_device)
        return device

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, the oldest first."""
        devices: tuple[Device, ...] = self.ask({"do": "devices"}, unpack_devices)
        return devices

    def remove_device(self, name: str) -> None:
        """Unplug a device."""
        self.ask({"do": "unplug", "name": name}, unpack_nothing)

    def raise_interrupt(self, number: int) -> tuple[str, ...]:
        """Have an interrupt come; return the modules that have it."""
        modules: tuple[str, ...] = self.ask({"do": "raise", "number": number}, unpack_texts)
        return modules

    def files(self, path: str) -> tuple[KernelFile, ...]:
        """Return what is in a directory of /dev, /proc or /sys."""
        files: tuple[KernelFile, ...] = self.ask({"do": "files", "path": path}, unpack_files)
        return files

    def open_file(self, path: str, flags: int) -> OpenFile:
        """Open a file of /dev, /proc or /sys."""
        boot = self._current()
        call = PendingCall(lambda value: number(value))
        file: int = self._ask_boot(boot, {"do": "open", "path": path, "flags": flags}, call)
        return RemoteFile(partial(self._ask_boot, boot), file)

    def answer_requests(self, answer: Answer) -> None:
        """Have ``answer`` called with what modules' code asks for."""
        self._requested = answer

    def read_log(self, after: int = -1) -> tuple[LogRecord, ...]:
        """Return the records still in the log after ``after``."""
        self._has_begun.wait()
        return self._log.read(after)

    def wait_log(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Return the records after ``after``, waiting up to ``timeout`` seconds for one."""
        self._has_begun.wait()
        return self._log.wait(after, timeout)

    def watching(
        self,
        changed: Callable[[], None],  # noqa: ARG002  # never called
    ) -> AbstractContextManager[None]:
        """Nobody but its owner loads modules into this kernel."""
        return nullcontext()

    def close(self) -> None:
        """Halt the kernel; calls under way fail with SHUTTING_DOWN."""
        with self._lock:
            self._closed = True
            boot, self._boot, self._listing = self._boot, None, ()
        self._log.close()
        if boot is not None:
            boot.end(KernelError(Reason.SHUTTING_DOWN, "the kernel is halted"), END_SECONDS)

    def _insert(self, fd: int, parameters: str, flags: InsertFlags, *, image: bool) -> None:
        try:
            # The kernel's process may not ask, as that call takes the path of any file, too.
            mode, size = file_status(fd)
        except OSError as error:
            raise KernelError(
                Reason.KERNEL_REFUSED, "not an open file", errno=error.errno or errno.EBADF
            ) from error
        message = {"do": "insert", "parameters": parameters, "flags": int(flags), "image": image}
        self.ask({**message, "fd": True, "mode": mode, "size": size}, unpack_nothing, fd)

    def ask(self, message: Message, unpack: Unpack, fd: int | None = None) -> Any:
        """Make a call and return its value; raises KernelError."""
        call = PendingCall(unpack)
        boot = self._current()
        try:
            # A boot that is over by now has not seen the call: its successor does.
            while not boot.start(call, message, fd, self._vmlinux()):
                boot = self._current()
        except OSError as error:
            self._panic(boot, f"the kernel's process cannot be reached: {error.strerror}")
        return self._value_of(boot, call)

    def _ask_boot(self, boot: Boot, message: Message, call: PendingCall) -> Any:
        """Make a call in one boot, and return its value; raises KernelError."""
        try:
            if not boot.start(call, message, None, self._vmlinux()):
                why = "the kernel in which the file was open is gone"
                raise KernelError(Reason.KERNEL_PANIC, why, errno=errno.EIO)
        except OSError as error:
            self._panic(boot, f"the kernel's process cannot be reached: {error.strerror}")
        return self._value_of(boot, call)

    def _value_of(self, boot: Boot, call: PendingCall) -> Any:
        """Wait for the end of a call, answer what its code asks for, and return its value."""
        for request in self._until_end(boot, call):
            # On a stack of its own: what is loaded may ask for modules in turn, 50 deep.
            context = contextvars.copy_context()
            answering = threading.Thread(
                target=context.run, args=(self._answer, boot, request), daemon=True
            )
            answering.start()
            answering.join()
        if call.error is not None:
            raise call.error.copy()
        return call.value

    def _until_end(self, boot: Boot, call: PendingCall) -> Iterator[ModuleRequest]:
        """Yield what the code of a call asks for, until the call is over."""
        seconds: float | None = None if call.is_patient else self._call_seconds
        while True:
            try:
                request = call.next_request(seconds)
            except queue.Empty:
                if call.is_hurried:
                    why = "a call that the kernel cannot end is left to itself"
                    call.error = KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EINTR)
                    return
                why = f"hung_task: a system call took more than {seconds:g} seconds"
                self._panic(boot, why)
                seconds = None
                continue
            if request is None:
                return
            if request is HURRY:
                call.is_hurried, seconds = True, HURRY_SECONDS
                continue
            yield request

    def _answer(self, boot: Boot, request: ModuleRequest) -> None:
        try:
            requested = self._requested(request.name, request.waits)
        except Exception:
            log.exception("a request for %s", request.name)
            requested = Requested(-errno.EIO, "kmodd failed")
        if request.waits:
            boot.reply(request, requested)

    def _begin(self) -> None:
        """Start the first boot, unless a call has; raises KernelError."""
        try:
            self._vmlinux()  # whoever closes the kernel need not wait for it
            with self._lock:
                if self._boot is None and not self._closed:
                    self._start_boot()
        finally:
            self._has_begun.set()

    def _begin_behind(self) -> None:
        try:
            self._begin()
        except KernelError as error:  # the next call tries again
            log.error("%s", error.message)
        except Exception:
            log.exception("booting the emulated kernel")

    def _current(self) -> Boot:
        """Return the boot that calls are made in; begin one where they have become too short."""
        self._has_begun.wait()
        with self._lock:
            if self._closed:
                raise KernelError(Reason.SHUTTING_DOWN, "the kernel is halted")
            return self._boot or self._start_boot()

    def _start_boot(self) -> Boot:
        """Start a boot; with the lock held. Raises KernelError where there is no process for it."""
        vmlinux = self._vmlinux()
        if self._boots:
            self.boot_id = str(uuid.uuid4())
        self._boots += 1
        self._log.restart_clock()
        print_banner(self._log, vmlinux, self.command_line)
        try:
            orders = {
                "command_line": self.command_line,
                "run_code": self._run_code,
                "tries": self._tries,
            }
            self._boot = Boot(orders, vmlinux, self._told, self._panic)
        except OSError as error:
            why = f"no process for the emulated kernel: {error.strerror}"
            self._log.printk(Level.EMERG, why)
            raise KernelError(Reason.INTERNAL, why, errno=error.errno or errno.EIO) from error
        self._listing = ()
        return self._boot

    def _told(self, boot: Boot, message: Message) -> None:
        """Take in what the kernel says by itself; raises ProtocolError."""
        with self._lock:
            if boot is not self._boot:
                return
            match message.get("is"):
                case "log":
                    level = Level(number(message.get("level"), most=Level.DEBUG))
                    self._log.printk(level, text(message.get("text")))
                case "changed":
                    boot.change(message)
                    self._listing = None
                case "up":
                    boot.is_up = True
                    self._tell_undone(unpack_undone(message.get("undone")))
                case _:
                    raise ProtocolError("a message of an unknown kind")

    def _tell_undone(self, undone: tuple[str, ...]) -> None:
        """Log what the process could not give up; once, as the next boot cannot either."""
        if undone != self._undone:
            self._undone = undone
            log.debug("the emulated kernel's process was refused: %s", ", ".join(undone))

    def _panic(self, boot: Boot, why: str) -> None:
        """Report the end of a boot, and begin the next; only once for each boot."""
        with self._lock:
            if boot is not self._boot:
                return
            self._boot, self._listing = None, ()
            last_words = boot.kill()
            line = f"Kernel panic - not syncing: {why}"
            self._log.printk(Level.EMERG, line)
            for word in last_words:
                self._log.printk(Level.ERR, word)
            self._log.printk(Level.EMERG, f"---[ end {line} ]---")
            if self._tries:
                log.warning("a kernel in which a module was tried panicked (%s)", why)
            else:
                log.error("the emulated kernel panicked (%s); all its modules are gone", why)
            self._short_boots = self._short_boots + 1 if boot.was_short() else 0
            if self._short_boots < SHORT_BOOTS_MAX:
                # Where the system has no process to give, the next call tries again.
                with suppress(KernelError):
                    self._start_boot()
        why = f"{line}; the kernel boots anew, and every module that was loaded is gone"
        boot.fail(KernelError(Reason.KERNEL_PANIC, why, log=(line, *last_words)))
