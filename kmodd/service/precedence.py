# SPDX-License-Identifier: Apache-2.0
"""Admins' calls come first: for a moment the calls of all others wait where an admin calls.

All calls are served by threads of which one runs at a time, and each of them that has work to do
may be the next. An admin's call is handed from thread to thread some times, and at each it would
stand behind as many as there are others' calls.
"""

import time
from collections.abc import Callable

QUIET = 0.004
"""Seconds since an admin's call began or ended in which his next one is likely: who calls again
and again does so sooner."""

ROUND = 0.04
"""Seconds of which others have a part in any case."""

WAITED = 0.03
"""Seconds of each round that others wait at most: a quarter is theirs, whatever admins do."""

_LEAST = 0.0001
"""Seconds that are worth waiting."""


class Precedence:
    """When admins have called, and how long others have waited for it.

    Any thread may ``note`` a call, which is one reference. One thread gives way for all others'
    calls, and has what else is here for itself.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._noted = -QUIET
        self._round = -ROUND
        self._left = WAITED

    def note(self) -> None:
        """Note that an admin's call begins or ends, or that an admin connects."""
        self._noted = self._clock()

    def give_way(self) -> None:
        """Wait until no admin has called for a moment, or as long as there is to wait."""
        now = self._clock()
        while now - self._noted < QUIET:
            if now - self._round >= ROUND:
                self._round, self._left = now, WAITED
            if self._left < _LEAST:
                return
            self._sleep(max(_LEAST, min(self._noted + QUIET - now, self._left)))
            began, now = now, self._clock()
            self._left -= now - began
