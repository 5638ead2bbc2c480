# SPDX-License-Identifier: Apache-2.0
"""How many operations there have been, what became of them, and how long they took."""

from kmodd.errors import Reason
from kmodd.namespace.operation import Operation
from kmodd.tallies import Durations, Tally


class OperationCounts:
    """The operations since the daemon's start; for any thread.

    ``results`` are those that have ended by action and by "done", "unchanged" or "failed".
    ``failures`` are by action and reason, ``denials`` by the caller's role and the reason.
    ``durations`` of those that did something or failed are by action. ``modules`` that came and
    went are by "loaded" and "unloaded". ``passed_by`` are loads that were answered from memory,
    for which nothing is to take time: it is guarded by the lock of who counts them.
    """

    def __init__(self) -> None:
        self.results = Tally()
        self.failures = Tally()
        self.denials = Tally()
        self.durations = Durations()
        self.modules = Tally()
        self.passed_by = 0

    def note(self, operation: Operation, seconds: float, *, has_effect: bool) -> None:
        """Count an operation that took so many seconds."""
        error, action = operation.error, operation.action
        self.results.add(action, "failed" if error else "done" if has_effect else "unchanged")
        if error is not None:
            self.failures.add(action, error.reason.name)
            if error.reason in _DENIALS:
                self.denials.add(operation.caller.role, error.reason.name)
        if has_effect:
            self.durations.add(seconds, action)
        for what, modules in (("loaded", operation.loaded), ("unloaded", operation.unloaded)):
            if modules:
                self.modules.add(what, count=len(modules))


_DENIALS = (Reason.ACCESS_DENIED, Reason.MODULE_DENIED)
