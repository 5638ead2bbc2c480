# SPDX-License-Identifier: Apache-2.0
"""What the namespace asks of a kernel: the three system calls, a listing, a log.

The protocol is the kernel's own interface (finit_module(2), init_module(2), delete_module(2),
/proc/modules, /dev/kmsg), in plain data, so that a kernel may live in this process, in a child
process, or be the one that the machine runs.
"""

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from kmodd.kernel.files import FileRead as FileRead
from kmodd.kernel.files import KernelFile as KernelFile
from kmodd.kernel.files import OpenFile as OpenFile
from kmodd.kernel.loaded import EmulationReport as EmulationReport
from kmodd.kernel.loaded import InitState as InitState
from kmodd.kernel.loaded import InsertFlags as InsertFlags
from kmodd.kernel.loaded import LoadedModule as LoadedModule
from kmodd.kernel.loaded import ModuleState as ModuleState
from kmodd.kernel.taints import letters_of
from kmodd.modulefile import Compression
from kmodd.modulefile.notes import BUILD_ID_SECTION, build_id_in
from kmodd.records import record

MODULES_DISABLED = "modules are disabled until the next boot (kernel.modules_disabled)"
"""What is said of a kernel whose switch was turned, or that was booted so."""


@record
class LogRecord:
    """One record of the kernel log.

    ``sequence`` grows by one a record and is never given twice in one life of the kernel.
    ``level`` is the syslog level, 0 (emergency) to 7 (debug). ``microseconds`` count from boot.
    """

    sequence: int
    level: int
    microseconds: int
    text: str


@record
class KernelIdentity:
    """What a kernel asks of its modules: their version magic, and which symbols there are.

    ``vermagic`` is empty where it is not known; ``symbol_source`` says in words where the
    kernel's own exported symbols are known from. ``taint_mask`` has the taints that the kernel
    has taken on since it booted, as /proc/sys/kernel/tainted does. ``builtins`` are the modules
    that are part of the kernel.
    """

    vermagic: str
    symbol_source: str
    taint_mask: int = 0
    builtins: frozenset[str] = frozenset()

    @property
    def taints(self) -> str:
        """The letters of the taints."""
        return letters_of(self.taint_mask)


@record
class ParameterValue:
    """A parameter of a loaded module, as a file of /sys/module/NAME/parameters shows it.

    ``value`` is what reading the file gives, without the newline at its end; None where the file
    cannot be read, or only the module's own code could tell. ``mode`` are the file's permission
    bits, never 0: a parameter without any has no file.
    """

    name: str
    value: str | None
    mode: int

    @property
    def is_private(self) -> bool:
        """Whether there are users who may not read the file."""
        return not self.mode & stat.S_IROTH


@record
class ModuleSection:
    """A section of a loaded module, as a file of /sys/module/NAME/sections shows it.

    ``address`` is where it was put, which it may have been given back from since; 0 where the
    kernel does not tell.
    """

    name: str
    address: int


@record
class ModuleNote:
    """A section with notes (elf(5)), as a file of /sys/module/NAME/notes shows it."""

    name: str
    contents: bytes


@record
class ModuleDetails:
    """What /sys/module/NAME says of a loaded module beside its line in /proc/modules.

    Sizes are in bytes: ``core_size`` is what stays (``coresize``), ``init_size`` what is given
    back once init has run (``initsize``; 0 by then). ``version`` and ``source_version`` are None
    where there is no such file. ``sections`` and ``notes`` are in order of their names.
    """

    module: LoadedModule
    core_size: int
    init_size: int
    version: str | None = None
    source_version: str | None = None
    parameters: tuple[ParameterValue, ...] = ()
    sections: tuple[ModuleSection, ...] = ()
    notes: tuple[ModuleNote, ...] = ()


@record
class ModuleBuild:
    """Which build of a module is loaded, as far as the kernel tells.

    ``build_id`` is what the linker noted, in lower hexadecimal digits (the file .note.gnu.build-id
    of /sys/module/NAME/notes), ``source_version`` the hash of the sources (``srcversion``); each is
    "" where there is none.
    """

    build_id: str = ""
    source_version: str = ""


def build_of(details: ModuleDetails | None) -> ModuleBuild:
    """Return the build of the module that ``details`` are of; nothing is told of one of none."""
    if details is None:
        return ModuleBuild()
    notes = (note.contents for note in details.notes if note.name == BUILD_ID_SECTION)
    return ModuleBuild(build_id_in(next(notes, b"")), details.source_version or "")


