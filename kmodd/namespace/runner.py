# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of a plan on a kernel, each step a flight of its own."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from kmodd.access.trusted_files import check_open_file
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import InsertFlags, Kernel, ModuleState
from kmodd.modulefile import decompress, detect_compression
from kmodd.namespace.commands import CommandOutput, Commands, loop_failure
from kmodd.namespace.events import Journal
from kmodd.namespace.flights import Flights, Operation
from kmodd.namespace.outdated import OutdatedPlanError, open_planned
from kmodd.plan import BuiltinStep, CommandStep, InsertStep, Plan, RemoveStep, Step, module_of
from kmodd.trees import Generation

FIRST_PAUSE = 0.001
"""Seconds after which a module that is in use is tried again; each pause is twice the last."""

LONGEST_PAUSE = 0.1
"""Seconds that no pause is longer than."""

SETTLE = 5.0
"""Seconds that a load waits for another program to be done with the same module."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A step of a plan, and what became of it; ``path`` is the file that it inserts.

    A step is ``done`` when it took effect, ``needless`` when there was nothing to do, and neither
    when it failed or was only planned. One that was ``undone`` took effect and was taken back.
    ``output`` is what a command wrote, ``leaks`` what a removed module never gave back.
    """

    step: Step
    path: str = ""
    done: bool = False
    needless: bool = False
    undone: bool = False
    output: CommandOutput | None = None
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the runners of a namespace work with.

    ``journal`` looks at the listing after every kernel call. ``stopping`` ends all waiting.
    """

    kernel: Kernel
    flights: Flights
    journal: Journal
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
        self.leaks: dict[str, tuple[str, ...]] = {}
        """What the modules that were unloaded had taken and never gave back, by module."""

    def run(
        self, plans: Iterable[Plan], generation: Generation, steps: list[StepOutcome]
    ) -> list[KmoddError | None]:
        """Run the plans, appending to ``steps`` as they go; return the failure of each plan run.

        A load goes on with the next plan after a failure, an unload ends there, as modprobe does;
        a panic of the kernel, which takes what was loaded before with it, ends both. Raises
        OutdatedPlanError when a file is not the planned one, or another program has unloaded a
        dependency that was there; what was loaded stays pinned.
        """
        errors: list[KmoddError | None] = []
        for plan in plans:
            errors.append(plan.failure)
            for step in plan.steps:
                failed = self._attempt(step, generation, steps)
                if failed is None or not _ends_plan(failed, step):
                    continue
                if failed.reason is Reason.UNKNOWN_SYMBOL and self._has_lost_some(plan, step):
                    del steps[-1]
                    raise OutdatedPlanError(f"a dependency of {plan.target} has been unloaded")
                errors[-1] = failed
                if _unloads(step) or failed.reason is Reason.KERNEL_PANIC:
                    return errors
                break
        return errors

    def planned(self, plans: Iterable[Plan], generation: Generation) -> list[StepOutcome]:
        """Return what would become of the steps of ``plans`` now.

        A plan to unload has counted its own steps' effect already; one to load has not.
        """
        steps = (step for plan in plans for step in plan.steps)
        return [_outcome(each, generation, needless=self._is_needless(each)) for each in steps]

    def pin(self, names: Iterable[str]) -> bool:
        """Keep modules from being unloaded until the operation ends; False if they were kept."""
        fresh = [name for name in names if name not in self.operation.pins]
        for name in fresh:
            self._flights.pin(name, self.operation)
        return bool(fresh)

    def take_back(self, steps: list[StepOutcome]) -> None:
        """Unload what ``steps`` have loaded, the last first; what others use by now stays."""
        for at in reversed(range(len(steps))):
            step = steps[at].step
            if not steps[at].done or not isinstance(step, InsertStep | CommandStep):
                continue
            try:
                steps[at] = replace(steps[at], undone=self.remove(module_of(step)))
            except KmoddError as error:
                log.info("%s: not taken back: %s", self.operation, error.message)

    def remove_unused(self, names: Iterable[str]) -> None:
        """Unload those of ``names`` that nothing uses by now."""
        for name in names:
            if not self._is_unused(name):
                continue
            try:
                self.remove(name)
            except KmoddError as error:
                log.info("%s: %s stays: %s", self.operation, name, error.message)

    def remove(self, name: str, *, force: bool = False) -> bool:
        """Unload ``name`` in a flight; raises what the kernel or a pin has against it."""

        def call() -> bool:
            try:
                self.leaks[name] = self._kernel.delete_module(name, force=force)
            finally:
                self._means.journal.look()
            self.operation.unloaded.append(name)
            self.operation.acted = True
            return True

        return self._flights.unload(name, self.operation, call)

    def remove_in_time(self, step: RemoveStep) -> bool:
        """Unload a module; one that is in use is tried again for as long as may be waited.

        False where another has unloaded it meanwhile, unless that is a failure. Raises as
        ``remove`` does.
        """
        deadline = time.monotonic() + self._manner.wait
        pause = FIRST_PAUSE
        self.operation.awaits = step.name if self._manner.wait else ""
        try:
            while True:
                try:
                    return self.remove(step.name, force=step.force)
                except KmoddError as error:
                    if error.reason is Reason.MODULE_NOT_LOADED and not step.first_time:
                        return False
                    in_use = error.errno == errno.EAGAIN or error.reason is Reason.MODULE_HELD
                    left = deadline - time.monotonic()
                    if not in_use or left <= 0 or step.if_unused:
                        raise
                    if self._means.stopping.wait(min(pause, left)):
                        raise
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self.operation.awaits = ""

    def insert(self, name: str, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load ``image``, which is the module ``name``, in a flight of its own."""

        def call() -> bool:
            self._put_in(name, lambda: self._kernel.init_module(image, parameters, flags))
            return True

        self._flights.load(name, object(), self.operation, call)

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
        outcome = _outcome(step, generation, done=done, needless=not done, outputs=outputs)
        if isinstance(step, RemoveStep) and done:
            outcome = replace(outcome, leaks=self.leaks.get(step.name, ()))
        steps.append(outcome)
        return None

    def _run_step(self, step: Step, generation: Generation, outputs: list[CommandOutput]) -> bool:
        """Run one step; True if it had an effect. What a command writes goes to ``outputs``."""
        match step:
            case InsertStep():
                return self._insert(step, generation)
            case RemoveStep():
                return self._is_wanted_removal(step) and self.remove_in_time(step)
            case CommandStep():
                return self._run_command(step, outputs)
            case BuiltinStep():
                return False

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
                self.operation.acted = True
                self._means.journal.look()
            failure = outputs[-1].failure
            if failure is not None:
                raise failure
            return True

        if any(operation.running == key for operation in self.operation.line()):
            raise loop_failure(step)
        if self.operation.parent is not None:
            return call()
        return self._flights.load(key, (step.command, step.options), self.operation, call)

    def _insert(self, step: InsertStep, generation: Generation) -> bool:
        name = step.record.name
        self._flights.pin(name, self.operation)
        if _is_live(self._kernel, name):
            return False

        def call() -> bool:
            if _is_live(self._kernel, name):
                return False
            try:
                self._put_in(name, lambda: self._insert_file(step, generation))
            except KernelError as error:
                if error.errno == errno.EEXIST and not step.first_time:
                    return False
                raise
            return True

        purpose = generation.directory, step.record.path
        return self._flights.load(name, purpose, self.operation, call)

    def _put_in(self, name: str, system_call: Callable[[], None]) -> None:
        """Make a call that loads ``name``, once no other program is loading or unloading it.

        EBUSY is what the kernel answers then, and what a module's own init may answer: only where
        the listing has the module on its way is it tried again.
        """
        deadline = time.monotonic() + SETTLE
        pause = FIRST_PAUSE
        while True:
            passing = self._is_passing(name)
            try:
                system_call()
                break
            except KernelError as error:
                passing = passing or self._is_passing(name)
                if error.errno != errno.EBUSY or not passing or time.monotonic() > deadline:
                    raise
                if self._means.stopping.wait(pause):
                    raise
            finally:
                self._means.journal.look()
            pause = min(2 * pause, LONGEST_PAUSE)
        self.operation.loaded.append(name)
        self.operation.acted = True

    def _insert_file(self, step: InsertStep, generation: Generation) -> None:
        """Load the planned file, or the one that was sent."""
        image = self._manner.images.get(step.record.path)
        if image is not None:
            self._kernel.init_module(image, step.parameters, step.flags)
            return
        path = _path_of(step, generation)
        fd = open_planned(path, step.record.stamp)
        try:
            if generation.trusted_only:
                check_open_file(fd, path)
            self._load_open_file(fd, path, step.parameters, step.flags)
        finally:
            os.close(fd)

    def _load_open_file(self, fd: int, path: Path, parameters: str, flags: InsertFlags) -> None:
        """Hand the file to the kernel, decompressed where the kernel cannot do it."""
        if detect_compression(os.pread(fd, 8, 0)) in self._kernel.compressions:
            self._kernel.finit_module(fd, parameters, flags)
            return
        image = decompress(os.pread(fd, os.fstat(fd).st_size, 0), path=str(path))
        self._kernel.init_module(image, parameters, flags)

    def _is_needless(self, step: Step) -> bool:
        loads = isinstance(step, InsertStep | CommandStep) and not _unloads(step)
        return loads and _is_live(self._kernel, module_of(step))

    def _has_lost_some(self, plan: Plan, failed: Step) -> bool:
        """Tell whether something that the plan loads before ``failed`` is not loaded any more."""
        before = takewhile(lambda step: step is not failed, plan.steps)
        needed = (step for step in before if isinstance(step, InsertStep) and step.required)
        return any(not _is_live(self._kernel, step.record.name) for step in needed)

    def _is_passing(self, name: str) -> bool:
        """Tell whether the module is being loaded or unloaded."""
        found = self._kernel.module(name)
        return found is not None and found.state is not ModuleState.LIVE

    def _is_wanted_removal(self, step: RemoveStep) -> bool:
        """Tell whether a removal that is only meant for an unused module has one before it."""
        return not step.if_unused or self._is_unused(step.name)

    def _is_unused(self, name: str) -> bool:
        found = self._kernel.module(name)
        if found is None or found.refcount or found.holders:
            return False
        return not self._flights.is_kept(name)


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
