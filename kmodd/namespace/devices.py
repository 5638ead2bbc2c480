# SPDX-License-Identifier: Apache-2.0
"""The devices of an emulated kernel: each goes the road that one takes that is plugged in."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import Device, Emulation, Kernel, KernelFile, OpenFile
from kmodd.namespace.context import RequestContext
from kmodd.namespace.operations import Operations
from kmodd.namespace.outcome import Outcome
from kmodd.plan import LoadRequest

Load = Callable[[LoadRequest, RequestContext], Outcome]


class Devices:
    """Plugs in and unplugs. Where the kernel is the machine's, each method raises KernelError."""

    def __init__(self, kernel: Kernel, operations: Operations, load: Load) -> None:
        """``load`` loads what a name stands for, in an operation of its own."""
        self._kernel = kernel
        self._operations = operations
        self._load = load

    def add(self, modalias: str, call: RequestContext) -> tuple[Device, Outcome]:
        """Plug in a device, then load what answers to its modalias, as udev does.

        Returns the device as it is then. Raises KernelError where there can be no such device; a
        load that fails leaves it without a driver.
        """
        kernel = self._emulation()
        with self._operations.begin("add-device", modalias, call) as operation:
            device = kernel.add_device(modalias)
            operation.acted = True
        outcome = self._load(LoadRequest(name=device.modalias, use_blacklist=True), call)
        now = (each for each in kernel.devices() if each.name == device.name)
        return next(now, device), outcome

    def all(self) -> tuple[Device, ...]:
        """Return the devices, the oldest first."""
        return self._emulation().devices()

    def remove(self, name: str, call: RequestContext) -> None:
        """Unplug a device that ``add`` has plugged in."""
        kernel = self._emulation()
        with self._operations.begin("remove-device", name, call) as operation:
            kernel.remove_device(name)
            operation.acted = True

    def interrupt(self, number: int, call: RequestContext) -> tuple[str, ...]:
        """Raise an interrupt, and return the modules that have it."""
        kernel = self._emulation()
        with self._operations.begin("raise-interrupt", str(number), call) as operation:
            modules = kernel.raise_interrupt(number)
            operation.acted = True
        return modules

    def files(self, path: str) -> tuple[KernelFile, ...]:
        """Return what is in a directory of the kernel's /dev, /proc or /sys."""
        return self._emulation().files(path)

    @contextmanager
    def opened(self, path: str, flags: int, call: RequestContext) -> Iterator[OpenFile]:
        """Have a file of the kernel's open, in an operation of its own.

        ``flags`` are those of open(2). Raises KernelError.
        """
        kernel = self._emulation()
        with self._operations.begin("use-file", path, call) as operation:
            file = kernel.open_file(path, flags)
            operation.acted = True
            try:
                yield file
            finally:
                file.close()

    def _emulation(self) -> Emulation:
        if isinstance(self._kernel, Emulation):
            return self._kernel
        why = "only an emulated kernel can do that: this one is the machine's own"
        raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EOPNOTSUPP)
