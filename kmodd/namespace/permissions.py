# SPDX-License-Identifier: Apache-2.0
"""Whether a caller may have a plan run. What a module needs follows the module that it may have."""

from collections.abc import Iterable

from kmodd.access.caller import Caller
from kmodd.access.rules import check_needed, check_target
from kmodd.plan import BuiltinStep, Cause, Plan, module_of


def check_plans(caller: Caller, plans: Iterable[Plan], *, requested: bool = False) -> None:
    """Raise AccessError where the caller may not have one of ``plans`` run.

    The module that each is for must be among those that the caller may have, unless it was
    ``requested`` by the code of one that is; and so must the users of a module that are unloaded
    before it. The rest must not be denied.
    """
    for plan in plans:
        (check_needed if requested else check_target)(caller, plan.target)
        for step in plan.steps:
            if isinstance(step, BuiltinStep):
                continue
            check = check_target if step.cause is Cause.HOLDER else check_needed
            check(caller, module_of(step))
