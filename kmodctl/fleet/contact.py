# SPDX-License-Identifier: Apache-2.0
"""Whether etcd answers, and since when it does not."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Away:
    """``since`` is a time of Unix, for people alone; ``why`` is the last failure."""

    since: float
    why: str


class Contact:
    """What several tasks know of one thing: it is away while one of them has lost it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """``changed`` is called when it goes away, and when it is back."""
        self._changed = changed
        self._lost: dict[str, str] = {}
        self.away: Away | None = None

    def lost(self, task: str, why: str) -> None:
        """Note that ``task`` gets no answer."""
        self._lost[task] = why
        if self.away is None:
            self.away = Away(time.time(), why)
            self._changed()
        else:
            self.away = Away(self.away.since, why)

    def found(self, task: str) -> None:
        """Note that ``task`` gets answers."""
        self._lost.pop(task, None)
        if self.away is not None and not self._lost:
            self.away = None
            self._changed()
