# SPDX-License-Identifier: Apache-2.0
"""The running Linux kernel."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from kmodd.errors import KernelError, ModuleFileError, Reason
from kmodd.kernel.base import (
    MACHINES_OWN,
    MODULES_DISABLED,
    DeviceListener,
    InsertFlags,
    KernelIdentity,
    LoadedModule,
    LogRecord,
    ModuleBuild,
    ModuleDetails,
    ModuleState,
    PluggedDevice,
)
from kmodd.kernel.linux.decoders import HEADER_SIZE, is_undecoded, may_undo
from kmodd.kernel.linux.devices import plugged_devices
from kmodd.kernel.linux.kmsg import Kmsg, Window
from kmodd.kernel.linux.parameters import read_parameters, write_parameter
from kmodd.kernel.linux.sections import read_note, read_notes, read_sections
from kmodd.kernel.linux.syscalls import MODULE_INIT_COMPRESSED_FILE
from kmodd.kernel.linux.system import System, UnopenedFileError, read_line, read_number, read_text
from kmodd.kernel.linux.this_machine import THIS_MACHINE
from kmodd.kernel.linux.uevents import following
from kmodd.kernel.linux.unchecked import without_checks
from kmodd.kernel.linux.verdicts import (
    closed_parameter,
    lines_about,
    load_failure,
    parameter_failure,
    unload_failure,
)
from kmodd.kernel.proc_modules import ATTEMPTS, parse_modules
from kmodd.modulefile import Compression, ModuleFile, detect_compression
from kmodd.modulefile.decompression import Unpacked, unpack
from kmodd.modulefile.notes import BUILD_ID_SECTION, build_id_in

CAP_SYS_MODULE = 16
"""The capability to load and unload modules (capabilities(7)), as a bit's number."""

log = logging.getLogger(__name__)

_COMPRESSIONS = {each.value: each for each in Compression}


