# SPDX-License-Identifier: Apache-2.0
"""Plans a request and runs the plan, and plans anew when the world has changed meanwhile.

This is the one place where plans are made and handed to what runs them.
"""

from collections.abc import Mapping, Sequence

from kmodd.access import rules
from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, NotFoundError, Reason, StateError
from kmodd.kernel.base import Kernel, LoadedModule
from kmodd.modulefile.identity import Identity
from kmodd.namespace.context import RequestContext
from kmodd.namespace.identities import FileDenials, Identify, Identities, identity_of_image
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.module_locks import ModuleLocks
from kmodd.namespace.outcome import Outcome, StepOutcome
from kmodd.namespace.outdated import OutdatedFileError, OutdatedPlanError
from kmodd.namespace.parameters import arguments_of
from kmodd.namespace.permissions import allowed_loads, allowed_unloads
from kmodd.namespace.runner import Runner
from kmodd.namespace.uploaded_module import with_uploaded
from kmodd.plan import DenyList, LoadRequest, Plan, UnloadRequest, plan_load, plan_unload
from kmodd.plan.requests import check_parameters
from kmodd.records import field, record, replace
from kmodd.trees import Generation, Trees

REPLANS = 4
"""How often a load plans anew when the tree changes under it, before it gives up."""


@record
class Policy:
    """What is never loaded, and whether all is done as kmod does it, which denies nothing."""

    deny: DenyList = field(default_factory=DenyList)
    exact: bool = False


@record(kw_only=True)
class LoadToPlan:
    """A load that is still to be planned.

    ``uploaded`` is a module file and its path. With ``pin`` even what is loaded already stays so
    until the operation ends. What was ``requested`` by a module's code counts as what that module
    needs. It is planned as if ``assumed`` were loaded where there are any.
    """

    request: LoadRequest
    uploaded: tuple[str, bytes] | None = None
    pin: bool = False
    requested: bool = False
    assumed: tuple[LoadedModule, ...] | None = None

    @property
    def name(self) -> str:
        """The name that is asked for."""
        return self.request.name


@record(kw_only=True)
class UnloadToPlan:
    """An unload that is still to be planned, as if ``assumed`` were loaded where there are any."""

    request: UnloadRequest
    assumed: tuple[LoadedModule, ...] | None = None

    @property
    def name(self) -> str:
        """The name that is asked for."""
        return self.request.name


ToPlan = LoadToPlan | UnloadToPlan


