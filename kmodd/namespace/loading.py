# SPDX-License-Identifier: Apache-2.0
"""Loads within an operation: what may be loaded, and what is noted of what was."""

from collections.abc import Sequence
from dataclasses import replace

from kmodd.kernel.base import Kernel, LoadedModule
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.model import Call, Outcome
from kmodd.namespace.parameters import check_parameters, ignored_parameters
from kmodd.namespace.permissions import permitted
from kmodd.namespace.planning import plan_and_run
from kmodd.namespace.runner import Runner
from kmodd.namespace.uploaded_module import with_uploaded
from kmodd.plan import BuiltinStep, DenyList, InsertStep, LoadRequest, Plan, module_of, plan_load
from kmodd.trees import Generation, Trees


class Loading:
    """Loads what is asked for from the trees.

    ``deny`` are modules that are never loaded; with ``exact`` it is done as kmod does. Both may be
    swapped at any time.
    """

    def __init__(self, kernel: Kernel, trees: Trees, origins: LoadOrigins) -> None:
        self._kernel = kernel
        self._trees = trees
        self._origins = origins
        self.deny = DenyList()
        self.exact = False

    def load(
        self,
        request: LoadRequest,
        call: Call,
        runner: Runner,
        uploaded: tuple[str, bytes] | None = None,
        pin: bool = False,
        requested: bool = False,
    ) -> Outcome:
        """Load within an operation; ``uploaded`` is a module file and its path.

        With ``pin`` even what is loaded already stays so until the operation ends. What was
        ``requested`` by a module's code counts as what that module needs.
        """
        request = replace(request, exact=request.exact or self.exact)

        def make_plans(generation: Generation) -> tuple[Plan, ...]:
            check_parameters(request.parameters)
            database = generation.database
            if uploaded is not None:
                database = with_uploaded(database, *uploaded)
            config, deny = generation.config, self.deny
            plans = plan_load(request, database, config, self._loaded(), deny)
            permitted(runner.operation.caller, plans, requested=requested)
            if pin and runner.pin(plan.target for plan in plans):
                # What was loaded a moment ago may have been on its way out.
                plans = plan_load(request, database, config, self._loaded(), deny)
                permitted(runner.operation.caller, plans)
            return plans

        outcome = plan_and_run(request.name, make_plans, runner, self._trees, call)
        if not call.dry_run:
            self._note_origins(outcome, requested=requested)
        if outcome.error or not request.parameters or request.exact or request.ignore_loaded:
            return outcome
        steps = (each.step for each in outcome.steps if not each.needless)
        given = {module_of(step) for step in steps if not isinstance(step, BuiltinStep)}
        ignored = (
            one
            for target in outcome.targets
            if target not in given
            for one in ignored_parameters(self._kernel, target, request.parameters)
        )
        return replace(outcome, ignored=tuple(ignored))

    def load_together(
        self, requests: Sequence[LoadRequest], call: Call, runner: Runner, *, pin: bool = False
    ) -> tuple[Outcome, ...]:
        """Load within an operation what all of ``requests`` name, or nothing; see ``load``."""
        outcomes: list[Outcome] = []
        for request in requests:
            outcomes.append(self.load(request, call, runner, pin=pin))
            if outcomes[-1].error is not None:
                break
        else:
            return tuple(outcomes)
        if not call.dry_run:
            for at in reversed(range(len(outcomes))):
                steps = list(outcomes[at].steps)
                runner.take_back(steps)
                outcomes[at] = replace(outcomes[at], steps=tuple(steps))
        return tuple(outcomes)

    def _note_origins(self, outcome: Outcome, *, requested: bool) -> None:
        """Note which modules somebody asked for, and which came with them."""
        done = (each.step for each in outcome.steps if each.done)
        asked = () if requested else outcome.targets
        self._origins.note_needed(
            step.record.name
            for step in done
            if isinstance(step, InsertStep) and step.record.name not in asked
        )
        if requested:
            return
        self._origins.note_asked(
            target for target in outcome.targets if self._kernel.module(target) is not None
        )

    def _loaded(self) -> dict[str, LoadedModule]:
        return {module.name: module for module in self._kernel.modules()}