@record
class Device:
    """A device of an emulated kernel, as a directory of /sys/bus/BUS/devices shows it.

    ``driver`` is the one that it is bound to, ``driver_module`` whose that is. ``probe_errno`` is
    the errno, positive, with which the last probe refused it. ``owner`` is the module that has
    brought the device along, empty where ``Emulation.add_device`` has made it.
    """

    name: str
    bus: str
    modalias: str
    driver: str = ""
    driver_module: str = ""
    probe_errno: int = 0
    owner: str = ""


@record
class PluggedDevice:
    """A device of a machine, as its kernel tells of it when it is plugged in.

    ``path`` is that of its directory below /sys ("/devices/..."). ``properties`` are those of the
    kernel's event (ACTION, SUBSYSTEM, MODALIAS and the like), DEVPATH among them.
    """

    path: str
    properties: Mapping[str, str]


@record
class Requested:
    """What became of a module that code in a kernel has asked for (request_module).

    ``status`` is what the code is told: 0, the exit status of modprobe as wait(2) has it, or an
    errno below zero. ``why`` is what the log has to say about a failure, which is not always
    anything: to ask for what does not exist is usual.
    """

    status: int = 0
    why: str = ""


@record(kw_only=True)
class KernelTraits:
    """In what kernels differ for those who work with one and are not to mind which it is.

    One that ``is_real`` is a machine's, and methods take the role that they take there. With
    ``trusted_files_only`` modules and configuration count only where none but root could have
    written them. ``runs_commands`` has the commands of modprobe.d run whatever the settings say.
    Where ``log_is_private`` the log tells of more than modules, and is for administrators alone.
    ``outlives_daemon`` tells that what is loaded stays when the daemon ends.
    """

    is_real: bool
    trusted_files_only: bool
    runs_commands: bool
    log_is_private: bool
    outlives_daemon: bool


MACHINES_OWN = KernelTraits(
    is_real=True,
    trusted_files_only=True,
    runs_commands=True,
    log_is_private=True,
    outlives_daemon=True,
)
"""The traits of the kernel that the machine runs."""

DAEMONS_OWN = KernelTraits(
    is_real=False,
    trusted_files_only=False,
    runs_commands=False,
    log_is_private=False,
    outlives_daemon=False,
)
"""The traits of a kernel that the daemon has made for itself."""


Answer = Callable[[str, bool], Requested]
"""Answers a request for a module by its name or an alias, and whether the code waits for it."""


