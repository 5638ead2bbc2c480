# SPDX-License-Identifier: Apache-2.0
"""Plans a request and runs the plan, and plans anew when the world has changed meanwhile."""

from collections.abc import Callable, Sequence

from kmodd.errors import KmoddError, NotFoundError, Reason, StateError
from kmodd.namespace.model import Call, Outcome
from kmodd.namespace.outdated import OutdatedFileError, OutdatedPlanError
from kmodd.namespace.runner import Runner, StepOutcome
from kmodd.plan import Plan
from kmodd.trees import Generation, Trees

REPLANS = 4
"""How often a load plans anew when the tree changes under it, before it gives up."""

MakePlans = Callable[[Generation], tuple[Plan, ...]]


def plan_and_run(
    name: str, make_plans: MakePlans, runner: Runner, trees: Trees, call: Call
) -> Outcome:
    """Do what the plans for ``name`` say, and return what became of it; its failure included.

    Where the tree has changed since its last scan, or another program has unloaded what a step
    counts on, that is looked at and planned anew.
    """
    steps: list[StepOutcome] = []
    targets: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    try:
        generation = trees.current(call.release)
        for _ in range(REPLANS):
            problems = generation.config.problems
            try:
                plans = make_plans(generation)
            except NotFoundError:
                fresh = trees.confirm(generation)
                if fresh.number == generation.number:
                    raise
                generation = fresh
                continue
            targets = tuple(plan.target for plan in plans)
            if call.dry_run:
                steps += runner.planned(plans, generation)
                return _outcome(name, plans, steps, [each.failure for each in plans], problems)
            try:
                failures = runner.run(plans, generation, steps)
                return _outcome(name, plans, steps, failures, problems)
            except OutdatedFileError:
                generation = trees.rebuild(call.release)
            except OutdatedPlanError:
                continue
        what = f"the files of {name}, or what it needs, keep changing"
        raise StateError(Reason.MODULE_CHANGED, what, module=name)
    except KmoddError as error:
        return Outcome(name, targets, tuple(steps), error, problems=problems)


def _outcome(
    name: str,
    plans: Sequence[Plan],
    steps: Sequence[StepOutcome],
    failures: Sequence[KmoddError | None],
    problems: tuple[str, ...],
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
    )
