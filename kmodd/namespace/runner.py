# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of a plan on a kernel, each step a flight of its own."""

import errno
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kmodd.database import FileStamp
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import InsertFlags, Kernel, ModuleState
from kmodd.modulefile import decompress, detect_compression
from kmodd.namespace.commands import CommandOutput, Commands, loop_failure
from kmodd.namespace.flights import Flights, Operation
from kmodd.plan import BuiltinStep, CommandStep, InsertStep, Plan, RemoveStep, Step, module_of
from kmodd.trees import Generation
from kmodd.trust import check_open_file

FIRST_PAUSE = 0.001
"""Seconds after which a module that is in use is tried again; each pause is twice the last."""

LONGEST_PAUSE = 0.1
"""Seconds that no pause is longer than."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A step of a plan, and what became of it; ``path`` is the file that it inserts.

    A step is ``done`` when it took effect, ``needless`` when there was nothing to do, and neither
    when it failed or was only planned. One that was ``undone`` took effect and was taken back.
    ``output`` is what a command wrote.
    """

    step: Step
    path: str = ""
    done: bool = False
    needless: bool = False
    undone: bool = False
    output: CommandOutput | None = None


class StaleError(Exception):
    """The file of a step is not the one that was planned with."""


def planned(step: Step, generation: Generation, kernel: Kernel) -> StepOutcome:
    """Return what would become of ``step`` now.

    A plan to unload has counted its own steps' effect already; one to load has not.
    """
    needless = isinstance(step, InsertStep) and _is_live(kernel, step.record.name)
    return _outcome(step, generation, needless=needless)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the runners of a namespace work with. ``stopping`` ends all waiting."""

    kernel: Kernel
    flights: Flights
    commands: Commands
    stopping: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the steps of one operation are run.

    ``wait`` is how long to wait for a module in use, in seconds. ``nested_options`` are those of
    the modprobe that a command may call. ``images`` are files that were sent, by the path that
    their step has.
    """

    wait: float = 0.0
    nested_options: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict)


