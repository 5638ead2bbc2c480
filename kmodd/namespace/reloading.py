# SPDX-License-Identifier: Apache-2.0
"""Reloads: modules are taken out, users first, and put in again as their files are now.

All that can be known to be against it is found out before anything is touched. Then it is one
operation to its end, whether its caller waits or not; what others do to its modules gives way to
it, and nobody takes them for gone meanwhile.
"""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from kmodd.access.caller import Caller
from kmodd.access.rules import may_have
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, ModuleFileError, NotFoundError, Reason, StateError
from kmodd.kernel.base import Kernel, LoadedModule, ModuleState
from kmodd.kernel.file_parameters import FileParameter, file_parameters
from kmodd.modulefile import ModuleFile
from kmodd.names import check_query, module_name
from kmodd.namespace.absences import Absences
from kmodd.namespace.carried_parameters import CarriedParameters, carried
from kmodd.namespace.context import RequestContext
from kmodd.namespace.file_comparison import FileComparison, Staleness
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.module_locks import ModuleLocks
from kmodd.namespace.operation import Operation
from kmodd.namespace.operations import Operations
from kmodd.namespace.outdated import OutdatedFileError, open_planned
from kmodd.namespace.permissions import check_removal
from kmodd.namespace.planning import LoadToPlan, Planning
from kmodd.namespace.reload_report import Fate, ReloadedModule, ReloadReport, ReloadRequest
from kmodd.namespace.reload_run import InForce, ReloadRun, ReloadVerdict, file_of
from kmodd.namespace.runner import Runner
from kmodd.plan import LoadRequest
from kmodd.plan.reload import ReloadCause, ReloadPlan, plan_reload
from kmodd.records import record as values
from kmodd.trees import Generation, Trees

ATTEMPTS = 8
"""How often a reload is planned anew while the tree or the listing changes under it."""


@values
class _Prepared:
    """A plan, and what it was made of."""

    plan: ReloadPlan
    before: Mapping[str, InForce]
    needless: Mapping[str, ReloadCause]
    generation: Generation


