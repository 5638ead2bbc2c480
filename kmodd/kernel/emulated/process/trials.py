# SPDX-License-Identifier: Apache-2.0
"""Tries a module in this process: each run in a kernel that has just booted."""

import gc
import os
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated.machine.trial import Trial
from kmodd.kernel.emulated.reporting.log import KernelLog
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel
from kmodd.kernel.trials import Attempt, Observation
from kmodd.modulefile import ModuleFile

LOG_LINES = 40
"""Lines of the log that are told of a run, the last ones."""

MakeKernel = Callable[[Trial, KernelLog], EmulatedKernel]
"""Boots a kernel in which a module is tried, with a log."""


def read_images(fd: int, sizes: Sequence[int]) -> list[bytes]:
    """Return the module files that lie one behind the other in the file at ``fd``; closes it."""
    try:
        ends = accumulate(sizes, initial=0)
        return [os.pread(fd, end - start, start) for start, end in pairwise(ends)]
    finally:
        os.close(fd)


def attempt(
    make: MakeKernel, images: Sequence[bytes], parameters: str, wanted: Attempt
) -> Observation:
    """Load ``images`` into the kernel that ``make`` makes, and try the last; see ``Trials``."""
    *needed, image = images
    log = KernelLog(LOG_LINES)
    trial = Trial(_name_of(image), frozenset(wanted.fail), wanted.follow)
    kernel = make(trial, log)
    devices = []
    try:
        for each in needed:
            kernel.init_module(each, "", InsertFlags.NONE)
        kernel.init_module(image, parameters, InsertFlags.NONE)
        for modalias in wanted.devices:
            kernel.add_device(modalias)
            devices.append(kernel.devices()[-1])
            kernel.remove_device(devices[-1].name)
        if kernel.module(trial.module) is not None:
            kernel.delete_module(trial.module)
    except KernelError as error:
        if not trial.phase:  # it never came to the module's code
            raise
        if trial.phase in ("running", "remove") and not trial.has_crashed:
            trial.unchecked = trial.unchecked or error.message
    finally:
        kernel.close()
    seen = Observation(
        calls=tuple(trial.calls),
        failed=tuple(trial.failed),
        flow={phase: tuple(flow) for phase, flow in trial.flow.items()},
        failed_at=trial.failed_at,
        path=tuple(trial.path),
        held=trial.held,
        kept=trial.kept,
        result=trial.result,
        missteps=tuple(trial.missteps),
        devices=tuple(devices),
        unchecked=trial.unchecked,
        stubbed=tuple(trial.stubbed),
        log=tuple(each.text for each in log.read(-1)),
    )
    del kernel
    # A machine takes much of this process's addresses, and is in cycles.
    gc.collect()
    return seen


def _name_of(image: bytes) -> str:
    with ModuleFile.parse(image) as module:
        return module.this_module_name() or ""
