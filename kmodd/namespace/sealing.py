# SPDX-License-Identifier: Apache-2.0
"""The last word on loading: kernel.modules_disabled, which holds until the next boot."""

import errno
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from kmodd.errors import KernelError, KmoddError, Reason, StateError
from kmodd.kernel.base import MODULES_DISABLED, Kernel, Sealable
from kmodd.namespace.context import RequestContext
from kmodd.namespace.operations import Operations
from kmodd.records import record
from kmodd.state import Seal, SealStore

PAUSE = 0.05
"""Seconds between two looks whether anything is still under way."""


@record
class Missing:
    """A name that nothing has been loaded for, and what wants it: a device's path, or a file."""

    name: str
    wanted_by: str


Wanted = Callable[[], Iterable[tuple[str, str]]]
"""Returns names and what wants each."""


class Sealing:
    """Seals a kernel. ``_lock`` guards the seal, which is replaced as a whole."""

    def __init__(self, kernel: Kernel, operations: Operations, store: SealStore | None) -> None:
        """``store`` keeps over a restart of the daemon who has sealed the kernel, and when."""
        self._kernel = kernel
        self._operations = operations
        self._store = store
        self._lock = threading.Lock()
        self._seal = store.load() if store is not None else None
        self.wanted: Wanted = tuple
        """What should be loaded before."""

    @property
    def seal(self) -> Seal | None:
        """Who has sealed the kernel and when; None where kmodd has not."""
        return self._seal

    def make(self, call: RequestContext, stopping: threading.Event) -> Seal:
        """Have the kernel load and unload nothing any more, once no operation is under way.

        One that is sealed stays as it is. Raises KernelError (KERNEL_REFUSED) where the kernel does
        not let itself be sealed, StateError (SHUTTING_DOWN, CALLER_GONE) for what ends the wait.
        """
        if not isinstance(self._kernel, Sealable):
            why = "only the machine's own kernel can be sealed"
            raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EOPNOTSUPP)
        with self._operations.begin("seal", "", call) as operation:
            while any(each.operation.action != "seal" for each in self._operations.running()):
                if stopping.wait(PAUSE):
                    raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
                operation.check_wanted()
            with self._lock:
                if self._seal is None or self._kernel.refusal() != MODULES_DISABLED:
                    self._kernel.disable_modules()
                    operation.acted = True
                    by = str(operation.caller.peer or call.origin or "kmodd")
                    self._seal = Seal(time.time(), by)
                    if self._store is not None:
                        self._store.store(self._seal)
                return self._seal

    def missing(self, is_news: Callable[[str], bool]) -> tuple[Missing, ...]:
        """Return what would be missing if the kernel were sealed now, each name once."""
        found: dict[str, Missing] = {}
        for name, wanted_by in self.wanted():
            if name not in found and is_news(name):
                found[name] = Missing(name, wanted_by)
        return tuple(found.values())

    def told(self, error: KmoddError) -> KmoddError:
        """Return a failure as it is to be told: that the kernel is sealed, where that is why."""
        seal = self._seal
        if seal is None or error.errno != errno.EPERM or not isinstance(error, KernelError):
            return error
        if error.reason is not Reason.KERNEL_REFUSED or self._kernel.refusal() != MODULES_DISABLED:
            return error
        words = seal_words(seal)
        return KernelError(
            Reason.MODULES_DISABLED,
            f"{MODULES_DISABLED}: {words}",
            errno=errno.EPERM,
            module=error.module,
            detail=words,
        )


def seal_words(seal: Seal) -> str:
    """Return who has sealed the kernel and when, for people."""
    moment = datetime.fromtimestamp(seal.time, UTC).isoformat(sep=" ", timespec="seconds")
    return f"sealed at {moment} by {seal.by}"
