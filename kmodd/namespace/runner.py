# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of a plan on a kernel, each step a flight of its own."""

import errno
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile

from kmodd.access.caller import Role
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.kernel.base import EmulationReport, InsertFlags, LoadedModule, ModuleState
from kmodd.names import module_name
from kmodd.namespace.commands import CommandOutput, loop_failure
from kmodd.namespace.module_calls import FIRST_PAUSE, LONGEST_PAUSE, ModuleCalls
from kmodd.namespace.module_locks import ModuleLocks
from kmodd.namespace.operation import Operation, command_key
from kmodd.namespace.outcome import StepOutcome
from kmodd.namespace.outdated import OutdatedPlanError
from kmodd.plan import BuiltinStep, CommandStep, InsertStep, Plan, RemoveStep, Step, module_of
from kmodd.records import field, record, replace
from kmodd.trees import Generation

log = logging.getLogger(__name__)


@record(kw_only=True)
class Manner:
    """How the steps of one operation are run.

    ``wait`` is how long to wait for a module in use, in seconds. ``nested_options`` are those of
    the modprobe that a command may call. ``images`` are files that were sent, by the path that
    their step has. ``despite_holds`` unloads what others hold, for a moment.
    """

    wait: float = 0.0
    nested_options: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict)
    despite_holds: bool = False


class Runner:
    """Runs the steps of one operation; used by the operation's thread alone."""

    def __init__(
        self,
        calls: ModuleCalls,
        locks: ModuleLocks,
        operation: Operation,
        manner: Manner | None = None,
    ) -> None:
        self._calls = calls
        self._locks = locks
        self.operation = operation
        self._manner = manner or Manner()
        self.reports: dict[str, EmulationReport | None] = {}
        """What an emulation had to tell of the modules that were unloaded, by module."""
        self.looked = 0
        """The generation of which a look at the tree has shown that it is what is there."""

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
                steps[-1] = replace(steps[-1], target=plan.target)
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

    def planned(
        self,
        plans: Iterable[Plan],
        generation: Generation,
        assumed: Sequence[LoadedModule] | None = None,
    ) -> list[StepOutcome]:
        """Return what would become of the steps of ``plans`` now, or if ``assumed`` were loaded.

        A plan to unload has counted its own steps' effect already; one to load has not.
        """
        modules = self._calls.kernel.modules() if assumed is None else assumed
        loaded = self._calls.names.by_name(modules)

        def is_needless(step: Step) -> bool:
            if not _loads(step):
                return False
            name = step.record.name if isinstance(step, InsertStep) else module_of(step)
            found = loaded.get(name)
            return found is not None and found.state is ModuleState.LIVE

        return [
            StepOutcome(
                step, _path(step, generation), needless=is_needless(step), target=plan.target
            )
            for plan in plans
            for step in plan.steps
        ]

    def pin(self, names: Iterable[str]) -> bool:
        """Keep modules from being unloaded until the operation ends; False if they were kept."""
        fresh = [name for name in names if name not in self.operation.pins]
        for name in fresh:
            self._locks.pin(name, self.operation)
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
        call = partial(self._calls.remove, name, self.operation, force=force)
        self.reports[name] = self._locks.unload(
            *(module_name(name), self.operation, call),
            despite_keepers=self._manner.despite_holds,
        )
        return True

    def remove_in_time(self, step: RemoveStep) -> bool:
        """Unload a module; one that is in use is tried again for as long as may be waited.

        False where another has unloaded it meanwhile, unless that is a failure. Raises as
        ``remove`` does, and StateError (SHUTTING_DOWN, CALLER_GONE) for what ends the wait.
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
                    if self._calls.stopping.wait(min(pause, left)):
                        raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping") from None
                    self.operation.check_wanted()
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self.operation.awaits = ""

    def insert(self, name: str, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load ``image``, which is the module ``name``, in a flight of its own."""
        call = partial(self._calls.insert_image, name, image, parameters, flags, self.operation)
        self._locks.load(module_name(name), object(), self.operation, call)

    def _attempt(
        self, step: Step, generation: Generation, steps: list[StepOutcome]
    ) -> KmoddError | None:
        """Run one step and note it; return its failure."""
        outputs: list[CommandOutput] = []
        try:
            done = self._run_step(step, generation, outputs)
        except KmoddError as error:
            steps.append(_outcome(step, generation, outputs=outputs))
            caller = self.operation.caller
            identity = None if caller.role is Role.ADMIN else caller.identity
            log.info("%s: %s", self.operation, error.message, extra={"identity": identity})
            return error
        outcome = _outcome(step, generation, done=done, needless=not done, outputs=outputs)
        if isinstance(step, RemoveStep) and done:
            outcome = replace(outcome, report=self.reports.get(step.name))
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
        command has called: they would wait for each other. What a command has called may need its
        module once that is loaded; before, and where it is to be unloaded, that is a loop.
        """
        if step.event == "install":
            self._locks.pin(step.module, self.operation)
        if self.operation.runs(step.event, step.module):
            if step.event == "install" and self._calls.is_live(step.module):
                return False
            raise loop_failure(step)
        call = partial(
            self._calls.run_command, step, self.operation, self._manner.nested_options, outputs
        )
        if self.operation.parent is not None:
            return call()
        key = command_key(step.event, step.module)
        return self._locks.load(key, (step.command, step.options), self.operation, call)

    def _insert(self, step: InsertStep, generation: Generation) -> bool:
        name = step.record.name
        self._locks.pin(name, self.operation)
        if self._calls.is_live(name):
            return False
        purpose = generation.directory, step.record.path
        call = partial(
            self._calls.insert_planned, step, generation, self._manner.images, self.operation
        )
        return self._locks.load(name, purpose, self.operation, call)

    def _has_lost_some(self, plan: Plan, failed: Step) -> bool:
        """Tell whether something that the plan loads before ``failed`` is not loaded any more."""
        before = takewhile(lambda step: step is not failed, plan.steps)
        needed = (step for step in before if isinstance(step, InsertStep) and step.required)
        return any(not self._calls.is_live(step.record.name) for step in needed)

    def _is_wanted_removal(self, step: RemoveStep) -> bool:
        """Tell whether a removal that is only meant for an unused module has one before it."""
        return not step.if_unused or self._is_unused(step.name)

    def _is_unused(self, name: str) -> bool:
        found = self._calls.names.find(name)
        if found is None or found.refcount or found.holders:
            return False
        return not self._locks.is_kept(name)


def _ends_plan(error: KmoddError, step: Step) -> bool:
    """Tell whether there is no point in the rest of a plan."""
    if error.reason is Reason.KERNEL_PANIC:
        return True
    return not isinstance(step, BuiltinStep) and step.required


def _loads(step: Step) -> bool:
    if isinstance(step, InsertStep):
        return True
    return isinstance(step, CommandStep) and not _unloads(step)


def _unloads(step: Step) -> bool:
    is_removal = isinstance(step, CommandStep) and step.event == "remove"
    return is_removal or isinstance(step, RemoveStep)


def _outcome(
    step: Step,
    generation: Generation,
    *,
    done: bool = False,
    needless: bool = False,
    outputs: Sequence[CommandOutput] = (),
) -> StepOutcome:
    output = outputs[-1] if outputs else None
    return StepOutcome(step, _path(step, generation), done, needless, output=output)


def _path(step: Step, generation: Generation) -> str:
    """Return the file that a step inserts, "" where it inserts none."""
    if isinstance(step, InsertStep):
        return full_path(generation.database.directory, step.record.path)
    return ""