@values(kw_only=True)
class Reloading:
    """Reloads modules; has no state of its own.

    ``run`` returns what runs the steps of an operation, in spite of holds where that is said.
    ``forget`` is told which modules have left the kernel for good, ``along`` which came or went
    that nobody named; neither must block.
    """

    kernel: Kernel
    names: LoadedNames
    trees: Trees
    locks: ModuleLocks
    operations: Operations
    planning: Planning
    origins: LoadOrigins
    comparison: FileComparison
    absences: Absences
    run: Callable[[Operation, RequestContext, bool], Runner]
    forget: Callable[[Collection[str]], None]
    along: Callable[[Collection[str]], None]

    def reload(self, request: ReloadRequest, call: RequestContext) -> ReloadReport:
        """Reload what is asked for with all that uses it, or only plan it.

        What cannot go stays, with what it uses, and the rest is done. Raises RequestError
        (INVALID_NAME), TreeError, StateError: MODULE_CHANGED where there is no end of changes,
        CALLER_GONE where nobody waits for it before it has begun.
        """
        what = " ".join((*request.names, *(("--outdated",) if request.outdated else ())))
        with self.operations.begin("reload", what, call) as operation:
            operation.check_wanted()
            runner = self.run(operation, call, request.force_holders)
            prepared = self._prepare(request, runner, call)
            reload = ReloadRun(
                prepared.plan,
                prepared.before,
                prepared.generation,
                kernel=self.kernel,
                names=self.names,
                planning=self.planning,
                runner=runner,
                call=call,
            )
            if call.dry_run:
                reload.plan()
            elif prepared.plan.order:
                operation.check_wanted()
                operation.outlast_caller()
                self._run(reload, prepared.before)
            report = _report(prepared, reload)
            operation.error = next((each.error for each in report.modules if each.error), None)
            return report

    def _run(self, reload: ReloadRun, before: Mapping[str, InForce]) -> None:
        """Run it; nobody takes its modules for gone before it is over."""
        unnoted = self.origins.unnoted(before)
        try:
            with self.absences.of({name: each.module for name, each in before.items()}):
                reload.run()
        finally:
            self.origins.unnote(unnoted)
            self.origins.note_needed(reload.needed)
            lost = [name for name in before if self.names.find(name) is None]
            if lost:
                self.forget(lost)
            self.along([*reload.needed, *lost])

    def _prepare(self, request: ReloadRequest, runner: Runner, call: RequestContext) -> _Prepared:
        """Return the plan; what it takes out is then reserved, unless it is a dry run."""
        operation = runner.operation
        named = None if request.outdated else {module_name(name) for name in request.names}
        reserved: Collection[str] = ()
        seen_to = self.locks.await_reserved(named, operation)
        generation = self.trees.confirm(self.trees.current())
        for _ in range(ATTEMPTS):
            try:
                prepared = self._planned(request, generation, runner, call, seen_to)
            except OutdatedFileError:
                generation = self.trees.rebuild()
                continue
            order = prepared.plan.order
            if len(self.absences.without(prepared.plan.stay)) < len(prepared.plan.stay):
                # Another operation has taken them out since, and is to put them back.
                self.locks.release(operation)
                reserved = ()
                seen_to |= self.locks.await_reserved(named, operation)
                continue
            if call.dry_run or set(order) <= set(reserved):
                return prepared
            self.locks.release(operation)
            seen_to |= self.locks.reserve(order, operation)
            reserved = order
            generation = self.trees.confirm(self.trees.current())
        raise StateError(Reason.MODULE_CHANGED, f"what {operation} is about keeps changing")

    def _planned(
        self,
        request: ReloadRequest,
        generation: Generation,
        runner: Runner,
        call: RequestContext,
        seen_to: Collection[str],
    ) -> _Prepared:
        """Return the plan as things are; raises OutdatedFileError where a file is another."""
        loaded = self.planning.loaded()
        wanted = self._wanted(request, generation, loaded, runner.operation.caller)
        needless = {
            name: cause
            for name, cause in wanted.items()
            if name in seen_to and self.comparison.of(name, generation) is None
        }
        wanted = {name: cause for name, cause in wanted.items() if name not in needless}
        objections = _Objections(self, generation, runner, call, loaded, request.force_holders)
        plan = plan_reload(wanted, loaded, objections.against)
        before = {name: self._in_force(name, loaded[name], generation) for name in plan.order}
        return _Prepared(plan, before, needless, generation)

    def _wanted(
        self,
        request: ReloadRequest,
        generation: Generation,
        loaded: Mapping[str, LoadedModule],
        caller: Caller,
    ) -> dict[str, ReloadCause]:
        """Return which modules are to be reloaded, by what plans call them, and why.

        Of those that are outdated it is what ``caller`` may have.
        """
        wanted: dict[str, ReloadCause] = {}
        for name in request.names:
            found = self.names.find(check_query(name))
            own = found.name if found else name
            wanted[own if own in loaded else module_name(own)] = ReloadCause.NAMED
        for name in loaded if request.outdated else ():
            if not may_have(caller, name):
                continue
            stale = self.comparison.of(name, generation)
            if stale is not None and stale.staleness is Staleness.CHANGED:
                wanted.setdefault(name, ReloadCause.OUTDATED)
        return wanted

    def _in_force(self, name: str, module: LoadedModule, generation: Generation) -> InForce:
        """Return what a module is now, for the time when it is out."""
        own = self.names.own(name)
        details = self.kernel.details(own)
        parameters = CarriedParameters()
        if details is not None and details.parameters:
            configured = generation.config.options_of(name, "")
            file = _parameters_in(name, generation)
            parameters = carried(details.parameters, configured, file)
        return InForce(module, self.kernel.build(own), parameters)


