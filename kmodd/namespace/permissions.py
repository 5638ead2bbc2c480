# SPDX-License-Identifier: Apache-2.0
"""Whether a caller may have a plan run. What a module needs follows the module that it may have."""

from collections.abc import Iterable

from kmodd.access.rules import check_needed, check_target
from kmodd.namespace.operation import Operation
from kmodd.plan import BuiltinStep, Cause, Plan, module_of


def check_module(operation: Operation, event: str, module: str) -> None:
    """Raise AccessError where the caller of ``operation`` may not have ``module`` for its own sake.

    What the ``event`` command of the module itself asks for follows a module that it may have.
    """
    check = check_needed if operation.runs(event, module) else check_target
    check(operation.caller, module)


def check_plans(
    operation: Operation, event: str, plans: Iterable[Plan], *, requested: bool = False
) -> None:
    """Raise AccessError where the caller of ``operation`` may not have one of ``plans`` run.

    The ``event`` is "install" or "remove". The module that each plan is for must be among those
    that the caller may have, unless it was ``requested`` by the code of one that is, or by the
    module's own command; and so must the users of a module that are unloaded before it. The rest
    must not be denied.
    """
    caller = operation.caller
    for plan in plans:
        if requested:
            check_needed(caller, plan.target)
        else:
            check_module(operation, event, plan.target)
        for step in plan.steps:
            if isinstance(step, BuiltinStep):
                continue
            check = check_target if step.cause is Cause.HOLDER else check_needed
            check(caller, module_of(step))
