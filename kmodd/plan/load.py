# SPDX-License-Identifier: Apache-2.0
"""``modprobe NAME`` as a list of steps (libkmod's ``kmod_module_probe_insert_module``)."""

from __future__ import annotations

from kmodd.enums import Enum
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.kernel.loaded import LoadedModule, ModuleState
from kmodd.plan.deny_list import DenyList
from kmodd.plan.lookup import Target, find, not_found, resolve
from kmodd.plan.soft import softdeps_of
from kmodd.plan.steps import BuiltinStep, Cause, CommandStep, InsertStep, Plan, Step, StepBudget
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kmodd.config import Config
    from kmodd.database.tables import Tables
    from kmodd.plan.deny_list import Denials
    from kmodd.plan.requests import LoadRequest
    from kmodd.plan.soft import Believes

NOTHING_DENIED = DenyList()


def plan_load(
    request: LoadRequest,
    database: Tables,
    config: Config,
    loaded: Mapping[str, LoadedModule],
    deny: Denials = NOTHING_DENIED,
    *,
    blacklisted: list[str] | None = None,
    believes: Believes | None = None,
) -> tuple[Plan, ...]:
    """Plan ``modprobe NAME``: one plan for each module that the name stands for, in kmod's order.

    A blacklisted module that was reached by an alias, or by its name where the request minds that,
    has no plan but its name appended to ``blacklisted``, so there may be no plan at all. A plan
    lists what is loaded already too, but for a module that is itself in the kernel there is
    nothing to do: its plan is empty, or says that it is builtin.

    Where a module that ``deny`` is against would have to be loaded, nothing is; where it is only a
    soft dependency it is left out. A module that ``believes`` says no to has no soft dependencies
    but those of the configuration.

    What is wrong with one module is its plan's ``failure``, and the others are loaded all the
    same: NotFoundError (MODULE_NOT_FOUND), StateError (MODULE_DENIED; with ``first_time``
    MODULE_ALREADY_LOADED). Raises NotFoundError for a name that stands for nothing, RequestError
    (INVALID_NAME), LimitError (LIMIT_REACHED).
    """
    if request.is_module:
        targets: tuple[Target, ...] = (Target(request.name, ""),)
    else:
        targets = resolve(request.name, database, config).targets
    budget = StepBudget(request.name)
    plans = []
    sources = _Sources(request, database, config, loaded, deny, believes)
    for target in targets:
        budget.spend(1)
        plan = _plan_one(target, sources, budget)
        if plan is not None:
            plans.append(plan)
        elif blacklisted is not None:
            blacklisted.append(target.name)
    return tuple(plans)


@record
class _Sources:
    """All that a plan is made from."""

    request: LoadRequest
    database: Tables
    config: Config
    loaded: Mapping[str, LoadedModule]
    deny: Denials
    believes: Believes | None

    def is_live(self, name: str) -> bool:
        """Tell whether the module is in the kernel, as far as the request minds that."""
        module = self.loaded.get(name)
        minds = not self.request.ignore_loaded
        return minds and module is not None and module.state is ModuleState.LIVE


def _plan_one(target: Target, sources: _Sources, budget: StepBudget) -> Plan | None:
    """Plan one module; None if it is blacklisted."""
    request, config = sources.request, sources.config
    steps: tuple[Step, ...] = ()
    failure: KmoddError | None = None
    builtin = sources.database.is_builtin(target.name) and not request.ignore_loaded
    if builtin or sources.is_live(target.name):
        if request.first_time:
            failure = StateError(
                Reason.MODULE_ALREADY_LOADED,
                f"module {target.name} is in the kernel already",
                module=target.name,
            )
        elif builtin:
            steps = (BuiltinStep(target.name, Cause.NAMED),)
    elif (target.alias or request.use_blacklist) and config.is_blacklisted(target.name):
        return None
    else:
        steps, failure = _Walk(target, sources, budget).steps()
    return Plan(request.name, target.name, steps, bool(target.alias), failure)


class _Do(Enum):
    """What is left to do for a module on the walk's stack."""

    VISIT = 1  # list its dependencies, then itself, each surrounded
    SURROUND = 2  # visit its soft dependencies, list it between them
    LIST = 3


