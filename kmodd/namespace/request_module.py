# SPDX-License-Identifier: Apache-2.0
"""Modules that the code of other modules asks for on an emulated kernel (request_module).

It is what ``modprobe -q -- NAME`` does for a machine's kernel, as an operation within the one whose
call the code runs for: what that may load, the modules that it needs may be, and so may those that
it asks for.
"""

import logging
from collections.abc import Callable

from kmodd.errors import Reason
from kmodd.kernel.base import Requested
from kmodd.namespace.flights import Flights, Operation
from kmodd.namespace.ledger import Ledger
from kmodd.namespace.loading import Loading
from kmodd.namespace.model import Call
from kmodd.namespace.runner import Runner
from kmodd.plan import LoadRequest

FAILED = 1 << 8
"""Modprobe's exit status 1, as wait(2) has it."""

log = logging.getLogger(__name__)


class ModuleRequests:
    """Answers what code asks for. Has no state of its own."""

    def __init__(
        self, flights: Flights, ledger: Ledger, loads: Loading, run: Callable[[Operation], Runner]
    ) -> None:
        """``run`` returns what runs the steps of an operation."""
        self._flights = flights
        self._ledger = ledger
        self._loads = loads
        self._run = run

    def answer(self, name: str, waits: bool) -> Requested:
        """Load what ``name`` stands for within the operation of this context, or at its end."""
        within = self._flights.current()
        if waits or within is None:
            return self._load(name, within)
        within.asked.append(name)
        return Requested()

    def finish(self, operation: Operation) -> None:
        """Load what code has asked for and not waited for, at the end of its operation.

        By then modprobe has put in all that it was called for, on a real kernel too.
        """
        while operation.asked:
            self._load(operation.asked.pop(0), operation)

    def _load(self, name: str, within: Operation | None) -> Requested:
        call = Call(token=within.token if within else "")
        with self._ledger.operation("request", name, call) as operation:
            request, runner = LoadRequest(name=name), self._run(operation)
            outcome = self._loads.load(request, call, runner, requested=True)
            operation.error = outcome.error
        error = outcome.error
        if error is None:
            return Requested()
        log.info("%s asks for %s: %s", within, name, error.message)
        return Requested(FAILED, "" if error.reason is Reason.MODULE_NOT_FOUND else error.message)
