# SPDX-License-Identifier: Apache-2.0
"""Who calls by one socket, whether the call is let in, and what the caller is shown."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import grpc

from kmodd.access import rules
from kmodd.access.caller import Caller, Role
from kmodd.errors import AccessError, KmoddError, Reason
from kmodd.kernel.base import Kernel, LoadedModule, ModuleSection
from kmodd.names import module_name
from kmodd.namespace import DescribedParameter, Finished, Namespace, Operation, Outcome

TOKEN_KEY = "kmodd-token"
"""The metadata of a call that a command makes, which show what operation runs the command."""

LINE_WHOLE = 512
"""Characters up to which a line of a kernel's log is surely whole (printk cuts at some 1,000)."""


class Admission:
    """Lets in the calls of one socket.

    A call that belongs to an operation counts as the call that started the operation, whichever
    socket it comes in by. Who calls is one reference, which ``change`` swaps.
    """

    def __init__(self, caller: Caller, kernel: Kernel, namespace: Namespace) -> None:
        self._caller = caller
        self._namespace = namespace
        self._traits = kernel.traits

    @property
    def role(self) -> Role:
        """What the callers of this socket may do."""
        return self._caller.role

    def change(self, caller: Caller) -> None:
        """From the next call on, have ``caller`` as who calls by this socket."""
        self._caller = caller

    def caller(self, context: grpc.ServicerContext) -> Caller:
        """Return who makes the call; raises StateError for a token of no operation."""
        operation = self._namespace.operation_of(token_of(context))
        return operation.caller if operation else self._caller

    def admit(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Raise AccessError where the caller may not make this call.

        ``request`` is None for a stream of them. A command of the configuration may ask for what
        the caller may who set it off, and for what takes it to its own module.
        """
        operation = self._namespace.operation_of(token_of(context))
        caller = operation.caller if operation else self._caller
        rules.check_method(caller, method, is_real=self._traits.is_real)
        if request is not None:
            granted = _granted(operation, request) if operation else ()
            rules.check_fields(caller, method, request, granted)

    def shown_module(self, module: LoadedModule) -> LoadedModule:
        """Return ``module`` as the callers of this socket see it."""
        if module.address and not rules.sees_kernel_memory(self._caller):
            return replace(module, address=0)
        return module

    def shown_sections(self, sections: Iterable[ModuleSection]) -> tuple[ModuleSection, ...]:
        """Return the sections of a module as the callers of this socket see them."""
        if rules.sees_kernel_memory(self._caller):
            return tuple(sections)
        return tuple(replace(section, address=0) for section in sections)

    def shown_parameter(self, parameter: DescribedParameter) -> DescribedParameter:
        """Return ``parameter`` as the callers of this socket see it."""
        if not parameter.shown.is_private or rules.sees_private_values(self._caller):
            return parameter
        return replace(parameter, shown=replace(parameter.shown, value=None))

    def shows_callers(self) -> bool:
        """Tell whether the callers of this socket see which socket others call by."""
        return rules.sees_callers(self._caller)

    def shows(self, finished: Finished) -> bool:
        """Tell whether the callers of this socket are told of an operation that has ended."""
        return self.shows_callers() or not isinstance(finished.error, AccessError)

    def shown_error(self, error: KmoddError) -> KmoddError:
        """Return ``error`` as the callers of this socket see it."""
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
        """Return a line of the kernel's log, or one that may quote it, as the callers see it."""
        may_quote = "for parameter `" in line or len(line) > LINE_WHOLE
        if not may_quote or rules.sees_private_values(self._caller):
            return line
        return rules.without_value(line)

    def shown(self, outcome: Outcome) -> Outcome:
        """Return ``outcome`` as the callers of this socket see it."""
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


def _granted(operation: Operation, request: Any) -> Iterable[str]:
    """Yield the fields that a call of the operation's command may set, whoever set it off.

    The configuration may give parameters, and what a caller gave has been looked at before. It may
    ask for no other module than the command's own without the command of that.
    """
    yield "parameters"
    names = [module_name(name) for name in getattr(request, "names", ())]
    for field, event in rules.OWN_COMMAND_FIELDS.items():
        if names and all(operation.runs(event, name) for name in names):
            yield field


def gone_event(context: grpc.ServicerContext) -> threading.Event:
    """Return what is set once the call has ended, whoever ends it: its client waits no more."""
    gone = threading.Event()
    if not context.add_callback(gone.set):
        gone.set()
    return gone


def token_of(context: grpc.ServicerContext) -> str:
    """Return the token that a call shows of the operation that it belongs to, "" for none."""
    for key, value in context.invocation_metadata():
        if key == TOKEN_KEY:
            return str(value)
    return ""