class _Walk:
    """One walk from a module to everything that is probed with it, in modprobe's order.

    A module counts as another one when it is reached by another alias, since it may have other
    options then; so does libkmod. What was visited is not visited again, which ends all loops;
    but a dependency is listed for each module that was visited and needs it.
    """

    def __init__(self, named: Target, sources: _Sources, budget: StepBudget) -> None:
        self._named = named
        self._sources = sources
        self._request = sources.request
        self._database = sources.database
        self._config = sources.config
        self._listed: list[tuple[Target, Cause]] = []
        self._soft: dict[str, tuple[Sequence[Target], Sequence[Target]]] = {}
        self._goes_beyond_kmod = False
        """Whether more lines of a module's own soft dependencies count than the first."""
        self._budget = budget
        self._needed = self._dependencies(named)

    def steps(self) -> tuple[tuple[Step, ...], KmoddError | None]:
        """Return the steps, and the error they end with if the named module cannot be had."""
        self._walk()
        needed = {each.name for each in self._needed}
        steps: list[Step] = []
        once = self._request.ignore_loaded and self._goes_beyond_kmod
        listed: set[str] = set()
        denies = not self._sources.deny.is_empty
        for target, cause in self._listed:
            if once and target.name in listed:
                continue
            is_named = self._is_named(target)
            is_itself = not target.alias and not target.named
            required = is_named or (is_itself and target.name in needed)
            denial = self._denial(target) if denies else None
            if denial is not None and required:
                return (), denial
            if denial is not None:
                continue
            step = self._step(target, cause, is_named=is_named, required=required)
            if step is not None:
                steps.append(step)
                listed.add(target.name)
            elif is_named and not self._request.ignore_loaded:
                return tuple(steps), not_found(target.name, self._database)
        return tuple(steps), None

    def _is_named(self, target: Target) -> bool:
        """Tell whether it is the module that the walk began with."""
        return target.name == self._named.name and target == self._named

    def _denial(self, target: Target) -> KmoddError | None:
        """Return why the module must not be loaded, or cannot be without one that must not."""
        if self._database.is_builtin(target.name):
            return None
        for needed in (target, *self._dependencies(target)):
            if not self._sources.is_live(needed.name):
                user = self._named if needed == target else target
                needed_by = "" if needed == user else user.name
                denial = self._sources.deny.denial(needed.name, needed_by=needed_by)
                if denial is not None:
                    return denial
        return None

    def _walk(self) -> None:
        visited: set[Target] = set()
        stack = [(_Do.VISIT, self._named, Cause.NAMED)]
        while stack:
            do, target, cause = stack.pop()
            if do is _Do.LIST:
                self._listed.append((target, cause))
            elif do is _Do.VISIT and target not in visited:
                visited.add(target)
                alone = self._is_named(target) and self._request.ignore_commands
                is_first = target is self._named
                dependencies = self._needed if is_first else self._dependencies(target)
                self._budget.spend(1 + len(dependencies))
                stack.append((_Do.LIST if alone else _Do.SURROUND, target, cause))
                stack += [(_Do.SURROUND, each, Cause.DEPENDENCY) for each in reversed(dependencies)]
            elif do is _Do.SURROUND:
                before, after = self._soft_dependencies(target.name)
                if not before and not after:
                    self._listed.append((target, cause))
                    continue
                self._budget.spend(len(before) + len(after))
                stack += [(_Do.VISIT, each, Cause.SOFT) for each in reversed(after)]
                stack.append((_Do.LIST, target, cause))
                stack += [(_Do.VISIT, each, Cause.SOFT) for each in reversed(before)]

    def _step(self, target: Target, cause: Cause, *, is_named: bool, required: bool) -> Step | None:
        """Return the step for a module, or None for one that there is nothing to be had of."""
        builtin = self._database.is_builtin(target.name)
        if builtin and not self._request.ignore_loaded:
            return BuiltinStep(target.name, cause)
        configured = self._config.options_of(target.name, target.alias)
        given = self._request.parameters if is_named else ""
        options = f"{configured} {given}" if configured and given else configured or given
        command = None
        if not self._ignores_command(target, is_named=is_named):
            command = self._config.install_of(target.name, named=target.named)
        if command is not None:
            return CommandStep(
                target.name, "install", command, options, cause, required, configured
            )
        record = self._database.module(target.name)
        if record is not None:
            first_time = self._request.first_time and cause is Cause.NAMED
            flags = self._request.flags
            return InsertStep(record, options, cause, required, flags, configured, first_time)
        return BuiltinStep(target.name, cause) if builtin else None

    def _ignores_command(self, target: Target, *, is_named: bool) -> bool:
        """Tell whether the install command is set aside: by -i, or by kmod's way with softdeps."""
        if is_named and self._request.ignore_commands:
            return True
        return self._request.exact and any(self._soft_dependencies(target.name))

    def _dependencies(self, target: Target) -> list[Target]:
        if self._database.module(target.name) is None:
            return []
        return [Target(each.name, "") for each in self._database.dependencies(target.name)]

    def _soft_dependencies(self, name: str) -> tuple[Sequence[Target], Sequence[Target]]:
        """Return what the names in the module's soft dependencies stand for, before and after."""
        if name not in self._soft:
            record = self._database.module(name)
            own = softdeps_of(record, self._sources.believes)
            if not own and not self._config.softdeps:
                return (), ()
            self._goes_beyond_kmod |= len(own) > 1 and not self._request.exact
            pre, post = self._config.soft_names_of(name, own, first_only=self._request.exact)
            self._soft[name] = self._find_all(pre), self._find_all(post)
        return self._soft[name]

    def _find_all(self, names: tuple[str, ...]) -> list[Target]:
        found: list[Target] = []
        for name in names:
            targets = find(name, self._database, self._config)
            self._budget.spend(1 + len(targets))
            found += targets
        return found
