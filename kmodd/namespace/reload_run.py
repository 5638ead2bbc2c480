# SPDX-License-Identifier: Apache-2.0
"""Takes modules out and puts them in again, and what was there before where that fails."""

import os
from collections.abc import Iterator, Mapping, Sequence

from kmodd.database import ModuleRecord
from kmodd.database.record import read_record
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, ModuleFileError, Reason, StateError
from kmodd.kernel.base import InsertFlags, Kernel, LoadedModule, ModuleBuild
from kmodd.names import module_name_of_path
from kmodd.namespace.carried_parameters import CarriedParameters
from kmodd.namespace.context import RequestContext
from kmodd.namespace.file_comparison import is_of_build
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.outcome import Outcome, StepOutcome
from kmodd.namespace.outdated import OutdatedFileError, OutdatedPlanError
from kmodd.namespace.planning import LoadToPlan, Planning
from kmodd.namespace.reload_report import Fate
from kmodd.namespace.runner import Runner
from kmodd.plan import Cause, InsertStep, LoadRequest, Plan, RemoveStep, Step, module_of
from kmodd.plan.reload import ReloadCause, ReloadPlan
from kmodd.records import record as values
from kmodd.records import replace
from kmodd.trees import Generation

SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
"""What the names of module files end with."""

OF_NEEDS = (Reason.UNKNOWN_SYMBOL, Reason.SYMBOL_VERSION_MISMATCH)
"""Why a build is refused that another build of what it needs might not be refused with."""

OTHERS = "another has loaded it meanwhile"
"""What is said of a module that is in the kernel, and not by what was done to put it in."""


@values
class InForce:
    """What a module is before it goes: as it is listed, its build, and its parameters."""

    module: LoadedModule
    build: ModuleBuild
    parameters: CarriedParameters


@values
class ReloadVerdict:
    """What became of one module; see ReloadedModule."""

    fate: Fate
    error: KmoddError | None = None
    note: str = ""
    parameters: CarriedParameters | None = None


