# SPDX-License-Identifier: Apache-2.0
"""Loads within an operation: what may be loaded, and what is noted of what was."""

from collections.abc import Callable, Collection, Sequence

from kmodd.errors import StateError
from kmodd.kernel.base import Kernel
from kmodd.namespace.context import WISH, RequestContext
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.operation import Operation
from kmodd.namespace.outcome import Outcome
from kmodd.namespace.parameters import ignored_parameters
from kmodd.namespace.planning import LoadToPlan, Planning
from kmodd.namespace.runner import Runner
from kmodd.plan import BuiltinStep, InsertStep, LoadRequest, module_of
from kmodd.records import replace


class Loading:
    """Loads what is asked for from the trees; has no state of its own."""

    def __init__(
        self,
        kernel: Kernel,
        names: LoadedNames,
        planning: Planning,
        origins: LoadOrigins,
        along: Callable[[Collection[str]], None],
    ) -> None:
        """``along`` is told which modules were loaded for others, and must not block."""
        self._kernel = kernel
        self._names = names
        self._planning = planning
        self._origins = origins
        self._along = along

    def load(
        self,
        request: LoadRequest,
        call: RequestContext,
        runner: Runner,
        uploaded: tuple[str, bytes] | None = None,
        pin: bool = False,
        requested: bool = False,
    ) -> Outcome:
        """Load within an operation; the arguments from ``uploaded`` on are those of LoadToPlan."""
        if self._planning.policy.exact and not request.exact:
            request = replace(request, exact=True)
        assumed = call.assumed if call.dry_run else None
        wanted = LoadToPlan(
            request=request, uploaded=uploaded, pin=pin, requested=requested, assumed=assumed
        )
        outcome = self._planning.carry_out(wanted, runner, call)
        if not call.dry_run:
            self._note_origins(outcome, runner.operation, requested=requested)
        if outcome.error or not request.parameters or request.exact or request.ignore_loaded:
            return outcome
        if assumed is not None:  # what is in force there is not known here
            return outcome
        steps = (each.step for each in outcome.steps if not each.needless)
        given = {module_of(step) for step in steps if not isinstance(step, BuiltinStep)}
        ignored = (
            one
            for target in outcome.targets
            if target not in given
            for one in ignored_parameters(self._kernel, self._names.own(target), request.parameters)
        )
        return replace(outcome, ignored=tuple(ignored))

    def load_together(
        self,
        requests: Sequence[LoadRequest],
        call: RequestContext,
        runner: Runner,
        *,
        pin: bool = False,
    ) -> tuple[Outcome, ...]:
        """Load within an operation what all of ``requests`` name, or nothing; see ``load``."""
        outcomes: list[Outcome] = []
        for request in requests:
            try:
                runner.operation.check_wanted()
            except StateError as error:
                outcomes.append(Outcome(request.name, (), (), error))
            else:
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

    def _note_origins(self, outcome: Outcome, operation: Operation, *, requested: bool) -> None:
        """Note which modules somebody asked for, or wishes, and which came with them."""
        done = [each.step for each in outcome.steps if each.done]
        asked = () if requested else outcome.targets
        needed = [
            step.record.name
            for step in done
            if isinstance(step, InsertStep) and step.record.name not in asked
        ]
        self._origins.note_needed(needed)
        if needed:
            self._along(needed)
        if requested:
            return
        if operation.origin == WISH:
            self._origins.note_wished({module_of(step) for step in done} & {*outcome.targets})
            return
        there = (target for target in outcome.targets if self._names.find(target) is not None)
        if operation.device:
            self._origins.note_plugged(there)
        else:
            self._origins.note_asked(there, operation.caller)
