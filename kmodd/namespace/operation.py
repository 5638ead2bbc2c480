# SPDX-License-Identifier: Apache-2.0
"""One request that changes the namespace, from its start to its end."""

import secrets
import time
from collections import deque
from typing import TYPE_CHECKING

from kmodd.access.caller import DAEMON, Caller
from kmodd.errors import AccessError, KmoddError, Reason, StateError
from kmodd.namespace.audit import Action
from kmodd.namespace.context import NEVER, Gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Operation:
    """One request that changes the namespace, from its start to its end.

    Owned by the thread that runs it; others read single fields to show them. ``pins`` is guarded
    by the lock of the ModuleLocks that it counts in. A request that a command makes, which
    ``parent`` runs, belongs to that: what pins the parent has are no hindrance, ``running`` tells
    it which command it must not start again, and it counts as made by the parent's ``caller``.
    ``awaits`` is a module that it waits for to be unused. ``loaded`` and ``unloaded`` are what it
    has changed in the kernel so far, ``acted`` tells that it had any effect, and ``error`` why it
    failed. Of several names that are done one after the other it has done ``names``, and ``failed``
    of them have. ``afterwards`` is what is left to be done when all else is, while the pins still
    hold.
    """

    def __init__(
        self,
        number: int,
        action: Action,
        what: str,
        caller: Caller = DAEMON,
        parent: "Operation | None" = None,
        gone: Gone = NEVER,
        origin: str = "",
        device: str = "",
    ) -> None:
        """``action`` and ``what`` say in words what is done to what; ``caller`` asked for it, and
        ``gone`` is set once that waits no more. ``origin`` and ``device`` are as in RequestContext;
        those of a command's own request are its parent's.
        """
        self.number = number
        self.action = action
        self.what = what
        self.caller: Caller = parent.caller if parent else caller
        self.parent = parent
        self._gone = gone
        self.origin: str = parent.origin if parent else origin
        self.device: str = parent.device if parent else device
        self.began = time.time()
        self._token = ""
        self.running = ""
        self.awaits = ""
        self.pins: set[str] = set()
        self.loaded: list[str] = []
        self.unloaded: list[str] = []
        self.afterwards: deque[Callable[[], object]] = deque()
        self.acted = False
        self.error: KmoddError | None = None
        self.names = 0
        self.failed = 0

    def __str__(self) -> str:
        return f"operation {self.number} ({self.action} {self.what})"

    @property
    def token(self) -> str:
        """What a command's own calls show of this operation; made when it is first asked for."""
        if not self._token:
            self._token = secrets.token_urlsafe(24)
        return self._token

    def note_name(self, error: KmoddError | None) -> None:
        """Count a name that is done, and the ``error`` that it failed with.

        The first failure is the operation's, but a denial comes before all others: it decides who
        is told of the operation.
        """
        self.names += 1
        self.failed += error is not None
        if self.error is None or (
            isinstance(error, AccessError) and not isinstance(self.error, AccessError)
        ):
            self.error = error

    def finish_up(self) -> None:
        """Do what was left to be done afterwards."""
        while self.afterwards:
            self.afterwards.popleft()()

    def check_wanted(self) -> None:
        """Raise StateError (CALLER_GONE) where nobody waits for what comes of it any more."""
        if self._gone.is_set():
            raise StateError(Reason.CALLER_GONE, f"the caller of {self} has gone")

    def outlast_caller(self) -> None:
        """Go on from here whether anybody waits for what comes of it or not."""
        self._gone = NEVER

    def has_token(self, token: str) -> bool:
        """Tell whether ``token`` is this operation's."""
        return bool(self._token) and secrets.compare_digest(self._token, token)

    def runs(self, event: str, module: str) -> bool:
        """Tell whether it belongs to the run of the ``event`` command of ``module``."""
        key = command_key(event, module)
        return any(operation.running == key for operation in self.line())

    def line(self) -> "Iterator[Operation]":
        """Yield this operation, the one it belongs to, and so on."""
        operation: Operation | None = self
        while operation is not None:
            yield operation
            operation = operation.parent


def command_key(event: str, module: str) -> str:
    """Return what a command is known by among the locks, and to those who look at operations."""
    return f"{event} command of {module}"
