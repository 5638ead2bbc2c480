# SPDX-License-Identifier: Apache-2.0
"""Operations from their start to their end, and who is told of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kmodd.errors import KmoddError
from kmodd.namespace.audit import AuditTrail, Finished
from kmodd.namespace.events import Journal
from kmodd.namespace.flights import Flights, Operation
from kmodd.namespace.model import Call

WHAT_MAX = 1024
"""Characters of the names that an operation is said to be about: a request may have a thousand."""

MESSAGE_MAX = 512
"""Characters that are kept of a failure's message, and of its detail."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where operations are entered. Every one that is no dry run leaves a line in the audit trail,
    and watchers hear of those that had an effect or failed. ``finish`` does what is left to do for
    an operation when all else is done.
    """

    flights: Flights
    journal: Journal
    audit: AuditTrail
    finish: Callable[[Operation], None]

    @contextmanager
    def operation(self, action: str, what: str, call: Call) -> Iterator[Operation]:
        """Open an operation for the calling thread.

        A failure that is not raised is left in its ``error``. Raises StateError (OPERATION_ENDED)
        where the call's token is of no operation under way.
        """
        started = time.monotonic()
        with self.flights.operation(
            action, what[:WHAT_MAX], caller=call.caller, token=call.token
        ) as operation:
            try:
                yield operation
            except KmoddError as error:
                operation.error = error
                raise
            finally:
                self.finish(operation)
                if not call.dry_run:
                    self._tell(operation, time.monotonic() - started)

    def _tell(self, operation: Operation, seconds: float) -> None:
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
        )
        self.audit.write(finished)
        if operation.acted or operation.error is not None:
            self.journal.note(finished)


def _to_keep(error: KmoddError) -> KmoddError:
    """Return what of a failure can be kept for long: no traceback, which holds all it passed."""
    kept = error.copy()
    kept.message = kept.message[:MESSAGE_MAX]
    kept.args = (kept.message,)
    kept.detail = kept.detail[:MESSAGE_MAX]
    kept.log = ()
    return kept
