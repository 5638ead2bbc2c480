# SPDX-License-Identifier: Apache-2.0
"""``modprobe -r NAME`` as a list of steps.

modprobe looks at the reference counts as it goes; a plan has only the listing it was made from,
and follows what each of its own steps will change.
"""

from __future__ import annotations

from kmodd.errors import KmoddError, LimitError, Reason, StateError
from kmodd.plan.lookup import Target, find, resolve
from kmodd.plan.soft import softdeps_of
from kmodd.plan.steps import Cause, CommandStep, Plan, RemoveStep, Step, StepBudget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kmodd.config import Config
    from kmodd.database.tables import Tables
    from kmodd.kernel.loaded import LoadedModule
    from kmodd.plan.requests import UnloadRequest
    from kmodd.plan.soft import Believes

MAX_DEPTH = 100
"""Soft dependencies of soft dependencies that a removal follows down."""


def plan_unload(
    request: UnloadRequest,
    database: Tables,
    config: Config,
    loaded: Mapping[str, LoadedModule],
    *,
    believes: Believes | None = None,
) -> tuple[Plan, ...]:
    """Plan ``modprobe -r NAME``: one plan for each module that the name stands for.

    The first one that cannot be unloaded ends the tuple. A module that is not loaded has an empty
    plan. A module that ``believes`` says no to has no soft dependencies but those of the
    configuration.

    Raises NotFoundError (MODULE_NOT_FOUND), RequestError (INVALID_NAME), LimitError
    (LIMIT_REACHED), StateError (MODULE_IN_USE, with the users as its detail, separated by spaces;
    MODULE_BUILTIN; with ``first_time`` MODULE_NOT_LOADED). A StateError of one module among
    several, or one that comes after steps, is its plan's ``failure`` instead: modprobe takes
    these steps before it finds out.
    """
    targets = resolve(request.name, database, config).targets
    removal = _Removal(request, database, config, loaded, believes)
    plans: list[Plan] = []
    for target in targets:
        failure = None
        try:
            removal.remove(target, Cause.NAMED)
        except StateError as error:
            failure = error
        steps = removal.take_steps()
        if failure and len(targets) == 1 and not steps:
            raise failure
        passed_over = removal.take_passed_over()
        alias = bool(target.alias)
        plans.append(Plan(request.name, target.name, steps, alias, failure, passed_over))
        if failure:
            break
    return tuple(plans)


