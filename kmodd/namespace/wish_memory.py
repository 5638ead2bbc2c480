# SPDX-License-Identifier: Apache-2.0
"""What is remembered for wishes: what others did by hand, what failed, what parameters show."""

import errno
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from kmodd.desired.findings import Move
from kmodd.desired.wish import Wish
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.state import BootStore

PASSING = frozenset(
    {
        Reason.CALLER_GONE,
        Reason.COMMAND_TIMED_OUT,
        Reason.LIMIT_REACHED,
        Reason.MODULE_BUSY,
        Reason.MODULE_CHANGED,
        Reason.MODULE_HELD,
        Reason.MODULE_IN_USE,
        Reason.MODULE_NOT_LOADED,
        Reason.SHUTTING_DOWN,
    }
)
"""Failures that another attempt may not end with, though nothing that a plan is made of differs."""

PASSING_ERRNOS = frozenset({errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.EBUSY})
"""The same of what the kernel refuses."""

UNLOADED = "it was unloaded by hand"
LOADED = "it was loaded by hand"
ENDED = "its hold was ended by hand"


def passes(error: KmoddError) -> bool:
    """Tell whether what failed so may succeed a while later."""
    if isinstance(error, KernelError) and error.reason is not Reason.KERNEL_PANIC:
        return error.errno in PASSING_ERRNOS or error.reason in PASSING
    return error.reason in PASSING


@dataclass(slots=True)
class _Alone:
    """A module that others have changed: what was wished then, and how it was changed."""

    meaning: str
    why: str


@dataclass(slots=True)
class WishMemory:
    """What is remembered. ``_lock`` guards every field.

    What others did by hand, and what parameters show for what they were given, is kept over
    restarts of the daemon where there is a ``store``.
    """

    store: BootStore | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _alone: dict[str, _Alone] = field(default_factory=dict)
    _tried: dict[Move, tuple[object, KmoddError]] = field(default_factory=dict)
    _taken: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def recall(self) -> None:
        """Take over what an earlier life of the daemon has stored."""
        facts = self.store.load() if self.store else {}
        with self._lock:
            for name, (meaning, why) in _rows(facts.get("left_alone"), 2):
                self._alone[name] = _Alone(meaning, why)
            for module, (name, given, shown) in _rows(facts.get("taken"), 3):
                self._taken[module, name] = given, shown

    def left_alone(self) -> dict[str, str]:
        """Return the modules that others have changed by hand, with words for how."""
        with self._lock:
            return {name: each.why for name, each in self._alone.items()}

    def leave_alone(self, wish: Wish, why: str) -> None:
        """Note that others have changed what is wished."""
        with self._lock:
            self._alone[wish.name] = _Alone(repr(wish.meaning), why)
            self._keep()

    def review(self, wishes: Mapping[str, Wish], fulfilled: Collection[str]) -> None:
        """Forget what others did where it is wished otherwise by now, or is as wished again."""
        with self._lock:
            over = [
                name
                for name, each in self._alone.items()
                if name in fulfilled
                or name not in wishes
                or repr(wishes[name].meaning) != each.meaning
            ]
            self._forget(over)

    def forget(self, names: Collection[str]) -> None:
        """Forget what others did to these, and what failed with them."""
        with self._lock:
            self._tried = {m: each for m, each in self._tried.items() if m.name not in names}
            self._forget([name for name in self._alone if name in names])

    def forget_all_done(self) -> None:
        """Forget what others did, and what parameters showed: the kernel has started anew."""
        with self._lock:
            self._taken = {}
            self._alone = {}
            self._keep()

    def tried(self, basis: object) -> dict[Move, KmoddError]:
        """Return the moves that have failed on this ``basis``, and would again."""
        with self._lock:
            self._tried = {move: each for move, each in self._tried.items() if each[0] == basis}
            return {move: error for move, (_, error) in self._tried.items()}

    def note_failure(self, move: Move, basis: object, error: KmoddError) -> None:
        """Note that a move has failed on ``basis``."""
        kept = error.copy()
        kept.log = ()
        with self._lock:
            self._tried[move] = basis, kept

    def taken(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Return what parameters show where they were given a value, by module and parameter."""
        with self._lock:
            return dict(self._taken)

    def take(self, module: str, shown: Mapping[str, tuple[str, str]]) -> None:
        """Note for parameters of a module what was given and what is shown for that."""
        fresh = {(module, name): pair for name, pair in shown.items()}
        with self._lock:
            if any(self._taken.get(key) != pair for key, pair in fresh.items()):
                self._taken |= fresh
                self._keep()

    def _forget(self, names: Collection[str]) -> None:
        for name in names:
            del self._alone[name]
        if names:
            self._keep()

    def _keep(self) -> None:
        """Store what is to be kept; with the lock held."""
        if self.store is not None:
            alone = [[name, each.meaning, each.why] for name, each in self._alone.items()]
            taken = [[*key, *pair] for key, pair in self._taken.items()]
            self.store.store({"left_alone": alone, "taken": taken})


def _rows(found: object, count: int) -> list[tuple[str, list[str]]]:
    """Return the rows of a stored list that are a name and so many texts; others are dropped."""
    rows = found if isinstance(found, list) else []
    return [
        (row[0], row[1:])
        for row in rows
        if isinstance(row, list)
        and len(row) == count + 1
        and all(isinstance(each, str) for each in row)
    ]
