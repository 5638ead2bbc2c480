# SPDX-License-Identifier: Apache-2.0
"""Who makes a call, and whether it is let in."""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import grpc

from kmodd.access import rules
from kmodd.access.caller import Caller, Role
from kmodd.errors import AccessError
from kmodd.host.transport import TOKEN_KEY
from kmodd.kernel.base import Kernel
from kmodd.names import module_name
from kmodd.namespace import Namespace, Operation, RequestContext
from kmodd.namespace.context import Gone
from kmodd.service.connections import Connections
from kmodd.service.socket_calls import ServedConnection
from kmodd.service.view import View


class _Admitted:
    """A call that has been let in.

    ``caller`` makes it, which need not be who is at its ``connection``: ``token`` is that of the
    operation that it belongs to, "" for none.
    """

    __slots__ = ("caller", "connection", "gone", "token")

    def __init__(
        self, connection: ServedConnection, caller: Caller, token: str, gone: Gone
    ) -> None:
        self.connection = connection
        self.caller = caller
        self.token = token
        self.gone = gone


class Admission:
    """Lets in the calls of all connections.

    A call that belongs to an operation counts as the call that started the operation, whichever
    socket it comes in by. What is asked of a call is asked where it is served: in the context
    (contextvars) in which it was let in.
    """

    def __init__(self, connections: Connections, kernel: Kernel, namespace: Namespace) -> None:
        self.connections = connections
        self._namespace = namespace
        self._traits = kernel.traits
        self._served: ContextVar[_Admitted] = ContextVar("call")

    def admit(
        self,
        method: str,
        request: Any,
        context: grpc.ServicerContext,
        connection: ServedConnection,
        gone: Gone,
    ) -> None:
        """Let a call in that ``connection`` brought; from now on it is the one that is served here.

        ``request`` is None for a stream of them. ``gone`` is set once the call has ended. A command
        of the configuration may ask for what the caller may who set it off, and for what takes it
        to its own module. Raises AccessError where the caller may not make this call, and
        StateError for a token of no operation.
        """
        token = token_of(context)
        operation = self._namespace.operation_of(token) if token else None
        caller = operation.caller if operation else connection.caller
        if caller.role is not Role.ADMIN:  # who may make every call, with every field
            try:
                rules.check_method(caller, method, is_real=self._traits.is_real)
                if request is not None:
                    granted = _granted(operation, request) if operation else ()
                    rules.check_fields(caller, method, request, granted)
            except AccessError as error:
                self.connections.denials.add(caller.role, error.reason.name)
                raise
        self._served.set(_Admitted(connection, caller, token, gone))

    def caller(self) -> Caller:
        """Return who makes the call that is served here."""
        return self._served.get().caller

    def is_nested(self) -> bool:
        """Tell whether the call that is served here belongs to an operation."""
        return bool(self._served.get().token)

    def asked_by(self, **manner: Any) -> RequestContext:
        """Return who makes the call that is served here, how it is learnt that it waits no more,
        and the ``manner`` in which what it asks for is to be done.
        """
        call = self._served.get()
        return RequestContext(token=call.token, caller=call.caller, gone=call.gone, **manner)

    def view(self) -> View:
        """Return the answers as whoever is at the connection of the call served here sees them.

        That is not who started the operation which the call belongs to.
        """
        return self.view_of(self._served.get().connection.caller)

    def view_of(self, caller: Caller) -> View:
        """Return the answers as ``caller`` sees them."""
        return View(caller, self._traits)


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


def token_of(context: grpc.ServicerContext) -> str:
    """Return the token that a call shows of the operation that it belongs to, "" for none."""
    for key, value in context.invocation_metadata():
        if key == TOKEN_KEY:
            return str(value)
    return ""
