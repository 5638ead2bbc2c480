# SPDX-License-Identifier: Apache-2.0
"""Tells what others have done to modules that are wished: nobody is to be fought with."""

from collections.abc import Mapping

from kmodd.desired.merging import MergedWishes
from kmodd.desired.wish import Wish
from kmodd.namespace.wish_facts import WishFacts
from kmodd.namespace.wish_memory import ENDED, LOADED, UNLOADED, WishMemory
from kmodd.namespace.wish_moves import MadeChanges


class ByHand:
    """Compares each listing with the last one; for one thread.

    What differs, but for our own moves, others did by hand. A kernel that has started anew has lost
    everything, which is nobody's doing.
    """

    def __init__(self, memory: WishMemory) -> None:
        self._memory = memory
        self._expected: set[str] | None = None
        self._epoch = ""
        self._meanings: Mapping[str, object] = {}

    def expect(self, made: MadeChanges) -> None:
        """Note what we have changed ourselves."""
        if self._expected is not None:
            self._expected |= made.loaded
            self._expected -= made.unloaded

    def look(
        self,
        merged: MergedWishes,
        facts: WishFacts,
        lost: Mapping[str, bool],
        held: frozenset[str],
    ) -> set[str]:
        """Have the memory know what others have done since the last look.

        ``lost`` are modules whose holds are over, each with whether that was by hand; ``held``
        those that are held for a wish. Returns the modules of which something else is wished now.
        """
        wishes = {wish.name: wish for wish in merged.wishes}
        if self._epoch not in ("", facts.epoch):
            self._expected = None
            self._memory.forget_all_done()
        self._epoch = facts.epoch
        before, now = self._expected, set(facts.loaded)
        self._expected = set(now)
        alone = self._memory.left_alone()
        self._memory.review(
            wishes,
            {
                name
                for name, wish in wishes.items()
                if wish.state.is_present == (name in now)
                and (name in held or alone.get(name) != ENDED)
            },
        )
        for name, by_hand in lost.items():
            if by_hand and name in now and self._is_old(wishes.get(name)):
                self._memory.leave_alone(wishes[name], ENDED)
        for name, wish in wishes.items():
            if before is None or not self._is_old(wish):
                continue
            is_present = wish.state.is_present
            if (name in before) == is_present and (name in now) != is_present:
                self._memory.leave_alone(wish, UNLOADED if is_present else LOADED)
        meanings = {name: wish.meaning for name, wish in wishes.items()}
        names = meanings.keys() | self._meanings.keys()
        news = {name for name in names if meanings.get(name) != self._meanings.get(name)}
        self._meanings = meanings
        return news

    def _is_old(self, wish: Wish | None) -> bool:
        """Tell whether the same was wished at the last look."""
        return wish is not None and self._meanings.get(wish.name) == wish.meaning
