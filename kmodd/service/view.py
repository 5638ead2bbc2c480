# SPDX-License-Identifier: Apache-2.0
"""What a caller is shown of the daemon's answers."""

from collections.abc import Iterable

from kmodd.access import rules
from kmodd.access.caller import Caller, Role
from kmodd.errors import AccessError, KmoddError, Reason
from kmodd.kernel.base import KernelTraits, LoadedModule, ModuleSection
from kmodd.namespace import END_CONNECTION, DescribedParameter, Finished, Outcome
from kmodd.records import replace

LINE_WHOLE = 512
"""Characters up to which a line of a kernel's log is surely whole (printk cuts at some 1,000)."""


class View:
    """The answers as one caller sees them."""

    __slots__ = ("_caller", "_traits")

    def __init__(self, caller: Caller, traits: KernelTraits) -> None:
        self._caller = caller
        self._traits = traits

    @property
    def role(self) -> Role:
        """What the caller may do."""
        return self._caller.role

    def shown_module(self, module: LoadedModule) -> LoadedModule:
        """Return ``module`` as the caller sees it."""
        if module.address and not rules.sees_kernel_memory(self._caller):
            return replace(module, address=0)
        return module

    def shown_sections(self, sections: Iterable[ModuleSection]) -> tuple[ModuleSection, ...]:
        """Return the sections of a module as the caller sees them."""
        if rules.sees_kernel_memory(self._caller):
            return tuple(sections)
        return tuple(replace(section, address=0) for section in sections)

    def shown_parameter(self, parameter: DescribedParameter) -> DescribedParameter:
        """Return ``parameter`` as the caller sees it."""
        if not parameter.shown.is_private or rules.sees_private_values(self._caller):
            return parameter
        return replace(parameter, shown=replace(parameter.shown, value=None))

    def shows_values(self) -> bool:
        """Tell whether the caller is shown the values of parameters that are wished."""
        return rules.sees_private_values(self._caller)

    def shows_callers(self) -> bool:
        """Tell whether the caller sees who others are."""
        return rules.sees_callers(self._caller)

    def shows(self, finished: Finished) -> bool:
        """Tell whether the caller is told of an operation that has ended."""
        is_others = finished.action == END_CONNECTION or isinstance(finished.error, AccessError)
        return self.shows_callers() or not is_others

    def shown_error(self, error: KmoddError) -> KmoddError:
        """Return ``error`` as the caller sees it."""
        hides_value = error.reason is Reason.INVALID_PARAMETER and not rules.sees_private_values(
            self._caller
        )
        sees_log = rules.sees_log(self._caller, is_private=self._traits.log_is_private)
        if sees_log and not hides_value:
            return error
        error = error.copy()
        error.log = ()
        if hides_value:
            error.message = rules.without_value(error.message)
            error.args = (error.message,)
        return error

    def shown_line(self, line: str) -> str:
        """Return a line of the kernel's log, or one that may quote it, as the caller sees it."""
        may_quote = "for parameter `" in line or len(line) > LINE_WHOLE
        if not may_quote or rules.sees_private_values(self._caller):
            return line
        return rules.without_value(line)

    def shown(self, outcome: Outcome) -> Outcome:
        """Return ``outcome`` as the caller sees it."""
        sees_all = rules.sees_output(self._caller) and rules.sees_private_values(self._caller)
        if sees_all and outcome.error is None and not outcome.others:
            return outcome
        steps = outcome.steps
        if not rules.sees_output(self._caller):
            steps = tuple(replace(step, output=None) for step in steps)
        ignored = outcome.ignored
        if not rules.sees_private_values(self._caller):
            ignored = tuple(
                replace(each, in_force=None) if each.private else each for each in ignored
            )
        return replace(
            outcome,
            steps=steps,
            ignored=ignored,
            error=self.shown_error(outcome.error) if outcome.error else None,
            others=tuple((target, self.shown_error(error)) for target, error in outcome.others),
        )
