# SPDX-License-Identifier: Apache-2.0
"""Holds: modules that stay loaded for as long as somebody wants them.

A hold pins what was asked for and what that needs, until it ends. The modules that a hold with
``unload`` has put into the kernel are *borrowed*: the last hold on one of them unloads it, unless
somebody has asked for it without a hold meanwhile, or something else uses it by then.
"""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from kmodd.access.caller import Caller
from kmodd.errors import LimitError, NotFoundError, Reason, StateError
from kmodd.kernel.base import LoadedModule

NOTE_MAX = 64
"""Characters of the words that a holder may say of itself; longer ones end in an ellipsis."""


@dataclass(eq=False, slots=True, kw_only=True)
class Hold:
    """What one caller keeps loaded.

    ``names`` are those that were asked for, ``pins`` the modules that are kept. ``note`` is what
    the holder says of itself, ``origin`` what the daemon holds for by itself. ``began`` is in
    seconds of Unix time. ``over`` is set when the hold is to end for another cause than its
    holder's, and ``why``, which is written before, says which. ``closed`` is set once it has ended.
    """

    number: int
    caller: Caller
    names: tuple[str, ...]
    note: str
    origin: str = ""
    pins: frozenset[str] = frozenset()
    began: float = field(default_factory=time.time)
    over: threading.Event
    why: StateError | None = None
    closed: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        return f"hold {self.number} of {self.note}" if self.note else f"hold {self.number}"


class Holds:
    """The holds of one namespace. ``_lock`` guards every field."""

    def __init__(self, quota: int) -> None:
        """``quota`` is how many holds one socket may have; the daemon itself has what it wants."""
        self._quota = quota
        self._lock = threading.Lock()
        self._holds: dict[int, Hold] = {}
        self._taken: Counter[str] = Counter()
        self._last_number = 0
        self._borrowed: dict[str, None] = {}

    def open(
        self, caller: Caller, names: tuple[str, ...], note: str, over: threading.Event
    ) -> Hold:
        """Return a hold that pins nothing yet; ``close`` gives its place free.

        Raises LimitError (LIMIT_REACHED) where the caller's socket has as many as it may.
        """
        with self._lock:
            if caller.socket and self._taken[caller.socket] >= self._quota:
                raise LimitError(
                    Reason.LIMIT_REACHED, f"this socket has {self._quota} holds already"
                )
            self._taken[caller.socket] += 1
            self._last_number += 1
            note = "".join(letter if letter.isprintable() else "?" for letter in _cut(note))
            hold = Hold(number=self._last_number, caller=caller, names=names, note=note, over=over)
            self._holds[hold.number] = hold
            return hold

    def close(self, hold: Hold) -> None:
        """Forget a hold."""
        with self._lock:
            del self._holds[hold.number]
            self._taken[hold.caller.socket] -= 1
            self._taken += Counter()

    def all(self) -> tuple[Hold, ...]:
        """Return the holds there are, the oldest first."""
        with self._lock:
            return tuple(self._holds.values())

    def counts(self) -> Counter[str]:
        """Return how many holds there are on each module."""
        return Counter(name for hold in self.all() for name in hold.pins)

    def end(self, number: int) -> Hold:
        """Tell a holder to end its hold; raises NotFoundError (HOLD_NOT_FOUND)."""
        with self._lock:
            hold = self._holds.get(number)
        if hold is None:
            raise NotFoundError(Reason.HOLD_NOT_FOUND, f"there is no hold {number}")
        hold.why = StateError(Reason.HOLD_ENDED, f"an administrator has ended hold {number}")
        hold.over.set()
        return hold

    def end_all(self) -> None:
        """Tell all holders that the daemon stops."""
        for hold in self.all():
            hold.why = StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
            hold.over.set()

    def lose(self, gone: Collection[str], by: str) -> None:
        """Tell holders that what they hold has left the kernel in spite of that, ``by`` what."""
        for hold in self.all():
            lost = sorted(hold.pins.intersection(gone))
            if lost:
                names = " ".join(lost)
                why = f"hold {hold.number} is lost: {by} {names}"
                hold.why = StateError(Reason.HOLD_ENDED, why, module=lost[0], detail=names)
                hold.over.set()

    def lend(self, modules: Iterable[str]) -> None:
        """Note the modules that a hold has put into the kernel, in this order."""
        with self._lock:
            self._borrowed |= dict.fromkeys(modules)

    def keep(self, modules: Iterable[str]) -> None:
        """Let modules stay beyond the holds on them: they were asked for, or have gone."""
        with self._lock:
            for name in modules:
                self._borrowed.pop(name, None)

    def unheld(self, pins: frozenset[str]) -> list[str]:
        """Return those of ``pins`` that are borrowed and on which no hold is left.

        Users come before what they use.
        """
        with self._lock:
            held = {name for hold in self._holds.values() for name in hold.pins}
            found = [name for name in self._borrowed if name in pins and name not in held]
            return found[::-1]


def with_needs(names: Iterable[str], loaded: Mapping[str, LoadedModule]) -> set[str]:
    """Return those of ``names`` that are loaded, and all that the kernel holds for their sake."""
    found = {name for name in names if name in loaded}
    while more := {
        module.name
        for module in loaded.values()
        if module.name not in found and not found.isdisjoint(module.holders)
    }:
        found |= more
    return found


def _cut(note: str) -> str:
    return note if len(note) <= NOTE_MAX else f"{note[: NOTE_MAX - 1]}…"