class ReloadRun:
    """One run of a reload's plan, for the thread of its operation. ``verdicts`` has what became of
    each module, ``steps`` what was done in order, ``needed`` what came in that was not there.
    """

    def __init__(
        self,
        plan: ReloadPlan,
        before: Mapping[str, InForce],
        generation: Generation,
        *,
        kernel: Kernel,
        names: LoadedNames,
        planning: Planning,
        runner: Runner,
        call: RequestContext,
    ) -> None:
        self._plan = plan
        self._before = before
        self._generation = generation
        self._kernel = kernel
        self._boot_id = kernel.boot_id
        self._names = names
        self._planning = planning
        self._runner = runner
        self._call = call
        self._entered: set[str] = set()
        self._panic: KmoddError | None = None
        self.verdicts: dict[str, ReloadVerdict] = {}
        self.steps: list[StepOutcome] = []
        self.needed: list[str] = []

    def run(self) -> None:
        """Do it all. From the first step on it goes on to the end whatever fails."""
        for name in self._plan.order:
            self._take_out(name)
        for name in reversed(self._plan.order):
            if name not in self.verdicts:
                self._put_in(name)
        for name in self._plan.order:
            self._check(name)

    def plan(self) -> None:
        """Tell of the steps that all of it would take, each of which might fail."""
        self.steps += [StepOutcome(self._removal(name), target=name) for name in self._plan.order]
        there = [m for m in self._listing() if m.name not in self._before]
        for name in reversed(self._plan.order):
            self._plan_in(name, there)
        self.verdicts = dict.fromkeys(self._plan.order, ReloadVerdict(Fate.PLANNED))

    def _listing(self) -> Sequence[LoadedModule]:
        return tuple(self._planning.loaded().values())

    def _plan_in(self, name: str, there: list[LoadedModule]) -> None:
        if name in self._entered:
            return
        self._entered.add(name)
        call = replace(self._call, dry_run=True, assumed=tuple(there))
        for step in self._load(name, call).steps:
            if module_of(step.step) in self._before and module_of(step.step) != name:
                self._plan_in(module_of(step.step), there)
        call = replace(call, assumed=tuple(there))
        fresh = [step for step in self._load(name, call).steps if not step.needless]
        self.steps += fresh
        there += [_assumed(module_of(step.step)) for step in fresh]

    def _removal(self, name: str) -> RemoveStep:
        named = self._plan.causes[name] is not ReloadCause.USER
        cause = Cause.NAMED if named else Cause.HOLDER
        return RemoveStep(name, cause, required=True, if_unused=False)

    def _take_out(self, name: str) -> None:
        """Unload a module; one that cannot be stays, and so does all that it uses."""
        users = self._before[name].module.holders
        stays = next((user for user in users if self._has_stayed(user)), None)
        if stays is not None:
            what = f"module {name} is in use by {stays}, which stays"
            error: KmoddError | None = StateError(
                Reason.MODULE_IN_USE, what, module=name, detail=stays
            )
        else:
            error = self._panic or self._run(name, self._removal(name))
        if error is not None and self._names.find(name) is not None:
            self.verdicts[name] = ReloadVerdict(Fate.STAYED, error)

    def _has_stayed(self, name: str) -> bool:
        return name in self.verdicts and self.verdicts[name].fate is Fate.STAYED

    def _put_in(self, name: str) -> None:
        """Load a module from its file, and what it needs first; what fails is undone."""
        if name in self._entered:
            return
        self._entered.add(name)
        if self._panic is None and self._kernel.boot_id != self._boot_id:
            what = "the kernel has started anew meanwhile"
            self._panic = StateError(Reason.KERNEL_PANIC, what)
        if self._panic is not None:
            self.verdicts[name] = ReloadVerdict(Fate.LOST, self._panic)
            return
        planned = self._load(name, replace(self._call, dry_run=True, assumed=None))
        for step in planned.steps:
            needed = module_of(step.step)
            if needed in self._before and needed != name and not step.needless:
                self._put_in(needed)
        lost = self._lost_need(name)
        if lost:
            what = f"module {name} needs {lost}, which could not be loaded again"
            error = StateError(Reason.MODULE_NOT_LOADED, what, module=lost)
            self.verdicts[name] = ReloadVerdict(Fate.LOST, error)
            return
        outcome = self._load(name, self._call)
        self._take_in(outcome)
        if outcome.error is None:
            self.verdicts[name] = self._arrived(name, outcome)
        else:
            self._put_back(name, outcome.error)

    def _lost_need(self, name: str) -> str:
        """Return what a module's file needs that is lost, "" for nothing."""
        database = self._generation.database
        needs = database.dependencies(name) if database.module(name) is not None else ()
        lost = (each.name for each in needs if each.name in self.verdicts)
        return next((each for each in lost if self.verdicts[each].fate is Fate.LOST), "")

    def _arrived(self, name: str, outcome: Outcome) -> ReloadVerdict:
        """Return the verdict on a module that is in; another may have brought it meanwhile."""
        done = {module_of(step.step) for step in outcome.steps if step.done}
        if name in done or not self._before[name].parameters.given:
            return ReloadVerdict(Fate.RELOADED)
        return self._bare(name, OTHERS)

    def _bare(self, name: str, note: str) -> ReloadVerdict:
        """Return the verdict on a module that has come without the parameters that it had."""
        had = self._before[name].parameters
        left = (*(each.name for each in had.given), *had.left)
        return ReloadVerdict(Fate.RELOADED, note=note, parameters=CarriedParameters((), left))

    def _put_back(self, name: str, error: KmoddError) -> None:
        """Have what was there before, as far as its file is: the kernel refuses the new one."""
        if error.reason is Reason.KERNEL_PANIC:
            self._panic = error
            self.verdicts[name] = ReloadVerdict(Fate.LOST, error)
            return
        note = "the build that it was has no file in the tree any more"
        current = self._generation.database.module(name)
        record = self._old_file(name, besides=current.path if current else "")
        if record is not None:
            step = self._insertion(name, record)
            path = step.record.path
            failed = self._run(name, step)
            if failed is not None and failed.reason in OF_NEEDS and self._panic is None:
                failed = self._with_old_needs(name, step, failed)
            if failed is None:
                self.verdicts[name] = ReloadVerdict(Fate.PUT_BACK, error, f"from {path}")
                return
            note = f"the build that it was, from {path}, is refused, too: {failed.message}"
        has_given = bool(self._before[name].parameters.given)
        if error.reason is Reason.INVALID_PARAMETER and has_given and self._panic is None:
            outcome = self._load(name, self._call, bare=True)
            self._take_in(outcome)
            if outcome.error is None:
                note = f"without the parameters that it had: {error.message}"
                self.verdicts[name] = self._bare(name, note)
                return
        self.verdicts[name] = ReloadVerdict(Fate.LOST, error, note)

    def _with_old_needs(self, name: str, step: InsertStep, failed: KmoddError) -> KmoddError | None:
        """Load an old build after those that it needs, in place of their new ones.

        Returns ``failed`` where that cannot be, and then has these be what their files are.
        """
        database = self._generation.database
        needs = [
            each.name
            for each in (database.dependencies(name) if database.module(name) else ())
            if each.name in self.verdicts and self.verdicts[each.name].fate is Fate.RELOADED
        ]
        old = {need: record for need in needs if (record := self._old_file(need)) is not None}
        if not needs or len(old) < len(needs):
            return failed
        steps: list[Step] = [self._removal(need) for need in reversed(needs)]
        steps += [*(self._insertion(need, old[need]) for need in needs), step]
        if all(self._run(module_of(each), each) is None for each in steps):
            for need in needs:
                if old[need] != database.module(need):
                    what = f"module {name}, which needs it, is the build that it was"
                    error = StateError(Reason.KERNEL_REFUSED, what, module=name)
                    note = f"from {old[need].path}"
                    self.verdicts[need] = ReloadVerdict(Fate.PUT_BACK, error, note)
            return None
        there = [need for need in needs if self._names.find(need) is not None]
        if len(there) == len(needs):
            for need in reversed(needs):
                self._run(need, self._removal(need))
        for need in needs:
            if self._panic is None:
                self._take_in(self._load(need, self._call))
        return failed

    def _load(self, name: str, call: RequestContext, *, bare: bool = False) -> Outcome:
        given = "" if bare else self._before[name].parameters.text
        request = LoadRequest(
            name=name, parameters=given, is_module=True, exact=self._planning.policy.exact
        )
        assumed = call.assumed if call.dry_run else None
        wanted = LoadToPlan(request=request, assumed=assumed)
        return self._planning.carry_out(wanted, self._runner, call)

    def _take_in(self, outcome: Outcome) -> None:
        self.steps += [each for each in outcome.steps if not each.needless]
        self.needed += [
            module_of(each.step)
            for each in outcome.steps
            if each.done and module_of(each.step) not in self._before
        ]

    def _insertion(self, name: str, record: ModuleRecord) -> InsertStep:
        configured = self._generation.config.options_of(name, "")
        given = self._before[name].parameters.text
        parameters = " ".join(filter(None, (configured, given)))
        return InsertStep(record, parameters, Cause.NAMED, True, InsertFlags.NONE, configured)

    def _run(self, name: str, step: Step) -> KmoddError | None:
        """Run one step, and return its failure."""
        plan = Plan(name, name, (step,), via_alias=False)
        try:
            (error,) = self._runner.run([plan], self._generation, self.steps)
        except OutdatedPlanError as changed:
            what = f"the file {changed} has changed"
            return StateError(Reason.MODULE_CHANGED, what, module=name)
        if error is not None and error.reason is Reason.KERNEL_PANIC:
            self._panic = error
        return error

    def _old_file(self, name: str, *, besides: str = "") -> ModuleRecord | None:
        """Return a file of the tree, none ``besides``, with the build that the module was: what an
        installed one hides, as those below ``updates`` do, is there still.
        """
        directory = self._generation.database.directory
        for path in _files_of(name, directory):
            if path == besides:
                continue
            record = read_record(directory, path)
            try:
                identity = self._planning.identities.of(record, directory)
            except (ModuleFileError, OutdatedFileError):
                continue
            if not record.error and is_of_build(identity, self._before[name].build):
                return record
        return None

    def _check(self, name: str) -> None:
        """See to it that what is told of a module is so."""
        verdict = self.verdicts[name]
        is_there = self._names.find(name) is not None
        if is_there and (verdict.fate is Fate.LOST or self._panic is not None):
            self.verdicts[name] = self._bare(name, OTHERS)
        elif not is_there and verdict.fate is not Fate.LOST:
            what = f"another program has unloaded {name}"
            gone = StateError(Reason.MODULE_NOT_LOADED, what, module=name)
            self.verdicts[name] = ReloadVerdict(Fate.LOST, self._panic or gone)


def file_of(name: str, generation: Generation) -> str:
    """Return the absolute path of a module's file, "" for none."""
    record = generation.database.module(name)
    return full_path(generation.database.directory, record.path) if record else ""


def _files_of(name: str, directory: str) -> Iterator[str]:
    """Yield the module files of that name below a tree's directory, relative to it."""
    for place, directories, files in os.walk(directory):
        directories.sort()
        for file in sorted(files):
            if file.endswith(SUFFIXES) and module_name_of_path(file) == name:
                yield os.path.relpath(os.path.join(place, file), directory)


def _assumed(name: str) -> LoadedModule:
    return LoadedModule(name, 0, 0, ())
