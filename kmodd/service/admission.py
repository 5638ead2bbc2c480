# SPDX-License-Identifier: Apache-2.0
"""Who makes a call, and whether it is let in."""

import threading
from collections.abc import Iterable
from typing import Any

import grpc

from kmodd.access import rules
from kmodd.access.caller import Caller
from kmodd.host.transport import TOKEN_KEY
from kmodd.kernel.base import Kernel
from kmodd.names import module_name
from kmodd.namespace import Namespace, Operation
from kmodd.service.connections import Connections
from kmodd.service.socket_calls import ServedConnection
from kmodd.service.view import View


class Admission:
    """Lets in the calls of all connections.

    A call that belongs to an operation counts as the call that started the operation, whichever
    socket it comes in by.
    """

    def __init__(self, connections: Connections, kernel: Kernel, namespace: Namespace) -> None:
        self.connections = connections
        self._namespace = namespace
        self._traits = kernel.traits

    def caller(self, context: grpc.ServicerContext) -> Caller:
        """Return who makes the call.

        Raises StateError for a token of no operation, AccessError where the connection has ended.
        """
        operation = self._namespace.operation_of(token_of(context))
        return operation.caller if operation else self.connections.of(context).caller

    def view(self, context: grpc.ServicerContext) -> View:
        """Return the answers as whoever is at the call's connection sees them; raises AccessError.

        That is not who started the operation which the call belongs to.
        """
        return self.view_of(self.connections.of(context).caller)

    def view_of(self, caller: Caller) -> View:
        """Return the answers as ``caller`` sees them."""
        return View(caller, self._traits)

    def admit(
        self, method: str, request: Any, context: grpc.ServicerContext, connection: ServedConnection
    ) -> None:
        """Raise AccessError where the caller may not make this call, which ``connection`` brought.

        ``request`` is None for a stream of them. A command of the configuration may ask for what
        the caller may who set it off, and for what takes it to its own module.
        """
        operation = self._namespace.operation_of(token_of(context))
        caller = operation.caller if operation else connection.caller
        rules.check_method(caller, method, is_real=self._traits.is_real)
        if request is not None:
            granted = _granted(operation, request) if operation else ()
            rules.check_fields(caller, method, request, granted)


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
