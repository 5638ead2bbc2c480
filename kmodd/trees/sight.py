# SPDX-License-Identifier: Apache-2.0
"""When a tree has to be looked at for what nothing in its database answers to.

That is the usual question: a machine's devices have hundreds of aliases which no module has. Where
every change of the tree is told of, there is nothing to look at while none was. Where the tree is
watched but not all is told of, two looks a second are enough. Where nobody watches, each question
is a reason to look.
"""

import threading
from collections.abc import Collection
from typing import Protocol

from kmodd.database.publish import Place

LOOKS = 2
"""Looks within a second after which the last one answers, where not all changes are told of."""

NEVER = float("-inf")


class Observer(Protocol):
    """Who is told of changes."""

    def last_change(self, release: str, places: Collection[Place] | None) -> tuple[float, bool]:
        """Return when a tree last changed as far as is known by now (time.monotonic).

        And tell whether no change in the directories at ``places`` goes unnoticed.
        """


class Sight:
    """What all trees of a daemon are observed by; None where nobody does, or not yet."""

    def __init__(self) -> None:
        self.observer: Observer | None = None

    def hear(self) -> None:
        """Have what the kernel has told until now noted by those whom it concerns."""
        if self.observer is not None:
            self.observer.last_change("", None)


class SharedLook:
    """When one tree was looked at last, as a whole or for what has come and gone.

    ``lock`` is held by who looks for a caller, so that one look serves all who wait for it. The
    times are swapped as one reference.
    """

    def __init__(self, release: str, sight: Sight) -> None:
        self.lock = threading.Lock()
        self._release = release
        self._sight = sight
        self._began = (NEVER,) * LOOKS

    def note(self, began: float) -> None:
        """Note a look that began then (time.monotonic), and found the tree as it is known."""
        self._began = (*self._began[1:], began)

    def answers(self, asked: float, places: Collection[Place] | None) -> bool:
        """Tell whether who ``asked`` then needs no other look than the last.

        ``places`` are the tree's directories, None where they are not all that can change.
        """
        first, *_, last = self._began
        if last >= asked:
            return True
        observer = self._sight.observer
        if observer is None:
            return False
        changed, is_told_of_all = observer.last_change(self._release, places)
        return changed < last and (is_told_of_all or asked - first < 1.0)