class Planning:
    """Plans and runs. ``policy`` may be swapped at any time, and counts for the plans made then."""

    def __init__(
        self,
        kernel: Kernel,
        names: LoadedNames,
        trees: Trees,
        locks: ModuleLocks,
        origins: LoadOrigins,
    ) -> None:
        self._kernel = kernel
        self._names = names
        self._trees = trees
        self._locks = locks
        self._origins = origins
        self.identities = Identities()
        self.policy = Policy()

    def loaded(self) -> Mapping[str, LoadedModule]:
        """Return the loaded modules by what plans call them."""
        return self._names.by_name(self._kernel.modules())

    def carry_out(self, wanted: ToPlan, runner: Runner, call: RequestContext) -> Outcome:
        """Do what the plans for ``wanted`` say, and return what became of it, its failure included.

        Where the tree has changed since its last scan, or another program has unloaded what a
        step counts on, that is looked at and planned anew. For the names of one request that
        nothing answers to, the tree is looked at once, unless something was done in between.
        """
        steps: list[StepOutcome] = []
        targets: tuple[str, ...] = ()
        problems: tuple[str, ...] = ()
        blacklisted: list[str] = []
        try:
            generation = self._trees.current(call.release, treeless=True, at_once=True)
            for _ in range(REPLANS):
                problems = generation.config.problems
                try:
                    plans = self._plans(wanted, generation, runner, blacklisted)
                except OutdatedFileError:
                    generation = self._trees.rebuild(call.release)
                    continue
                except NotFoundError:
                    if generation.is_treeless or generation.number == runner.looked:
                        raise
                    fresh = self._trees.confirm(generation)
                    runner.looked = fresh.number
                    if fresh.number == generation.number:
                        raise
                    generation = fresh
                    continue
                targets = tuple(plan.target for plan in plans)
                try:
                    failures = _run(plans, generation, runner, steps, call)
                    if any(step.done for step in steps):
                        runner.looked = 0
                    return _outcome(
                        wanted.name, plans, steps, failures, problems, tuple(blacklisted)
                    )
                except OutdatedFileError:
                    generation = self._trees.rebuild(call.release)
                except OutdatedPlanError:
                    continue
            what = f"the files of {wanted.name}, or what it needs, keep changing"
            raise StateError(Reason.MODULE_CHANGED, what, module=wanted.name)
        except KmoddError as error:
            # A request may have a thousand names, and a traceback holds all that it passed.
            return Outcome(wanted.name, targets, tuple(steps), error.copy(), problems=problems)

    def _plans(
        self, wanted: ToPlan, generation: Generation, runner: Runner, blacklisted: list[str]
    ) -> tuple[Plan, ...]:
        """Return the plans, which the caller may have run; raises what refuses one.

        ``blacklisted`` is then what a blacklist keeps from being loaded.
        """
        if isinstance(wanted, UnloadToPlan):
            return self._plans_to_unload(wanted, generation, runner)
        plans = self._plans_to_load(wanted, generation, runner, blacklisted)
        if wanted.pin and runner.pin(plan.target for plan in plans):
            # What was loaded a moment ago may have been on its way out.
            plans = self._plans_to_load(wanted, generation, runner, blacklisted)
        return plans

    def _plans_to_load(
        self, wanted: LoadToPlan, generation: Generation, runner: Runner, blacklisted: list[str]
    ) -> tuple[Plan, ...]:
        check_parameters(wanted.request.parameters)
        rules.check_parameters(runner.operation.caller, arguments_of(wanted.request.parameters))
        database = generation.database
        identify = self._identify(wanted, generation)
        sent = wanted.uploaded[0] if wanted.uploaded is not None else None
        if wanted.uploaded is not None:
            database = with_uploaded(database, *wanted.uploaded)
        modules = self._kernel.modules() if wanted.assumed is None else wanted.assumed
        loaded = self._names.by_name(modules)
        blacklisted.clear()
        plans = plan_load(
            wanted.request,
            database,
            generation.config,
            loaded,
            FileDenials(self.policy.deny, database, identify),
            blacklisted=blacklisted,
            believes=lambda record: record.path == sent or generation.believes(record),
        )
        return allowed_loads(runner.operation, plans, identify, requested=wanted.requested)

    def _identify(self, wanted: LoadToPlan, generation: Generation) -> Identify:
        """Return what tells which module a file holds, the one that was sent among them."""

        def identify(record: ModuleRecord) -> Identity:
            if wanted.uploaded is not None and record.path == wanted.uploaded[0]:
                return identity_of_image(wanted.uploaded[1], record.path)
            return self.identities.of(record, generation.database.directory)

        return identify

    def _plans_to_unload(
        self, wanted: UnloadToPlan, generation: Generation, runner: Runner
    ) -> tuple[Plan, ...]:
        modules = self._kernel.modules() if wanted.assumed is None else wanted.assumed
        loaded = self._names.by_name(modules)
        request = replace(wanted.request, name=self._names.called(wanted.request.name))
        try:
            plans = plan_unload(
                request,
                generation.database,
                generation.config,
                loaded,
                believes=generation.believes,
            )
        except StateError as error:
            if error.reason is Reason.MODULE_IN_USE:
                self._locks.check_kept(error.module)
            raise
        plans = allowed_unloads(runner.operation, plans, self._origins)
        return plans if request.waits else tuple(map(self._unless_kept, plans))

    def _unless_kept(self, plan: Plan) -> Plan:
        """Return a plan to unload, empty where a hold has its module."""
        try:
            self._locks.check_kept(plan.target)
        except StateError as error:
            return replace(plan, steps=(), failure=error)
        return plan


def _run(
    plans: Sequence[Plan],
    generation: Generation,
    runner: Runner,
    steps: list[StepOutcome],
    call: RequestContext,
) -> Sequence[KmoddError | None]:
    """Run the plans, or tell what would become of them; return the failure of each."""
    if call.dry_run:
        steps += runner.planned(plans, generation, call.assumed)
        return [plan.failure for plan in plans]
    return runner.run(plans, generation, steps)


def _outcome(
    name: str,
    plans: Sequence[Plan],
    steps: Sequence[StepOutcome],
    failures: Sequence[KmoddError | None],
    problems: tuple[str, ...],
    blacklisted: tuple[str, ...],
) -> Outcome:
    """Return the outcome of one name whose plans were run as far as there are ``failures``."""
    plans = plans[: len(failures)]
    others: list[tuple[str, KmoddError]] = []
    for plan, error in zip(plans, (*failures[:-1], None), strict=False):
        others += [(plan.target, each) for each in plan.passed_over]
        others += [(plan.target, error)] if error is not None else []
    return Outcome(
        name,
        tuple(plan.target for plan in plans),
        tuple(steps),
        failures[-1] if failures else None,
        tuple(others),
        problems,
        blacklisted=blacklisted,
    )
