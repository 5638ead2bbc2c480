# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel: a module table, and the system calls that change it."""

import errno
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from kmodd.errors import ModuleFileError, Reason
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
    ParameterValue,
    Requested,
    build_of,
)
from kmodd.kernel.emulated.execution.cpu import Cpu, IdleCpu, why_not
from kmodd.kernel.emulated.hardware.modalias import parse_modalias
from kmodd.kernel.emulated.load.boot_command_line import BootCommandLine, parse_command_line
from kmodd.kernel.emulated.load.checks import Surroundings
from kmodd.kernel.emulated.load.headers import check_length
from kmodd.kernel.emulated.load.load_module import ModuleLoad
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.machine.trial import Trial
from kmodd.kernel.emulated.modules.image_cache import ImageCache
from kmodd.kernel.emulated.modules.module_table import OWNER_PATIENCE, Changed, ModuleTable
from kmodd.kernel.emulated.modules.struct_module import (
    BASE_REFERENCE,
    State,
    StructModule,
    in_a_file,
)
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.kernel.emulated.reporting.log import KernelLog, Level
from kmodd.kernel.emulated.reporting.refusal import Refusal, missing_file
from kmodd.kernel.emulated.reporting.taints import KernelTaints
from kmodd.kernel.emulated.system_calls.image_file import FileStatus, read_image
from kmodd.kernel.emulated.system_calls.lookup import in_order, look_up
from kmodd.kernel.emulated.system_calls.parameter_file import (
    module_and_parameter,
    opened,
    text_of,
)
from kmodd.kernel.emulated.system_calls.told_file import ToldFile
from kmodd.kernel.taints import mask_of
from kmodd.modulefile import Compression, detect_compression
from kmodd.modulefile.decompression import decompress
from kmodd.records import replace

READABLE = 0o444
"""The bits of a file's mode without any of which sysfs lets not even root read it."""

WRITABLE = 0o222
"""The bits of a file's mode without any of which sysfs lets not even root write it."""

Result = TypeVar("Result")

_KNOWN_FLAGS = int(InsertFlags.IGNORE_MODVERSIONS | InsertFlags.IGNORE_VERMAGIC)


