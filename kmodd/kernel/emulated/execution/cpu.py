# SPDX-License-Identifier: Apache-2.0
"""Who runs the modules' own code: an emulated processor, or nobody."""

import errno
from importlib.util import find_spec
from typing import Protocol

from kmodd.errors import Reason
from kmodd.kernel.base import Device, KernelFile, OpenFile
from kmodd.kernel.emulated.hardware.modalias import PciIdentity, PlatformIdentity
from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.kernel.emulated.modules.param_table import ModuleParameter
from kmodd.kernel.emulated.modules.params import Remark, store_parameter
from kmodd.kernel.emulated.modules.struct_module import Imports, StructModule
from kmodd.kernel.emulated.reporting.refusal import Refusal, missing_file

NO_EMULATOR = "kmodd is installed without its extra 'emulator'"
"""Why code does not run where the emulator's library is missing."""

SWITCHED_OFF = "kmodd was told not to run modules' code (--no-code, run_code)"
"""Why code does not run where a person wants it so."""


def why_not(*, wanted: bool) -> str:
    """Return why modules' code will not run; empty where it will."""
    if not wanted:
        return SWITCHED_OFF
    return "" if find_spec("unicorn") else NO_EMULATOR


class Cpu(Protocol):
    """Runs a module's functions. Called without any lock, from the thread of the system call."""

    runs_code: bool
    """Whether the functions are really run."""

    why_not: str
    """Why they are not; empty where they are."""

    def place(self, file: LoadInfo, mod: StructModule, imports: Imports) -> None:
        """Put the module where its addresses say; raises Refusal where it cannot be relocated."""

    def take_parameter(
        self, mod: StructModule, parameter: ModuleParameter, value: str | None
    ) -> int:
        """Let a module that is being loaded see a value that was found to be good.

        Returns 0, or the errno of the module's own setter.
        """

    def show_parameter(self, mod: StructModule, parameter: ModuleParameter) -> str | None:
        """Return the value that a parameter has now, None where that cannot be known.

        Called, like ``store_parameter``, with the lock of the module's parameters held.
        """

    def store_parameter(
        self, mod: StructModule, parameter: ModuleParameter, value: str
    ) -> tuple[int, list[Remark]]:
        """Set a parameter of a module in the kernel; return 0 or an errno, and what is logged."""

    def init(self, mod: StructModule) -> int:
        """Run the module's init and return what it returned: 0, or an errno below zero.

        Raises Refusal where the code went so wrong that it could not go on.
        """

    def settle(self, mod: StructModule) -> None:
        """Let what the module's init has begun go on by itself: work, timers, threads.

        Nothing that goes wrong there is raised: the module is loaded.
        """

    def exit(self, mod: StructModule) -> None:
        """Run the module's exit. Raises Refusal as ``init`` does."""

    def drop_init(self, mod: StructModule) -> None:
        """Give back what only init needed."""

    def drop(self, mod: StructModule) -> None:
        """Take the module away before its memory is anybody else's, and what it never gave back."""

    def plug(self, identity: PlatformIdentity | PciIdentity) -> Device:
        """Make a device and have the drivers of its bus probe it; raises Refusal."""

    def unplug(self, name: str) -> None:
        """Have a device's driver let go of it, and take it away; raises Refusal."""

    def interrupt(self, number: int) -> tuple[str, ...]:
        """Have an interrupt come; return the modules that have it."""

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, the oldest first."""

    def open_file(self, path: str, flags: int) -> OpenFile:
        """Open a file that a module has made; raises Refusal. ``path`` is in order."""

    def files(self) -> tuple[KernelFile, ...]:
        """Return what there is in /dev, /proc and /sys beside what the kernel itself tells of."""

    def close(self) -> None:
        """Run nothing any more."""


class IdleCpu:
    """A processor that runs nothing: every init succeeds."""

    runs_code = False
    why_not = SWITCHED_OFF

    def __init__(self, why_not: str = SWITCHED_OFF) -> None:
        self.why_not = why_not

    def place(self, file: LoadInfo, mod: StructModule, imports: Imports) -> None:
        """Do nothing."""

    def take_parameter(
        self, _mod: StructModule, _parameter: ModuleParameter, _value: str | None
    ) -> int:
        """Return success."""
        return 0

    def show_parameter(self, _mod: StructModule, parameter: ModuleParameter) -> str | None:
        """Return the value as it was given, or as the file has it."""
        return parameter.value

    def store_parameter(
        self, mod: StructModule, parameter: ModuleParameter, value: str
    ) -> tuple[int, list[Remark]]:
        """Keep the value, as far as the kernel's own types can tell it."""
        return store_parameter(parameter, value, mod.parameters.bits)

    def init(self, _mod: StructModule) -> int:
        """Return success."""
        return 0

    def settle(self, mod: StructModule) -> None:
        """Do nothing."""

    def exit(self, mod: StructModule) -> None:
        """Do nothing."""

    def drop_init(self, mod: StructModule) -> None:
        """Do nothing."""

    def drop(self, mod: StructModule) -> None:
        """Do nothing."""

    def plug(self, _identity: PlatformIdentity | PciIdentity) -> Device:
        """Refuse: without code there are no drivers."""
        why = f"no driver would see a device: {self.why_not}"
        raise Refusal(Reason.KERNEL_REFUSED, errno.EOPNOTSUPP, why)

    def unplug(self, name: str) -> None:
        """Refuse: there is no device."""
        why = f"there is no device {name[:64]!r}"
        raise Refusal(Reason.DEVICE_NOT_FOUND, errno.ENODEV, why, detail=name[:64])

    def interrupt(self, _number: int) -> tuple[str, ...]:
        """Nobody has any."""
        return ()

    def devices(self) -> tuple[Device, ...]:
        """Return none."""
        return ()

    def open_file(self, path: str, _flags: int) -> OpenFile:
        """Refuse: there is no file."""
        raise missing_file(path)

    def files(self) -> tuple[KernelFile, ...]:
        """Return none."""
        return ()

    def close(self) -> None:
        """Do nothing."""