class LinuxKernel:
    """The kernel of this machine. ``_lock`` guards the last listing, which is parsed only once.

    Everything else is the kernel's own, which has its own locks.
    """

    kind = "linux"
    traits = MACHINES_OWN

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        log_device: Path = Path("/dev/kmsg"),
        system: System = THIS_MACHINE,
    ) -> None:
        """``system`` is whose kernel it is; the paths are those that it has there."""
        self._system = system
        self._proc = proc
        self._sysfs = sysfs
        self._log = Kmsg(log_device, system)
        self._lock = threading.Lock()
        self._text = b""
        self._listing: tuple[LoadedModule, ...] = ()
        self._listener: DeviceListener | None = None
        self.release = system.release()
        self.boot_id = read_line(self._system, proc / "sys/kernel/random/boot_id")
        own = _COMPRESSIONS.get(read_line(self._system, sysfs / "module/compression"))
        self.compressions = frozenset({Compression.NONE, own} if own else {Compression.NONE})

    @property
    def command_line(self) -> str:
        """Return the command line that the kernel was started with; "" where it is hidden."""
        return read_command_line(self._system, self._proc)

    def refusal(self) -> str:
        """Say why no module can be loaded at all, as far as it can be known beforehand."""
        if not self._system.exists(self._proc / "modules"):
            return "the kernel is built without modules"
        if not self._system.has_module_calls():
            return "the system calls of this machine's architecture are not known"
        if not self._has_capability():
            return "this process has no CAP_SYS_MODULE"
        if read_line(self._system, self._proc / "sys/kernel/modules_disabled") == "1":
            return MODULES_DISABLED
        return ""

    def limits(self) -> tuple[str, ...]:
        """Say what this kernel, or this process's rights, will not let us do; () for nothing."""
        enforced = (
            read_line(self._system, self._sysfs / "module/module/parameters/sig_enforce") == "Y"
        )
        signed = "the kernel loads no module without a valid signature (sig_enforce)"
        found = (self.refusal(), self._lockdown(), signed if enforced else "", self._log.problem())
        return tuple(each for each in found if each)

    def identity(self) -> KernelIdentity:
        """The kernel tells nobody its version magic but in the refusal of a module."""
        taints = read_number(self._system, self._proc / "sys/kernel/tainted")
        return KernelIdentity("", "the running kernel", taints)

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, the newest first; none where the kernel has no modules."""
        try:
            text = self._system.read_modules(self._proc / "modules")
        except FileNotFoundError:
            return ()
        with self._lock:
            if text != self._text:
                self._text = text
                self._listing = parse_modules(text.decode("utf-8", "surrogateescape"))
            return self._listing

    def module(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, if there is one."""
        return next((module for module in self.modules() if module.name == name), None)

    def details(self, name: str) -> ModuleDetails | None:
        """Return what /sys/module tells of the loaded module ``name``, if there is one.

        A module that goes while it is read is none, and one that comes in its place is read anew.
        """
        found, module = None, self.module(name)
        for _ in range(ATTEMPTS):
            if module is None:
                return None
            found = self._read_details(module)
            before, module = module, self.module(name)
            if module is not None and module.address == before.address:
                break
        return found

    def _read_details(self, module: LoadedModule) -> ModuleDetails:
        system, directory = self._system, self._sysfs / "module" / module.name
        return ModuleDetails(
            module=module,
            core_size=read_number(self._system, directory / "coresize"),
            init_size=read_number(self._system, directory / "initsize"),
            version=read_line(self._system, directory / "version") or None,
            source_version=read_line(self._system, directory / "srcversion") or None,
            parameters=read_parameters(system, directory / "parameters"),
            sections=read_sections(system, directory / "sections"),
            notes=read_notes(system, directory / "notes"),
        )

    def build(self, name: str) -> ModuleBuild:
        """Return which build of the module ``name`` is loaded; nothing is told of one that is not.

        A module that is built into the kernel has a directory in /sys/module, but neither file.
        """
        directory = self._sysfs / "module" / name
        note = read_note(self._system, directory / "notes" / BUILD_ID_SECTION)
        return ModuleBuild(build_id_in(note), read_line(self._system, directory / "srcversion"))

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``.

        What the kernel cannot undo of its compression is undone here: where the header says so,
        and where the kernel's decoder has failed. Where there is no finit_module(2), init_module(2)
        takes the image. Raises ModuleFileError for what nobody can undo.
        """
        with self._loading(lambda: ModuleFile.from_fd(fd, path="")) as window:
            image = self._load_file(fd, parameters, flags, window)
            if image is not None:
                self._load_image(image, parameters, flags)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the module ``image``; flags, which init_module(2) has none of, make it a file."""
        with self._loading(lambda: ModuleFile.parse(image)):
            self._load_image(image, parameters, flags)

    def delete_module(self, name: str, *, force: bool = False) -> None:
        """Unload ``name``; force overrides a count and a missing exit, never holders."""
        self._check_machine()
        try:
            self._system.delete_module(name, os.O_NONBLOCK | (os.O_TRUNC if force else 0))
        except OSError as error:
            found = self.module(name)
            holders = found.holders if found else ()
            raise unload_failure(
                error.errno or errno.EIO, name, holders, why=self._why()
            ) from error

    def set_parameter(self, module: str, name: str, value: str) -> None:
        """Write ``value`` to the file of a parameter of a loaded module."""
        with self._log.window() as window:
            try:
                write_parameter(self._system, self._sysfs / "module", module, name, value)
            except UnopenedFileError as error:
                loaded = self.module(module) is not None
                raise closed_parameter(
                    error.errno or errno.EIO, module, name, loaded=loaded
                ) from error
            except OSError as error:
                code = error.errno or errno.EIO
                if code == errno.ENODEV and self.module(module) is None:  # it has gone meanwhile
                    raise closed_parameter(code, module, name, loaded=False) from error
                raise parameter_failure(code, module, name, value, window.lines()) from error

    def read_log(self, after: int = -1) -> tuple[LogRecord, ...]:
        """Return the log's records after ``after``; KernelError where it may not be read."""
        return self._log.read(after)

    def wait_log(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Return the records after ``after``, waiting up to ``timeout`` seconds for one."""
        return self._log.wait(after, timeout)

    def watching(self, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``changed`` whenever the kernel says that a module came or went."""
        opened = self._system.open_events
        return following(changed, self._has_leaving, opened, devices=self._listener)

    def hear_devices(self, listener: DeviceListener) -> None:
        """Have ``listener`` told of devices for as long as ``watching`` goes on."""
        self._listener = listener

    def plugged_devices(self) -> Iterator[PluggedDevice]:
        """Yield each device in /sys, as if it were plugged in now."""
        return plugged_devices(self._system, self._sysfs)

    def disable_modules(self) -> None:
        """Turn kernel.modules_disabled on, which nobody turns off until the next boot."""
        try:
            self._system.write_below(self._proc / "sys/kernel", ("modules_disabled",), b"1\n")
        except OSError as error:
            code = error.errno or errno.EIO
            why = f"kernel.modules_disabled cannot be set: {error.strerror}"
            raise KernelError(Reason.KERNEL_REFUSED, why, errno=code) from error

    def close(self) -> None:
        """End the waiting of those who follow the log."""
        self._log.close()

    def _load_file(
        self, fd: int, parameters: str, flags: InsertFlags, window: Window
    ) -> bytes | None:
        """Hand the file to the kernel; return its image where that is to be handed over instead."""
        head = os.pread(fd, HEADER_SIZE, 0)
        if not may_undo(head):
            return _unpack(fd).image
        packed = detect_compression(head) is not Compression.NONE
        compressed = MODULE_INIT_COMPRESSED_FILE if packed else 0
        try:
            self._system.finit_module(fd, parameters, flags | compressed)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                return _unpack(fd).image
            image = _image_instead(error.errno or errno.EIO, fd, window) if packed else None
            if image is None:
                raise
            return image
        return None

    def _load_image(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        if flags:
            try:
                self._load_from_memory(image, parameters, flags)
                return
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
            # The kernel says itself what is wrong with one that cannot be read.
            with suppress(ModuleFileError):
                image = without_checks(image, flags)
        self._system.init_module(image, parameters)

    def _load_from_memory(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        fd = os.memfd_create("module")
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(image)
            self._system.finit_module(fd, parameters, flags)
        finally:
            os.close(fd)

    @contextmanager
    def _loading(self, opened: Callable[[], ModuleFile]) -> Iterator[Window]:
        """Turn the failure of a load into a KernelError; the module is read after one alone."""
        self._check_machine()
        with self._log.window() as window:
            try:
                yield window
            except ValueError as error:
                raise KernelError(Reason.INVALID_PARAMETER, str(error)) from error
            except OSError as error:
                raise self._load_failure(error, opened, window) from error

    def _load_failure(
        self, error: OSError, opened: Callable[[], ModuleFile], window: Window
    ) -> KernelError:
        """Find out about a failed load what the errno does not say."""
        code = error.errno or errno.EIO
        name, defect = "", None
        try:
            with opened() as module:
                name = module.this_module_name() or ""
        except ModuleFileError as found:
            defect = found
        except OSError:
            log.debug("a module that the kernel refused cannot be read", exc_info=True)
        lines = window.lines()
        if defect is not None and code == errno.ENOEXEC:
            # The kernel logs nothing of a file that is no module, or not what is wrong with it.
            return KernelError(
                defect.reason, defect.why, errno=code, log=lines_about("", lines or ())
            )
        return load_failure(code, name, lines, why=self._why())

    def _has_leaving(self) -> bool:
        return any(module.state is ModuleState.GOING for module in self.modules())

    def _check_machine(self) -> None:
        if not self._system.has_module_calls():
            why = "the module system calls of this architecture are not known to kmodd"
            raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.ENOSYS)

    def _why(self) -> str:
        """Say why the kernel answers EPERM, as far as it can be known."""
        return "; ".join(each for each in (self.refusal(), self._lockdown()) if each)

    def _lockdown(self) -> str:
        state = read_line(self._system, self._sysfs / "kernel/security/lockdown")
        if not state or "[none]" in state:
            return ""
        return "the kernel is locked down and loads signed modules only"

    def _has_capability(self) -> bool:
        for line in read_text(self._system, self._proc / "self/status").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> CAP_SYS_MODULE & 1)
        return True


def read_command_line(system: System = THIS_MACHINE, proc: Path = Path("/proc")) -> str:
    """Return what a kernel was started with; "" where it is hidden."""
    return read_line(system, proc / "cmdline")


def _unpack(fd: int) -> Unpacked:
    return unpack(os.pread(fd, os.fstat(fd).st_size, 0), path="")


def _image_instead(code: int, fd: int, window: Window) -> bytes | None:
    """Return the image to try with after finit_module(2) has failed with errno ``code``.

    None where the failure is the module's own, or its file's.
    """
    try:
        image, streams = _unpack(fd)
    except (ModuleFileError, OSError):
        return None
    # The kernel's decoders end with the first stream, and take that for all.
    if streams > 1 or is_undecoded(code, image, window.lines() or ()):
        return image
    return None