class Kernel(Protocol):
    """A kernel's module interface. Every method may be called from any thread.

    Mutating calls raise KernelError with the kernel's errno, exactly as the system call of the
    same name fails; they never raise for a state of the kernel's that they can report as one.
    """

    kind: str
    """``emulated``, ``vm`` or ``linux``."""

    traits: KernelTraits
    """In what it differs from other kernels."""

    release: str
    """What ``uname -r`` says on this kernel."""

    compressions: frozenset[Compression]
    """The compressions that finit_module undoes itself (/sys/module/compression)."""

    @property
    def command_line(self) -> str:
        """What the kernel was started with (/proc/cmdline); "" where that is hidden."""

    @property
    def boot_id(self) -> str:
        """Names one life of the kernel (/proc/sys/kernel/random/boot_id); another id means that
        everything loaded before is gone, as after a reboot.
        """

    def identity(self) -> KernelIdentity:
        """Return what this kernel asks of its modules."""

    def refusal(self) -> str:
        """Say why this kernel would now refuse every module; "" where it would not."""

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, the newest first, as one consistent snapshot."""

    def module(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, if there is one."""

    def details(self, name: str) -> ModuleDetails | None:
        """Return what /sys/module tells of the loaded module ``name``, if there is one."""

    def build(self, name: str) -> ModuleBuild:
        """Return which build of the module ``name`` is loaded; nothing is told of one that is not.

        It takes little beside ``details``, and runs none of the module's code.
        """

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``, compressed or not (see ``compressions``)."""

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the uncompressed module ``image``.

        init_module(2) knows no flags: a kernel that is behind it edits the image instead.
        """

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport | None:
        """Unload ``name`` without waiting for its users to go (O_NONBLOCK).

        Returns what an emulation has to tell of the module that is gone.
        """

    def set_parameter(self, module: str, name: str, value: str) -> None:
        """Write ``value`` to the file of a parameter of a loaded module.

        The errno is that of opening or writing /sys/module/MODULE/parameters/NAME: ENOENT, EACCES
        where nobody may write it, EINVAL and ERANGE where the value does not fit.
        """

    def read_log(self, after: int = -1) -> tuple[LogRecord, ...]:
        """Return the records still in the log whose sequence is greater than ``after``."""

    def wait_log(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Like ``read_log``, but wait up to ``timeout`` seconds for a first record to come."""

    def watching(self, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``changed`` whenever others than us may have loaded or unloaded a module.

        It is a hint: it may come late, or for a change of our own, and what changed only
        ``modules`` tells. The call comes from a thread of the kernel's; when the context ends,
        none is under way.
        """

    def close(self) -> None:
        """End the waiting of all who follow the log, and give back what the kernel holds."""


@runtime_checkable
class Requester(Protocol):
    """What a kernel can do whose requests for modules come to kmodd, and to no modprobe."""

    def answer_requests(self, answer: Answer) -> None:
        """Have ``answer`` called with what the kernel's code asks for (request_module).

        It loads that with calls of its own, while the code waits; that runs on when it returns.
        ``answer`` raises nothing, and is called by a thread of the kernel's.
        """


@runtime_checkable
class Emulation(Requester, Protocol):
    """What an emulated kernel can do besides. Raises KernelError as a Kernel does.

    It knows which call the code runs for that asks for a module: ``answer`` runs in the context
    (contextvars) of that call. What the code does not wait for is only to be noted, and is loaded
    once that call is over.
    """

    runs_init: bool
    """Whether this kernel runs the modules' own code."""

    why_not_run: str
    """Why it does not; empty where it does."""

    def add_device(self, modalias: str) -> Device:
        """Plug in a device and offer it to the drivers that are loaded; nothing is loaded for it.

        Reasons: INVALID_REQUEST, LIMIT_REACHED, KERNEL_REFUSED (EOPNOTSUPP) where no code runs,
        MODULE_CRASHED.
        """

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, those that modules have brought along included, the oldest first."""

    def remove_device(self, name: str) -> None:
        """Unplug a device that ``add_device`` has made.

        Reasons: DEVICE_NOT_FOUND, KERNEL_REFUSED (EBUSY), MODULE_CRASHED.
        """

    def raise_interrupt(self, number: int) -> tuple[str, ...]:
        """Have an interrupt come, and return the modules that have it.

        Reason: DEVICE_NOT_FOUND.
        """

    def files(self, path: str) -> tuple[KernelFile, ...]:
        """Return what is in a directory of /dev, /proc or /sys by name, or the file ``path``.

        Reason: FILE_NOT_FOUND.
        """

    def open_file(self, path: str, flags: int) -> OpenFile:
        """Open a file of /dev, /proc or /sys, with flags of open(2).

        Reasons: FILE_NOT_FOUND, KERNEL_REFUSED, LIMIT_REACHED, MODULE_CRASHED.
        """


class DeviceListener(Protocol):
    """Who is told of the devices of a machine. Every method is called by one thread, the one that
    ``Kernel.watching`` has, and is to return at once.
    """

    def plugged(self, device: PluggedDevice) -> None:
        """Take in that a device was plugged in, or is told of anew."""

    def lost(self) -> None:
        """Take in that there were events which nobody has read."""

    @property
    def question(self) -> int:
        """A descriptor that can be read while somebody wants to know that all was heard."""

    def all_heard(self) -> None:
        """Take in that, when the question was seen, all events of before had been handed on."""


@runtime_checkable
class Sealable(Protocol):
    """What a kernel can do that lets itself be kept from loading modules until the next boot."""

    def disable_modules(self) -> None:
        """Load and unload nothing any more (kernel.modules_disabled); raises KernelError."""


@runtime_checkable
class DeviceTeller(Protocol):
    """What a kernel can do that tells of a machine's devices."""

    def hear_devices(self, listener: DeviceListener) -> None:
        """Have ``listener`` told of devices for as long as ``Kernel.watching`` goes on."""

    def plugged_devices(self) -> Iterator[PluggedDevice]:
        """Yield each device that there is, as if it were plugged in now."""
