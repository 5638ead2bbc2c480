# SPDX-License-Identifier: Apache-2.0
"""When an agent does something: pauses, none of which is the same for two machines."""

import asyncio
import random
from dataclasses import dataclass


class Pause:
    """Pauses from ``first`` seconds on, each up to twice as long as the last."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = self._next = first
        self._longest = longest

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next = self._first

    def take(self) -> float:
        """Return the seconds of the next pause."""
        most, self._next = self._next, min(2 * self._next, self._longest)
        return random.uniform(most / 2, most)

    async def sleep(self) -> None:
        """Wait for the next pause."""
        await asyncio.sleep(self.take())


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTiming:
    """Seconds, of which each agent takes others by chance where that keeps them apart.

    The node's entry lives for ``lease`` after the agent's end, and its places for ``place_lease``.
    What a node says is written within ``jitter``, and so is all listed that is listed anew. Pauses
    between attempts go from ``first_pause`` up to ``longest_pause``; a watch that has not failed
    for ``stands`` counts as one that etcd answers. A place is asked for again after ``place_pause``
    at most, what the daemon has refused after ``refusal_pause``, and what the daemon is is looked
    at each ``look``.
    """

    lease: int = 240
    place_lease: int = 3600
    jitter: float = 5.0
    first_pause: float = 1.0
    longest_pause: float = 60.0
    stands: float = 30.0
    place_pause: float = 10.0
    refusal_pause: float = 300.0
    look: float = 60.0

    def pause(self) -> Pause:
        """Return pauses for something that may fail again."""
        return Pause(self.first_pause, self.longest_pause)