class Runner:
    """Runs the steps of one operation; used by the operation's thread alone."""

    def __init__(self, means: Means, operation: Operation, manner: Manner | None = None) -> None:
        self._means = means
        self._kernel = means.kernel
        self._flights = means.flights
        self.operation = operation
        self._manner = manner or Manner()

    def run(
        self, plans: Iterable[Plan], generation: Generation, steps: list[StepOutcome]
    ) -> list[KmoddError | None]:
        """Run the plans, appending to ``steps`` as they go; return the failure of each plan run.

        A load goes on with the next plan after a failure, an unload ends there, as modprobe does;
        a panic of the kernel, which takes what was loaded before with it, ends both.
        Raises StaleError when a file is not the planned one; what was loaded stays pinned.
        """
        errors: list[KmoddError | None] = []
        for plan in plans:
            errors.append(plan.failure)
            for step in plan.steps:
                failed = self._attempt(step, generation, steps)
                if failed is None or not _ends_plan(failed, step):
                    continue
                errors[-1] = failed
                if _unloads(step) or failed.reason is Reason.KERNEL_PANIC:
                    return errors
                break
        return errors

    def take_back(self, steps: list[StepOutcome]) -> None:
        """Unload what ``steps`` have loaded, the last first; what others use by now stays."""
        for at in reversed(range(len(steps))):
            step = steps[at].step
            if not steps[at].done or not isinstance(step, InsertStep | CommandStep):
                continue
            with suppress(KmoddError):
                steps[at] = replace(steps[at], undone=self.remove(module_of(step)))

    def remove(self, name: str, *, force: bool = False) -> bool:
        """Unload ``name`` in a flight; raises what the kernel or a pin has against it."""

        def call() -> bool:
            self._kernel.delete_module(name, force=force)
            return True

        return self._flights.unload(name, self.operation, call)

    def _attempt(
        self, step: Step, generation: Generation, steps: list[StepOutcome]
    ) -> KmoddError | None:
        """Run one step and note it; return its failure."""
        outputs: list[CommandOutput] = []
        try:
            done = self._run_step(step, generation, outputs)
        except KmoddError as error:
            steps.append(_outcome(step, generation, outputs=outputs))
            log.info("%s: %s", self.operation, error.message)
            return error
        steps.append(_outcome(step, generation, done=done, needless=not done, outputs=outputs))
        return None

    def _run_step(self, step: Step, generation: Generation, outputs: list[CommandOutput]) -> bool:
        """Run one step; True if it had an effect. What a command writes goes to ``outputs``."""
        match step:
            case InsertStep():
                return self._insert(step, generation)
            case RemoveStep():
                return _is_wanted_removal(self._kernel, step) and self._remove_step(step)
            case CommandStep():
                return self._run_command(step, outputs)
            case BuiltinStep():
                return False

    def _remove_step(self, step: RemoveStep) -> bool:
        """Unload a module; one that is in use is tried again for as long as may be waited."""
        deadline = time.monotonic() + self._manner.wait
        pause = FIRST_PAUSE
        while True:
            try:
                return self.remove(step.name, force=step.force)
            except KmoddError as error:
                left = deadline - time.monotonic()
                if error.errno != errno.EAGAIN or left <= 0 or step.if_unused:
                    raise
                if self._means.stopping.wait(min(pause, left)):
                    raise
                pause = min(2 * pause, LONGEST_PAUSE)

    def _run_command(self, step: CommandStep, outputs: list[CommandOutput]) -> bool:
        """Run a command; False where there was nothing to do, or another has done it.

        Callers who want the same module share one run of its command, but not those that a
        command has called: they would wait for each other.
        """
        if step.event == "install":
            self._flights.pin(step.module, self.operation)
        key = f"{step.event} command of {step.module}"

        def call() -> bool:
            if step.event == "install" and _is_live(self._kernel, step.module):
                return False
            self._means.commands.check_allowed(step)
            self.operation.running = key
            try:
                token, options = self.operation.token, self._manner.nested_options
                outputs.append(self._means.commands.run(step, token, options))
            finally:
                self.operation.running = ""
            failure = outputs[-1].failure
            if failure is not None:
                raise failure
            return True

        if any(operation.running == key for operation in self.operation.line()):
            raise loop_failure(step)
        if self.operation.parent is not None:
            return call()
        return self._flights.load(key, (step.command, step.options), call)

    def _insert(self, step: InsertStep, generation: Generation) -> bool:
        name = step.record.name
        self._flights.pin(name, self.operation)
        if _is_live(self._kernel, name):
            return False

        def call() -> bool:
            return self._insert_file(step, generation)

        return self._flights.load(name, (generation.directory, step.record.path), call)

    def _insert_file(self, step: InsertStep, generation: Generation) -> bool:
        """Load the planned file; another program may have loaded the module before us."""
        if _is_live(self._kernel, step.record.name):
            return False
        image = self._manner.images.get(step.record.path)
        if image is not None:
            self._kernel.init_module(image, step.parameters, step.flags)
            return True
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


def _ends_plan(error: KmoddError, step: Step) -> bool:
    """Tell whether there is no point in the rest of a plan."""
    if error.reason is Reason.KERNEL_PANIC:
        return True
    return not isinstance(step, BuiltinStep) and step.required


def _unloads(step: Step) -> bool:
    is_removal = isinstance(step, CommandStep) and step.event == "remove"
    return is_removal or isinstance(step, RemoveStep)


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
    step: Step,
    generation: Generation,
    *,
    done: bool = False,
    needless: bool = False,
    outputs: Sequence[CommandOutput] = (),
) -> StepOutcome:
    path = str(_path_of(step, generation)) if isinstance(step, InsertStep) else ""
    output = outputs[-1] if outputs else None
    return StepOutcome(step, path, done, needless, output=output)


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