@values
class _Objections:
    """What is against taking out a module and putting it in again, as far as it can be known."""

    reloading: Reloading
    generation: Generation
    runner: Runner
    call: RequestContext
    loaded: Mapping[str, LoadedModule]
    force_holders: bool

    def against(self, name: str) -> KmoddError | None:
        """Return it; None for nothing. Raises OutdatedFileError where its file is another."""
        try:
            self._check_removal(name)
            self._check_file(name)
        except KmoddError as error:
            return error.copy()
        return self._plan(name)

    def _check_removal(self, name: str) -> None:
        operation = self.runner.operation
        module = self.loaded.get(name)
        if module is None and self.generation.database.is_builtin(name):
            raise StateError(Reason.MODULE_BUILTIN, f"module {name} is builtin", module=name)
        if module is None:
            raise StateError(Reason.MODULE_NOT_LOADED, f"module {name} is not loaded", module=name)
        check_removal(operation, name, self.reloading.origins)
        if module.permanent:
            what = f"module {name} has no exit function: nothing unloads it"
            raise StateError(Reason.MODULE_BUSY, what, module=name)
        if module.state is not ModuleState.LIVE:
            what = f"module {name} is {module.state.value.lower()} just now"
            raise StateError(Reason.MODULE_BUSY, what, module=name)
        self.reloading.locks.check_others(name, operation, despite_keepers=self.force_holders)
        others = module.refcount - len(module.holders)
        if others > 0:
            by = "by an open file or the like"
            what = f"module {name} is in use {by} ({others} more than modules have)"
            raise StateError(Reason.MODULE_IN_USE, what, module=name)

    def _check_file(self, name: str) -> None:
        """Raise KmoddError where there is nothing to put in."""
        database = self.generation.database
        stale = self.reloading.comparison.of(name, self.generation)
        record = database.module(name)
        if stale is not None and stale.staleness is Staleness.UNREADABLE:
            raise ModuleFileError(stale.path, stale.why)
        if record is None:
            what = f"module {name} has no file in {database.directory}"
            raise NotFoundError(Reason.MODULE_NOT_FOUND, what, module=name)
        own = self.reloading.names.own(name)
        identity = self.reloading.planning.identities.of(record, database.directory)
        if own not in identity.names:
            path = full_path(database.directory, record.path)
            raise ModuleFileError(path, f"it holds the module {identity.names[0]}, not {own}")

    def _plan(self, name: str) -> KmoddError | None:
        """Return why its file would not be loaded: it is denied, or what it needs is missing."""
        others = tuple(each for key, each in self.loaded.items() if key != name)
        request = LoadRequest(name=name, is_module=True, exact=self.reloading.planning.policy.exact)
        wanted = LoadToPlan(request=request, assumed=others)
        call = RequestContext(caller=self.call.caller, dry_run=True, assumed=others)
        return self.reloading.planning.carry_out(wanted, self.runner, call).error


def _parameters_in(name: str, generation: Generation) -> Mapping[str, FileParameter]:
    """Return the parameters in the file of a module; raises OutdatedFileError."""
    record = generation.database.module(name)
    if record is None:
        return {}
    path = Path(full_path(generation.database.directory, record.path))
    fd = open_planned(path, record.stamp)
    try:
        with ModuleFile.from_fd(fd, path=str(path)) as file:
            return file_parameters(file)
    except ModuleFileError:
        return {}
    finally:
        os.close(fd)


def _report(prepared: _Prepared, reload: ReloadRun) -> ReloadReport:
    plan, generation = prepared.plan, prepared.generation
    modules: list[ReloadedModule] = []
    for name in plan.order:
        verdict: ReloadVerdict = reload.verdicts[name]
        modules.append(
            ReloadedModule(
                name=name,
                cause=plan.causes[name],
                fate=verdict.fate,
                error=verdict.error,
                note=verdict.note,
                path=file_of(name, generation),
                parameters=verdict.parameters or prepared.before[name].parameters,
            )
        )
    modules += [
        ReloadedModule(name=name, cause=plan.causes[name], fate=Fate.STAYED, error=error)
        for name, error in plan.stay.items()
    ]
    modules += [
        ReloadedModule(name=name, cause=cause, fate=Fate.NEEDLESS)
        for name, cause in prepared.needless.items()
    ]
    return ReloadReport(tuple(modules), tuple(reload.steps), generation.config.problems)
