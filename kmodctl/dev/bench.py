# SPDX-License-Identifier: Apache-2.0
"""The kernel's side of a round: takes the old modules out and puts the new ones in."""

import os
from collections.abc import Callable

from kmodctl.api import Api
from kmodctl.commands.check import report_of
from kmodctl.dev.building import BuiltModule
from kmodctl.dev.telling import Told
from kmodctl.errors import CallError, KmodctlError
from kmodctl.failures import cause_of, reason_of
from kmodctl.quoting import join_parameters
from kmodctl.uploading import load_file, sendable
from kmodd.messages.emulation_service import (
    AddDeviceRequest,
    CheckModuleHeader,
    ListDevicesRequest,
    RemoveDeviceRequest,
)
from kmodd.messages.errors import Failure
from kmodd.messages.module_service import (
    ListModulesRequest,
    LoadModulesRequest,
    ModuleResult,
    RemoveModuleRequest,
)

GONE = ("MODULE_NOT_LOADED", "DEVICE_NOT_FOUND", "NO_DAEMON", "KERNEL_PANIC")
"""Why something cannot be taken out that is not there any more: others did, or the kernel ended."""


class Bench:
    """What was put into a kernel, so that it can be taken out again.

    ``devices`` are the modaliases of those to plug in once a driver may be there. ``show_log``
    shows what the kernel has logged by then. For one thread.
    """

    def __init__(
        self, api: Api, told: Told, devices: list[str], show_log: Callable[[], None]
    ) -> None:
        self._api = api
        self._told = told
        self._show_log = show_log
        self._wanted = devices
        self._devices: dict[str, str] = {}
        self._inserted: list[str] = []
        self._brought: list[str] = []

    def take_out(self, also: tuple[str, ...] = ()) -> bool:
        """Take out what was put in, the last first, and ``also`` those that are there of others'.

        Returns whether all of them are out; what stays is told.
        """
        if also:
            answer = self._api.modules.list_modules(ListModulesRequest())
            loaded = {module.name for module in answer.modules}
            theirs = [each for each in also if each in loaded and each not in self._inserted]
        else:
            theirs = []
        staying = [name for name in (*reversed(self._inserted), *theirs) if not self._remove(name)]
        self._inserted = [name for name in self._inserted if name in staying]
        return not staying

    def put_in(self, module: BuiltModule, parameters: list[str]) -> bool:
        """Load a module, and what it needs of the kernel's own; returns whether it is in.

        Raises KmodctlError where there is no daemon, OSError where the file is gone.
        """
        self._told.event("insert", f"{module.name} is put in", module=module.name)
        request = LoadModulesRequest(
            parameters=sendable(join_parameters(parameters)), failure_in_result=True
        )
        try:
            result = load_file(self._api, module.path, request).result or ModuleResult()
        except CallError as error:
            self._show_log()
            self._told.failed(f"{module.name} cannot be put in", error, module.name)
            self._told.leaks(module.name, list(error.leaks))
            return False
        self._show_log()
        done = [step.module for step in result.steps if step.done and not step.undone]
        self._brought += [name for name in done if name not in (module.name, *self._brought)]
        if result.failure is not None:
            what = f"{module.name} cannot be put in"
            self._told.failed(what, _error_of(result.failure), module.name)
            self._told.leaks(result.failure.module, list(result.failure.leaks))
            return False
        self._inserted.append(module.name)
        return True

    def check(
        self, module: BuiltModule, parameters: list[str], is_over: Callable[[], bool]
    ) -> None:
        """Have a module checked in a kernel of its own, until that ``is_over``; tell the report.

        Raises as ``put_in`` does.
        """
        self._told.event("checking", f"{module.name} is checked", module=module.name)
        header = CheckModuleHeader(
            file_name=sendable(module.path), parameters=sendable(join_parameters(parameters))
        )
        try:
            report = report_of(self._api, module.path, header, is_over)
        except CallError as error:
            self._told.failed(f"{module.name} cannot be checked", error, module.name)
            return
        if not is_over():
            self._told.report(report)

    def plug_in(self) -> None:
        """Have the devices that are asked for, those anew that the kernel has no more."""
        if not self._wanted:
            return
        there = self._api.emulation.list_devices(ListDevicesRequest()).devices
        drivers = {device.name: device for device in there}
        for modalias in self._wanted:
            name = self._devices.get(modalias, "")
            device = drivers.get(name)
            if device is None:
                added = self._api.emulation.add_device(
                    AddDeviceRequest(modalias=sendable(modalias))
                )
                device = added.device
                self._show_log()
            if device is None:
                continue
            self._devices[modalias] = device.name
            driver = f"has the driver {device.driver}" if device.driver else "has no driver"
            if device.probe_errno:
                driver = f"has no driver, refused: {os.strerror(device.probe_errno)}"
            facts = {"device": device.name, "driver": device.driver}
            self._told.event("device", f"{device.name} {driver}", **facts)

    def clear(self) -> None:
        """Take out all that was put in: modules, devices, and what modules needed, if it is unused.

        What cannot be taken out is told.
        """
        self.take_out()
        for name in self._devices.values():
            try:
                self._api.emulation.remove_device(RemoveDeviceRequest(name=name))
            except KmodctlError as error:
                if error.reason not in GONE:
                    self._told.failed(f"{name} cannot be unplugged", error)
            self._show_log()
        self._devices.clear()
        for name in reversed(self._brought):
            self._remove(name)
        self._brought.clear()

    def _remove(self, name: str) -> bool:
        """Unload a module, and tell what it leaves; returns whether it is out."""
        self._told.event("remove", f"{name} is taken out", module=name)
        try:
            answer = self._api.modules.remove_module(RemoveModuleRequest(name=name))
        except KmodctlError as error:
            self._show_log()
            if error.reason in GONE:
                return True
            self._told.failed(f"{name} cannot be taken out", error, name)
            return False
        self._show_log()
        leaks = list(answer.leaks)
        self._told.event("removed", "", module=name, leaks=leaks)
        self._told.leaks(name, leaks)
        return True


def _error_of(failure: Failure) -> CallError:
    return CallError(
        reason_of(failure),
        failure.message if reason_of(failure) == "UNKNOWN_SYMBOL" else cause_of(failure),
        module=failure.module,
        symbol=failure.symbol,
        detail=failure.detail,
        log_lines=tuple(failure.log_lines),
        leaks=tuple(failure.leaks),
    )
