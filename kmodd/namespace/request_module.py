# SPDX-License-Identifier: Apache-2.0
"""Modules that the code of other modules asks for on a kernel of the daemon's (request_module).

It is what ``modprobe -q -- NAME`` does for a machine's kernel. An emulated one knows the call that
the code runs for, and it is an operation within that one: what that may load, the modules that it
needs may be, and so may those that it asks for. Of a guest's nobody knows that.
"""

import logging
from collections.abc import Callable
from functools import partial

from kmodd.errors import Reason
from kmodd.kernel.base import Requested
from kmodd.namespace.context import RequestContext
from kmodd.namespace.loading import Loading
from kmodd.namespace.operation import Operation
from kmodd.namespace.operations import Operations
from kmodd.namespace.runner import Runner
from kmodd.plan import LoadRequest

FAILED = 1 << 8
"""Modprobe's exit status 1, as wait(2) has it."""

log = logging.getLogger(__name__)


class RequestAnswers:
    """Answers what code asks for. Has no state of its own."""

    def __init__(
        self, operations: Operations, loading: Loading, run: Callable[[Operation], Runner]
    ) -> None:
        """``run`` returns what runs the steps of an operation."""
        self._operations = operations
        self._loading = loading
        self._run = run

    def answer(self, name: str, waits: bool) -> Requested:
        """Load what ``name`` stands for within the operation of this context, or at its end.

        By then modprobe has put in all that it was called for, on a real kernel too.
        """
        within = self._operations.current()
        if waits or within is None:
            return self._load(name, within)
        within.afterwards.append(partial(self._load, name, within))
        return Requested()

    def _load(self, name: str, within: Operation | None) -> Requested:
        call = RequestContext(token=within.token if within else "")
        with self._operations.begin("request", name, call) as operation:
            request, runner = LoadRequest(name=name), self._run(operation)
            outcome = self._loading.load(request, call, runner, requested=True)
            operation.error = outcome.error
        error = outcome.error
        if error is None:
            return Requested()
        log.info("%s asks for %s: %s", within or "the kernel", name, error.message)
        return Requested(FAILED, "" if error.reason is Reason.MODULE_NOT_FOUND else error.message)