class EmulatedKernel:
    """A kernel that loads genuine module files.

    What it holds is guarded by its parts: the table's mutex, the log's and the taints' locks. A
    system call takes them for single steps, so that a module in its init holds up nobody else.
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
        cpu: Cpu | None = None,
        run_code: bool = False,
        log: KernelLog | None = None,
        changed: Changed | None = None,
        patience: float = OWNER_PATIENCE,
        ask: Answer | None = None,
        trial: Trial | None = None,
    ) -> None:
        """Boot. ``vmlinux`` is asked at every load, as the tree that it is derived from grows.

        ``command_line`` is the kernel's (see boot_command_line.py). With ``run_code`` modules' own
        code is run, where the emulator's library is installed; ``cpu`` runs it some other way.
        ``changed`` is told of every change of the listing. ``patience`` is how many seconds a load
        waits for the init of another. ``ask`` is called with what modules' code asks for, and
        whether it waits. ``trial`` is what is tried with a module in this kernel.
        """
        self.release = release
        self._trial = trial
        self.boot_id = str(uuid.uuid4())
        self._vmlinux = vmlinux
        self.command_line = command_line
        self._command_line: BootCommandLine = parse_command_line(command_line)
        self._patience = patience
        self._log = log or KernelLog()
        self._taints = KernelTaints(self._log)
        self._table = ModuleTable(changed)
        self._files = ImageCache()
        self._ask = ask or no_modprobe
        self._cpu: Cpu = cpu or self._make_cpu(wanted=run_code)
        self.runs_init, self.why_not_run = self._cpu.runs_code, self._cpu.why_not
        if log is None:
            print_banner(self._log, vmlinux(), command_line)

    def identity(self) -> KernelIdentity:
        """Return the version magic, where the symbols are known from, and the taints."""
        vmlinux = self._vmlinux()
        return KernelIdentity(
            vmlinux.vermagic,
            vmlinux.source,
            mask_of(str(self._taints)),
            vmlinux.builtins.names,
        )

    def refusal(self) -> str:
        """Say whether the command line has disabled modules."""
        return MODULES_DISABLED if self._command_line.modules_disabled else ""

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, the newest first."""
        return self._table.listing()

    def module(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, if there is one."""
        return self._table.listed(name)

    def details(self, name: str) -> ModuleDetails | None:
        """Return what /sys/module tells of ``name``, if it is loaded."""
        with self._table.mutex:
            found = self._table.find(name)
            if found is None or found.state is State.UNFORMED:
                return None
            details = found.details()
        # Without the mutex: what a parameter is, the module's own code may have to say.
        with found.parameters.lock:
            values = tuple(
                ParameterValue(
                    each.name,
                    in_a_file(self._cpu.show_parameter(found, each)),
                    stat.S_IMODE(each.mode),  # of 16 bits in kernel_param, as kernfs has it
                )
                for each in found.parameters
                if each.mode
            )
        return replace(details, parameters=values)

    def build(self, name: str) -> ModuleBuild:
        """Return which build of ``name`` is loaded."""
        return build_of(self.details(name))

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``, decompressing it where need be."""
        self.finit_file(fd, None, parameters, flags)

    def finit_file(
        self, fd: int, found: FileStatus | None, parameters: str, flags: InsertFlags
    ) -> None:
        """Do so; ``found`` is what fstat(2) told of the file, where this process may not ask."""
        self._call(lambda: self._finit_module(fd, found, parameters, flags))

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the module ``image``."""
        self._call(lambda: self._init_module(image, parameters, flags))

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport:
        """Unload ``name``; the order of the checks is that of delete_module(2)."""
        return self._call(lambda: self._unload(name, force), name)

    def set_parameter(self, module: str, name: str, value: str) -> None:
        """Write to the file of a parameter, as root does."""
        with self._log.capture() as lines:
            try:
                self._set_parameter(module, name, value)
            except Refusal as refusal:
                raise refusal.about(module, lines) from None

    def add_device(self, modalias: str) -> Device:
        """Plug in a device, and offer it to the drivers that are loaded."""
        return self._outside(lambda: self._cpu.plug(parse_modalias(modalias)))

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, the oldest first."""
        return self._cpu.devices()

    def remove_device(self, name: str) -> None:
        """Unplug a device."""
        self._outside(lambda: self._cpu.unplug(name))

    def raise_interrupt(self, number: int) -> tuple[str, ...]:
        """Have an interrupt come; return the modules that have it."""
        modules = self._outside(lambda: self._cpu.interrupt(number))
        if not modules:
            why = f"no driver has interrupt {number}"
            raise Refusal(Reason.DEVICE_NOT_FOUND, errno.ENODEV, why, detail=str(number))
        return modules

    def files(self, path: str) -> tuple[KernelFile, ...]:
        """Return what is in a directory of /dev, /proc or /sys."""
        return self._outside(lambda: look_up((*self._cpu.files(), *self._module_files()), path))

    def open_file(self, path: str, flags: int) -> OpenFile:
        """Open a file of /dev, /proc or /sys."""
        found = in_order(path)
        if not found:
            raise missing_file(path)
        file = self._outside(
            lambda: self._parameter_file(found, flags) or self._cpu.open_file(found, flags)
        )
        return ToldFile(file, self._outside)

    def _parameter_file(self, path: str, flags: int) -> OpenFile | None:
        """Open the file of a parameter, None where the path is of none."""
        named = module_and_parameter(path)
        if named is None:
            return None
        module, name = named
        with self._table.mutex:
            found = self._table.find(module)
        if found is None or found.state is State.UNFORMED:
            return None
        parameter = found.parameters.with_file(name)
        if parameter is None:
            return None

        def show() -> bytes:
            with found.parameters.lock:
                value = in_a_file(self._cpu.show_parameter(found, parameter))
            if value is None:
                raise Refusal(Reason.KERNEL_REFUSED, errno.EPERM, f"{path} cannot be read")
            return value.encode("utf-8", "surrogateescape") + b"\n"

        def store(data: bytes) -> None:
            self._set_parameter(module, name, text_of(parameter, data))

        return opened(path, flags, parameter.mode, show, store)

    def answer_requests(self, answer: Answer) -> None:
        """Have ``answer`` called with what modules' code asks for."""
        self._ask = answer

    def hold(self, name: str) -> bool:
        """Take a reference to a module, as an open file does (try_module_get)."""
        return self._table.hold(name)

    def release_hold(self, name: str) -> None:
        """Give back a reference that ``hold`` took (module_put)."""
        self._table.release(name)

    def read_log(self, after: int = -1) -> tuple[LogRecord, ...]:
        """Return the records still in the log after ``after``."""
        return self._log.read(after)

    def wait_log(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Return the records after ``after``, waiting up to ``timeout`` seconds for one."""
        return self._log.wait(after, timeout)

    def watching(
        self,
        changed: Callable[[], None],  # noqa: ARG002  # never called
    ) -> AbstractContextManager[None]:
        """Nobody but its owner loads modules into this kernel."""
        return nullcontext()

    def close(self) -> None:
        """End the waiting of those who follow the log, and run nothing any more."""
        self._log.close()
        self._cpu.close()

    def _make_cpu(self, *, wanted: bool) -> Cpu:
        """Return the processor that runs modules' code, or says why it does not."""
        why = why_not(wanted=wanted) or self._vmlinux().why_not_run
        if why:
            return IdleCpu(why)
        # The emulator's library need not be installed, and takes 60 ms to load.
        from kmodd.kernel.emulated.execution.processor import Processor

        return Processor(
            Services(
                printk=self._log.printk,
                taint=self._taints.add,
                taints=lambda: str(self._taints),
                hold=self._table.hold,
                release=self._table.release,
                modules=lambda: " ".join(each.name for each in self.modules()),
                kernel_release=self.release,
                request=lambda name, wait: self._ask(name, wait),
                trial=self._trial,
            )
        )

    def _outside(self, work: Callable[[], Result]) -> Result:
        """Do what is about no module; its refusal says what it is about."""
        with self._log.capture() as lines:
            try:
                return work()
            except Refusal as refusal:
                raise refusal.about("", lines) from None
            finally:
                self._table.refresh()

    def _module_files(self) -> Iterator[KernelFile]:
        """Yield the directories of /sys/module, and the files of parameters in them."""
        for module in self.modules():
            yield KernelFile(f"/sys/module/{module.name}", is_directory=True, module=module.name)
            with self._table.mutex:
                found = self._table.find(module.name)
                shown = [each for each in found.parameters if each.mode] if found else []
            for each in shown:
                path = f"/sys/module/{module.name}/parameters/{each.name}"
                mode = stat.S_IMODE(each.mode)
                uses = "r" * bool(mode & READABLE) + "w" * bool(mode & WRITABLE)
                yield KernelFile(path, is_directory=False, module=module.name, mode=mode, uses=uses)

    def _call(self, system_call: Callable[[], Result], name: str = "") -> Result:
        """Make a system call, unless modules are disabled; a refusal says what it is about."""
        with self._log.capture() as lines:
            try:
                if self._command_line.modules_disabled:
                    raise Refusal(Reason.KERNEL_REFUSED, errno.EPERM, "modules are disabled")
                return system_call()
            except Refusal as refusal:
                raise refusal.about(name, lines) from None

    def _finit_module(
        self, fd: int, found: FileStatus | None, parameters: str, flags: InsertFlags
    ) -> None:
        if int(flags) & ~_KNOWN_FLAGS:
            raise Refusal(Reason.KERNEL_REFUSED, errno.EINVAL, "unknown flags")
        self._load(self._read(fd, found), parameters, flags)

    def _init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        if not flags:  # which init_module(2) has none of
            check_length(image, self._vmlinux())
        self._load(image, parameters, flags)

    def _read(self, fd: int, found: FileStatus | None) -> bytes:
        """Return the uncompressed module in the file at ``fd`` (kernel_read_file)."""
        data = read_image(fd, found)
        if detect_compression(data[:8]) is Compression.NONE:
            return data
        try:
            return decompress(data, path="")
        except ModuleFileError as error:
            self._log.printk(Level.ERR, error.why)
            raise Refusal(error.reason, errno.EINVAL, error.why) from error

    def _load(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        around = Surroundings(self._vmlinux(), self._command_line, self._taints, self._log)
        load = ModuleLoad(around, self._table, self._cpu, self._patience, self._files)
        try:
            load.run(image, parameters, flags)
        except Refusal as refusal:
            raise refusal.about(load.label, self._log.captured()) from None
        except ModuleFileError as error:
            # A module that a kernel might choke on, where it trusts what it should not.
            why = f"{load.label}: {error.why}" if load.label else error.why
            self._log.printk(Level.ERR, why)
            defect = Refusal(error.reason, errno.ENOEXEC, error.why)
            raise defect.about(load.label, self._log.captured()) from error

    def _set_parameter(self, module: str, name: str, value: str) -> None:
        with self._table.mutex:
            found = self._table.find(module)
        if found is None or found.state is State.UNFORMED:
            raise not_loaded(module)
        parameter = found.parameters.with_file(name)
        if parameter is None:
            why = f"module {module} shows no parameter {name}"
            raise Refusal(Reason.PARAMETER_NOT_FOUND, errno.ENOENT, why, detail=name)
        if not parameter.mode & WRITABLE:
            why = f"parameter {name} of {module} cannot be set (mode {parameter.mode:04o})"
            raise Refusal(Reason.KERNEL_REFUSED, errno.EACCES, why, detail=name)
        with found.parameters.lock:
            code, remarks = self._cpu.store_parameter(found, parameter, value)
        self._cpu.settle(found)
        for remark in remarks:
            self._log.printk(remark.level, remark.text)
            if remark.taints:
                self._taints.add("U")
        if code:
            why = f"`{value}' invalid for parameter `{name}' of {module}"
            raise Refusal(Reason.INVALID_PARAMETER, code, why, detail=name)

    def _unload(self, name: str, force: bool) -> EmulationReport:
        table = self._table
        with table.mutex:
            mod = self._stop(name, table.find(name), force)
        try:
            if mod.has_exit:
                self._cpu.exit(mod)
        finally:
            self._cpu.drop(mod)
            with table.mutex:
                table.drop(mod)
        return mod.report()

    def _stop(self, name: str, found: StructModule | None, force: bool) -> StructModule:
        """Mark the module as going, unless something speaks against it."""
        if found is None or found.state is State.UNFORMED:
            raise not_loaded(name)
        users = " ".join(user.name for user in found.users)
        if users:
            why = f"module {name} is in use by {users}"
            raise Refusal(Reason.MODULE_IN_USE, errno.EAGAIN, why, detail=users)
        if found.state is not State.LIVE:
            why = f"module {name} is being loaded or unloaded"
            raise Refusal(Reason.MODULE_BUSY, errno.EBUSY, why)
        if found.is_permanent and not self._may_force(force):
            why = f"module {name} has no exit function"
            raise Refusal(Reason.MODULE_BUSY, errno.EBUSY, why)
        if found.count != BASE_REFERENCE:
            if not self._may_force(force):
                raise Refusal(Reason.MODULE_IN_USE, errno.EAGAIN, f"module {name} is in use")
        else:
            found.count -= BASE_REFERENCE
        self._table.make_going(found)
        return found

    def _may_force(self, force: bool) -> bool:
        """Tell whether an unload may be forced, which taints (try_force_unload)."""
        if not force or not self._vmlinux().options.force_unload:
            return False
        self._taints.add("R")
        return True


def no_modprobe(_name: str, _wait: bool) -> Requested:
    """Answer a request where there is no modprobe (an empty kernel.modprobe)."""
    return Requested(-errno.ENOENT)


def not_loaded(name: str) -> Refusal:
    """Return the refusal of what is asked of a module that is not there."""
    return Refusal(Reason.MODULE_NOT_LOADED, errno.ENOENT, f"module {name} is not loaded")


def print_banner(log: KernelLog, vmlinux: Vmlinux, command_line: str) -> None:
    """Begin a log as Linux does: what is booting, and with which command line."""
    words = vmlinux.vermagic.split()
    build = [word.upper() for word in words if word in ("SMP", "preempt", "preempt_rt")]
    by = f" ({vmlinux.compiler.removeprefix('GCC: ')})" if vmlinux.compiler else ""
    version = " ".join(["#1", *build, "emulated"])
    log.printk(Level.NOTICE, f"Linux version {vmlinux.release} (kmodd@emulated){by} {version}")
    if command_line:
        log.printk(Level.INFO, f"Command line: {command_line}")