class _References:
    """The loaded modules and their reference counts, as the steps so far leave them."""

    def __init__(self, loaded: Mapping[str, LoadedModule]) -> None:
        self._refcounts = {name: module.refcount for name, module in loaded.items()}
        self._holders = {name: list(module.holders) for name, module in loaded.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._refcounts

    def refcount(self, name: str) -> int:
        """Return how many users of the module will be left."""
        return self._refcounts[name]

    def holders(self, name: str) -> tuple[str, ...]:
        """Return the modules among them, in the kernel's order; none for what is not loaded."""
        return tuple(self._holders.get(name, ()))

    def drop(self, name: str) -> None:
        """Take the module away, and its references to others with it."""
        if self._refcounts.pop(name, None) is None:
            return
        del self._holders[name]
        for used, holders in self._holders.items():
            if name in holders:
                holders.remove(name)
                self._refcounts[used] -= 1


class _Removal:
    """The steps of a request while they are being found."""

    def __init__(
        self,
        request: UnloadRequest,
        database: Tables,
        config: Config,
        loaded: Mapping[str, LoadedModule],
        believes: Believes | None,
    ) -> None:
        self._request = request
        self._believes = believes
        self._database = database
        self._config = config
        self._state = _References(loaded)
        self._steps: list[Step] = []
        self._passed_over: list[KmoddError] = []
        self._under_way: list[str] = []
        self._budget = StepBudget(request.name)

    def take_steps(self) -> tuple[Step, ...]:
        """Return the steps found since the last call."""
        steps = tuple(self._steps)
        self._steps.clear()
        return steps

    def take_passed_over(self) -> tuple[KmoddError, ...]:
        """Return the failures since the last call that only kmod tells of."""
        passed_over = tuple(self._passed_over)
        self._passed_over.clear()
        return passed_over

    def remove(self, target: Target, cause: Cause) -> None:
        """Find the steps to unload one module, in modprobe's order.

        Raises StateError where it cannot be unloaded; the steps found up to there stay. A removal
        within the removal of the same module is passed over, which ends all loops.
        """
        self._budget.spend(1)
        if target.name in self._under_way:
            return
        if len(self._under_way) >= MAX_DEPTH:
            raise LimitError(
                Reason.LIMIT_REACHED,
                f"soft dependencies of {self._request.name} nest more than {MAX_DEPTH} deep",
                module=self._request.name,
            )
        self._under_way.append(target.name)
        try:
            self._remove(target, cause)
        finally:
            self._under_way.pop()

    def _remove(self, target: Target, cause: Cause) -> None:
        name, command = target.name, None
        if not self._request.ignore_commands:
            command = self._config.remove_of(name, named=target.named)
        if command is None and not self._request.ignore_loaded and not self._is_loaded(name):
            return
        before, after = self._soft_dependencies(name)
        self._try_all(after)
        if cause is Cause.NAMED and self._request.remove_holders:
            for holder in reversed(self._state.holders(name)):
                self.remove(Target(holder, ""), Cause.HOLDER)
        required = cause is not Cause.SOFT
        if command is not None:
            self._steps.append(CommandStep(name, "remove", command, "", cause, required))
            self._state.drop(name)
        else:
            if not (self._request.ignore_loaded or self._request.waits):
                self._check_unused(name)
            self._steps.append(self._step(name, cause, required=required))
            self._state.drop(name)
            self._remove_unused_dependencies(name)
        self._try_all(before)

    def _step(self, name: str, cause: Cause, *, required: bool) -> RemoveStep:
        request = self._request
        return RemoveStep(
            name,
            cause,
            required,
            if_unused=not required,
            force=request.force,
            first_time=request.first_time and required,
        )

    def _is_loaded(self, name: str) -> bool:
        """Tell whether there is something to unload; raises StateError where that is an error."""
        if self._database.is_builtin(name):
            what = f"module {name} is built into the kernel"
            raise StateError(Reason.MODULE_BUILTIN, what, module=name)
        if name not in self._state and self._request.first_time:
            raise StateError(Reason.MODULE_NOT_LOADED, f"module {name} is not loaded", module=name)
        return name in self._state

    def _check_unused(self, name: str) -> None:
        if name in self._state and self._state.refcount(name) > 0:
            holders = " ".join(self._state.holders(name))
            by = f" by {holders}" if holders else ""
            raise StateError(
                Reason.MODULE_IN_USE, f"module {name} is in use{by}", module=name, detail=holders
            )

    def _remove_unused_dependencies(self, name: str) -> None:
        """Add what ``name`` needed and nothing else needs any more, users before what they use.

        kmod goes the other way, in the order of loading: what a module of its pass was the last
        to need has been passed already, and stays loaded. A module whose holders are being
        unloaded for its sake is left to its own step.
        """
        if self._database.module(name) is None:
            return
        dependencies = self._database.dependencies(name)
        for dependency in dependencies if self._request.exact else reversed(dependencies):
            used = dependency.name
            if used in self._under_way or used not in self._state:
                continue
            tried = self._request.acts and not self._state.holders(used)
            if tried or self._state.refcount(used) == 0:
                self._steps.append(self._step(used, Cause.DEPENDENCY, required=False))
                self._state.drop(used)

    def _soft_dependencies(self, name: str) -> tuple[list[Target], list[Target]]:
        """Return what is unloaded after and before a module, in the order of loading."""
        if self._request.ignore_commands:
            return [], []
        record = self._database.module(name)
        own = softdeps_of(record, self._believes)
        pre, post = self._config.soft_names_of(name, own, first_only=self._request.exact)
        return self._find_all(pre), self._find_all(post)

    def _find_all(self, names: Iterable[str]) -> list[Target]:
        found: list[Target] = []
        for name in names:
            targets = find(name, self._database, self._config)
            self._budget.spend(1 + len(targets))
            found += targets
        return found

    def _try_all(self, targets: list[Target]) -> None:
        """Unload soft dependencies, the last one first; what cannot be unloaded stays."""
        for target in reversed(targets):
            try:
                self.remove(target, Cause.SOFT)
            except StateError as error:
                if not self._request.exact or error.reason is Reason.MODULE_BUILTIN:
                    continue
                if self._request.soft_matters:
                    raise
                self._passed_over.append(error)
