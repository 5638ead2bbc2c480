# SPDX-License-Identifier: Apache-2.0
"""The operations of a namespace: which are under way, and who is told of those that have ended."""

import threading
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar

from kmodd.access.caller import Caller
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.namespace.audit import Action, AuditTrail, Finished
from kmodd.namespace.context import RequestContext
from kmodd.namespace.events import Journal
from kmodd.namespace.module_locks import ModuleLocks, Running
from kmodd.namespace.operation import Operation
from kmodd.namespace.operation_counts import OperationCounts

END_CONNECTION: Action = "end-connection"
"""The action of what is done to a caller, and not for one."""

WHAT_MAX = 1024
"""Characters of the names that an operation is said to be about: a request may have a thousand."""

MESSAGE_MAX = 512
"""Characters that are kept of a failure's message, and of its detail."""

_current: ContextVar[Operation | None] = ContextVar("operation", default=None)


class Operations:
    """The operations from their start to their end. ``_lock`` guards the table of those under way.

    Every one that is no dry run leaves a line in the audit trail, and watchers hear of those that
    had an effect or failed.
    """

    def __init__(self, locks: ModuleLocks, journal: Journal, audit: AuditTrail) -> None:
        self._locks = locks
        self._journal = journal
        self.audit = audit
        self.counts = OperationCounts()
        self._lock = threading.Lock()
        self._under_way: dict[int, Operation] = {}
        self._last_number = 0

    def begin(
        self, action: Action, what: str, call: RequestContext
    ) -> AbstractContextManager[Operation]:
        """Open an operation for the calling thread; its pins and its token end with it.

        A failure that is not raised is left in its ``error``. To enter it raises StateError
        (OPERATION_ENDED) where the call's token is of no operation under way.
        """
        return _Opened(self, action, what[:WHAT_MAX], call)

    def note_ended(self, caller: Caller, error: KmoddError) -> None:
        """Tell, as of an operation, that a connection of a caller's was ended, for an ``error``."""
        with self._lock:
            self._last_number += 1
            operation = Operation(self._last_number, END_CONNECTION, caller.socket, caller)
        operation.error = error
        self.tell(operation, 0.0)

    def pass_by(self, action: Action, what: str, caller: Caller) -> None:
        """Count an operation that has found nothing to do, and took no time for it."""
        if self.audit.has_what_is_unchanged():
            with self.begin(action, what, RequestContext(caller=caller)):
                pass
            return
        with self._lock:
            self._last_number += 1
            self.counts.passed_by += 1

    def end_name(self, operation: Operation, error: KmoddError | None) -> None:
        """End what was done for one of several names, with its pins; ``error`` is its failure."""
        operation.finish_up()
        self._locks.release(operation)
        operation.note_name(error)

    def current(self) -> Operation | None:
        """Return the operation that this context is in."""
        operation = _current.get()
        with self._lock:
            known = operation is not None and self._under_way.get(operation.number) is operation
        return operation if known else None

    def of_token(self, token: str) -> Operation | None:
        """Return the operation that has this token, None for no token; raises as ``begin`` does."""
        with self._lock:
            return self._holder_of(token)

    def running(self) -> tuple[Running, ...]:
        """Return the operations under way, the oldest first, and who waits for whom."""
        with self._lock:
            under_way = tuple(self._under_way.values())
        return self._locks.running(under_way)

    def idle(self) -> bool:
        """Tell whether no operation is under way and no lock is left of one."""
        with self._lock:
            return not self._under_way and self._locks.idle()

    def open(self, action: Action, what: str, call: RequestContext) -> Operation:
        """Return a new operation that is under way; raises as ``begin`` does."""
        with self._lock:
            parent = self._holder_of(call.token) if call.token else None
            self._last_number += 1
            operation = Operation(
                *(self._last_number, action, what, call.caller, parent, call.gone),
                origin=call.origin,
                device=call.device,
            )
            self._under_way[operation.number] = operation
        return operation

    def close(self, operation: Operation) -> None:
        """End an operation with its pins."""
        self._locks.release(operation)
        with self._lock:
            del self._under_way[operation.number]

    def _holder_of(self, token: str) -> Operation | None:
        """Return the operation of a token, None for no token; with the lock held."""
        if not token:
            return None
        for operation in self._under_way.values():
            if operation.has_token(token):
                return operation
        raise StateError(
            Reason.OPERATION_ENDED, "the operation that this call belongs to is not under way"
        )

    def tell(self, operation: Operation, seconds: float) -> None:
        """Tell the audit trail and the watchers of an operation that took so many seconds."""
        has_effect = operation.acted or operation.error is not None
        self.counts.note(operation, seconds, has_effect=has_effect)
        if not has_effect and not self.audit.has_what_is_unchanged():
            return
        finished = Finished(
            number=operation.number,
            action=operation.action,
            what=operation.what,
            caller=operation.caller,
            began=operation.began,
            seconds=seconds,
            loaded=tuple(operation.loaded),
            unloaded=tuple(operation.unloaded),
            acted=operation.acted,
            error=_to_keep(operation.error) if operation.error else None,
            names=operation.names,
            failed=operation.failed,
            origin=operation.origin,
            device=operation.device,
        )
        self.audit.write(finished)
        if has_effect:
            self._journal.note(finished)


class _Opened:
    """An operation from its start to its end, for a ``with``."""

    __slots__ = ("_action", "_call", "_operation", "_operations", "_outer", "_started", "_what")

    def __init__(
        self, operations: Operations, action: Action, what: str, call: RequestContext
    ) -> None:
        self._operations = operations
        self._action = action
        self._what = what
        self._call = call

    def __enter__(self) -> Operation:
        self._started = time.monotonic()
        self._operation = self._operations.open(self._action, self._what, self._call)
        self._outer = _current.set(self._operation)
        return self._operation

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        operation = self._operation
        try:
            if isinstance(error, KmoddError):
                operation.error = error
            operation.finish_up()
            if not self._call.dry_run:
                self._operations.tell(operation, time.monotonic() - self._started)
        finally:
            _current.reset(self._outer)
            self._operations.close(operation)


def _to_keep(error: KmoddError) -> KmoddError:
    """Return what of a failure can be kept for long: no traceback, which holds all it passed."""
    kept = error.copy()
    kept.message = kept.message[:MESSAGE_MAX]
    kept.args = (kept.message,)
    kept.detail = kept.detail[:MESSAGE_MAX]
    kept.log = ()
    return kept
