# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of a plan on a kernel, each step a flight of its own."""

import errno
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kmodd.database import FileStamp
from kmodd.errors import KernelError, KmoddError, Reason, StateError
from kmodd.kernel.base import InsertFlags, Kernel, ModuleState
from kmodd.modulefile import decompress, detect_compression
from kmodd.namespace.flights import Flights, Operation
from kmodd.plan import BuiltinStep, CommandStep, InsertStep, Plan, RemoveStep, Step
from kmodd.trees import Generation
from kmodd.trust import check_open_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A step of a plan, and what became of it; ``path`` is the file that it inserts.

    A step is ``done`` when it took effect, ``needless`` when there was nothing to do, and neither
    when it failed or was only planned.
    """

    step: Step
    path: str = ""
    done: bool = False
    needless: bool = False


class StaleError(Exception):
    """The file of a step is not the one that was planned with."""


def planned(step: Step, generation: Generation, kernel: Kernel) -> StepOutcome:
    """Return what would become of ``step`` now.

    A plan to unload has counted its own steps' effect already; one to load has not.
    """
    needless = isinstance(step, InsertStep) and _is_live(kernel, step.record.name)
    return _outcome(step, generation, needless=needless)


class Runner:
    """Runs the steps of one operation; used by the operation's thread alone."""

    def __init__(self, kernel: Kernel, flights: Flights, operation: Operation) -> None:
        self._kernel = kernel
        self._flights = flights
        self._operation = operation

    def run(
        self, plans: Iterable[Plan], generation: Generation, steps: list[StepOutcome]
    ) -> KmoddError | None:
        """Run the plans, appending to ``steps`` as they go; return the last plan's failure.

        A load goes on with the next plan after a failure, an unload ends there, as modprobe does.
        Raises StaleError when a file is not the planned one; what was loaded stays pinned.
        """
        error: KmoddError | None = None
        for plan in plans:
            error = plan.failure
            for step in plan.steps:
                failed = self._attempt(step, generation, steps)
                if failed is None or isinstance(step, BuiltinStep) or not step.required:
                    continue
                if isinstance(step, RemoveStep):
                    return failed
                error = failed
                break
        return error

    def remove(self, name: str, *, force: bool = False) -> bool:
        """Unload ``name`` in a flight; raises what the kernel or a pin has against it."""

        def call() -> bool:
            self._kernel.delete_module(name, force=force)
            return True

        return self._flights.unload(name, self._operation, call)

    def _attempt(
        self, step: Step, generation: Generation, steps: list[StepOutcome]
    ) -> KmoddError | None:
        """Run one step and note it; return its failure."""
        try:
            done = self._run_step(step, generation)
        except KmoddError as error:
            steps.append(_outcome(step, generation))
            log.info("%s: %s", self._operation, error.message)
            return error
        steps.append(_outcome(step, generation, done=done, needless=not done))
        return None

    def _run_step(self, step: Step, generation: Generation) -> bool:
        match step:
            case InsertStep():
                return self._insert(step, generation)
            case RemoveStep():
                return _is_wanted_removal(self._kernel, step) and self.remove(step.name)
            case CommandStep():
                raise StateError(
                    Reason.COMMAND_REFUSED,
                    f"the {step.event} command of {step.module} is not run on this kernel",
                    module=step.module,
                    detail=step.command,
                )
            case BuiltinStep():
                return False

    def _insert(self, step: InsertStep, generation: Generation) -> bool:
        name = step.record.name
        self._flights.pin(name, self._operation)
        if _is_live(self._kernel, name):
            return False

        def call() -> bool:
            return self._insert_file(step, generation)

        return self._flights.load(name, (generation.directory, step.record.path), call)

    def _insert_file(self, step: InsertStep, generation: Generation) -> bool:
        """Load the planned file; another program may have loaded the module before us."""
        if _is_live(self._kernel, step.record.name):
            return False
        path = _path_of(step, generation)
        fd = _open_planned(path, step.record.stamp)
        try:
            if generation.trusted_only:
                check_open_file(fd, path)
            self._load_open_file(fd, path, step.parameters, step.flags)
        except KernelError as error:
            if error.errno == errno.EEXIST and not step.first_time:
                return False
            raise
        finally:
            os.close(fd)
        return True

    def _load_open_file(self, fd: int, path: Path, parameters: str, flags: InsertFlags) -> None:
        """Hand the file to the kernel, decompressed where the kernel cannot do it."""
        if detect_compression(os.pread(fd, 8, 0)) in self._kernel.compressions:
            self._kernel.finit_module(fd, parameters, flags)
            return
        image = decompress(os.pread(fd, os.fstat(fd).st_size, 0), path=str(path))
        self._kernel.init_module(image, parameters, flags)


def _is_live(kernel: Kernel, name: str) -> bool:
    found = kernel.module(name)
    return found is not None and found.state is ModuleState.LIVE


def _is_wanted_removal(kernel: Kernel, step: RemoveStep) -> bool:
    """Tell whether a removal that is only meant for an unused module has one before it."""
    if not step.if_unused:
        return True
    found = kernel.module(step.name)
    return found is not None and not found.refcount and not found.holders


def _outcome(
    step: Step, generation: Generation, *, done: bool = False, needless: bool = False
) -> StepOutcome:
    path = str(_path_of(step, generation)) if isinstance(step, InsertStep) else ""
    return StepOutcome(step, path, done, needless)


def _path_of(step: InsertStep, generation: Generation) -> Path:
    return generation.directory / step.record.path


def _open_planned(path: Path, stamp: FileStamp) -> int:
    """Open the file if it is still the one that was read for the database."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise StaleError(str(path)) from error
    found = os.fstat(fd)
    now = FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if now != stamp:
        os.close(fd)
        raise StaleError(str(path))
    return fd
