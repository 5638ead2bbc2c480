# SPDX-License-Identifier: Apache-2.0
"""Loads for holds: what a hold puts into the kernel, keeps there, and takes out with its end."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from kmodd.kernel.base import Kernel
from kmodd.names import module_name
from kmodd.namespace.context import RequestContext
from kmodd.namespace.holds import Hold, Holds, with_needs
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.loading import Loading
from kmodd.namespace.module_locks import ModuleLocks
from kmodd.namespace.operation import Operation
from kmodd.namespace.operations import Operations
from kmodd.namespace.outcome import Outcome
from kmodd.namespace.runner import Runner
from kmodd.plan import LoadRequest


class Holding:
    """Opens holds and ends them; has no state of its own."""

    def __init__(
        self,
        kernel: Kernel,
        names: LoadedNames,
        holds: Holds,
        locks: ModuleLocks,
        operations: Operations,
        loading: Loading,
        run: Callable[[Operation, RequestContext], Runner],
        released: Callable[[Collection[str]], None],
    ) -> None:
        """``run`` returns what runs the steps of an operation. ``released`` is told once a hold has
        ended which modules were unloaded for that, and must not block.
        """
        self._kernel = kernel
        self._names = names
        self._holds = holds
        self._locks = locks
        self._operations = operations
        self._loading = loading
        self._run = run
        self._released = released

    @contextmanager
    def hold(
        self,
        requests: Sequence[LoadRequest],
        call: RequestContext,
        *,
        unload: bool,
        note: str,
        over: threading.Event,
    ) -> Iterator[tuple[Hold, tuple[Outcome, ...]]]:
        """Load what ``requests`` name and keep it, with what it needs, until the context ends.

        With ``unload`` the last hold that ends unloads what was loaded for holds and nothing else
        needs. ``note`` is what the holder says of itself. ``over`` is set when somebody else wants
        the hold to end. Raises what makes a load fail, and LimitError (LIMIT_REACHED) where the
        caller's socket has too many holds.
        """
        names = tuple(request.name for request in requests)
        hold = self._holds.open(call.caller, names, note, over)
        hold.origin = call.origin
        try:
            with self._operations.begin("hold", " ".join(names), call) as operation:
                runner = self._run(operation, call)
                outcomes = self._loading.load_together(requests, call, runner, pin=True)
                if outcomes[-1].error is not None:
                    raise outcomes[-1].error
                operation.acted = True
                loaded = self._names.by_name(self._kernel.modules())
                hold.pins = frozenset(with_needs(operation.pins, loaded))
                self._locks.keep(hold)
                if unload:
                    self._holds.lend(map(module_name, operation.loaded))
        except BaseException:
            self._holds.close(hold)
            hold.closed.set()
            raise
        try:
            yield hold, outcomes
        finally:
            self._release(hold)

    def end(self, number: int, call: RequestContext) -> Hold:
        """Have a hold end; raises NotFoundError (HOLD_NOT_FOUND). It has once it is ``closed``."""
        with self._operations.begin("end-hold", str(number), call) as operation:
            hold = self._holds.end(number)
            operation.acted = True
            return hold

    def _release(self, hold: Hold) -> None:
        """End a hold, and unload what is only there for holds and has none any more."""
        self._locks.let_go(hold)
        self._holds.close(hold)
        call = RequestContext(caller=hold.caller, origin=hold.origin)
        with self._operations.begin("release", str(hold), call) as operation:
            operation.acted = True
            self._run(operation, call).remove_unused(self._holds.unheld(hold.pins))
        hold.closed.set()
        self._released(operation.unloaded)
