# SPDX-License-Identifier: Apache-2.0
"""Whether a caller may have a plan run. What a module needs follows the module that it may have."""

from collections.abc import Iterable

from kmodd.access.caller import Role
from kmodd.access.rules import check_needed, check_target, check_unasked, may_have
from kmodd.errors import ModuleFileError
from kmodd.names import module_name
from kmodd.namespace.identities import Identify
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.operation import Operation
from kmodd.plan import BuiltinStep, Cause, InsertStep, Plan, Step, module_of
from kmodd.records import replace


def check_module(operation: Operation, event: str, module: str) -> None:
    """Raise AccessError where the caller of ``operation`` may not have ``module`` for its own sake.

    What the ``event`` command of the module itself asks for follows a module that it may have.
    """
    check = check_needed if operation.runs(event, module) else check_target
    check(operation.caller, module)


def allowed_loads(
    operation: Operation, plans: tuple[Plan, ...], identify: Identify, *, requested: bool = False
) -> tuple[Plan, ...]:
    """Return ``plans`` as the caller of ``operation`` may have them run; raises AccessError.

    The module that each plan is for must be among those that the caller may have, unless it was
    ``requested`` by the code of one that is, or by the module's own command. The rest must not be
    denied. A module goes by the name of its file and by those in there; where a file does not tell
    a loader's load fails with a ModuleFileError, or goes without it where it can.
    """
    if operation.caller.role is Role.ADMIN:
        return plans
    return tuple(_allowed_load(operation, plan, identify, requested=requested) for plan in plans)


def _allowed_load(operation: Operation, plan: Plan, identify: Identify, *, requested: bool) -> Plan:
    caller = operation.caller
    follows = requested or operation.runs("install", plan.target)
    check = check_needed if follows else check_target
    check(caller, plan.target)
    steps: list[Step] = []
    for step in plan.steps:
        is_target = module_of(step) == plan.target
        try:
            names = _names_of(step, identify)
        except ModuleFileError:
            if is_target or _is_required(step):
                raise
            continue
        for name in names:
            (check if is_target else check_needed)(caller, name)
        steps.append(step)
    return replace(plan, steps=tuple(steps))


def _is_required(step: Step) -> bool:
    return not isinstance(step, BuiltinStep) and step.required


def _names_of(step: Step, identify: Identify) -> Iterable[str]:
    """Return the names that the module of a step has, its file's first; none where it is builtin.

    Raises ModuleFileError.
    """
    named = module_of(step)
    if isinstance(step, InsertStep):
        return dict.fromkeys((named, *map(module_name, identify(step.record).names)))
    return () if isinstance(step, BuiltinStep) else (named,)


def check_removal(operation: Operation, module: str, origins: LoadOrigins) -> None:
    """Raise AccessError where the caller of ``operation`` may not unload ``module``, which it
    names: it may not have it, or an admin has asked for it.
    """
    check_module(operation, "remove", module)
    check_unasked(operation.caller, module, by_admin=origins.is_admins(module))


def allowed_unloads(
    operation: Operation, plans: tuple[Plan, ...], origins: LoadOrigins
) -> tuple[Plan, ...]:
    """Return ``plans`` as the caller of ``operation`` may have them run; raises AccessError.

    The module that each plan is for must be among those that the caller may have, unless its own
    command asks for it, and so must the users of a module that are unloaded before it; and no
    admin may have asked for one of these. What would go with them and is not so stays.
    """
    if operation.caller.role is Role.ADMIN:
        return plans
    return tuple(_allowed_unload(operation, plan, origins) for plan in plans)


def _allowed_unload(operation: Operation, plan: Plan, origins: LoadOrigins) -> Plan:
    caller = operation.caller
    check_removal(operation, plan.target, origins)
    steps: list[Step] = []
    for step in plan.steps:
        module = module_of(step)
        if isinstance(step, BuiltinStep) or step.cause is Cause.NAMED:
            steps.append(step)
        elif step.cause is Cause.HOLDER:
            check_target(caller, module)
            check_unasked(caller, module, by_admin=origins.is_admins(module))
            steps.append(step)
        elif may_have(caller, module) and not origins.is_admins(module):
            steps.append(step)
    return replace(plan, steps=tuple(steps))
