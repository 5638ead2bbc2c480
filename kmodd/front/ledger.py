# SPDX-License-Identifier: Apache-2.0
"""What each connection costs a front, and which are to go where all of them cost too much.

Nobody tells how much memory is a connection's: what is known is how much the process has, and how
many bytes each connection has sent. So what comes of memory is put down to those who have sent what
no call has come of, each by these bytes, and what goes of it is taken off all. Next to nothing is
left of a caller's bytes once his call is over; those of a bomb make hundreds of others each, some
time after they have been sent, and never a call.
"""

import os
import threading
from collections.abc import Callable

LEAST = 4096
"""Bytes: less than a page is nobody's cost."""

EASED = 0.75
"""The part of the limit that is to be had again by what is ended at once."""

PATIENCE = 0.985
"""What is left, after each look, of what is counted on to go with connections that ended: grpc is
behind with what they have sent, and not all is given back to the system at once."""

HEADERS = 1024
"""Bytes of a call, beside its message, that no caller needs more of: grpc's clients send some 300,
the acknowledgements of what they get among it."""

STILL = 50
"""Looks without a byte, or a change of the memory, after which nothing more is to come."""

GROWN = 8
"""What part of the limit the process has more than at its start to be called grown."""


class Ledger:
    """The connections of a front and what they cost. ``_lock`` guards all of it.

    The costs together are what the process has more than in the beginning, as far as somebody was
    sending when it came. They are kept as parts of ``_scale``, which takes off all of them at once.
    """

    def __init__(self, limit: int, used: Callable[[], int]) -> None:
        """``limit`` is in bytes of what ``used`` returns, the process's memory."""
        self._limit = limit
        self._used = used
        self._lock = threading.Lock()
        self._first = self._before = used()
        self._costs: dict[int, float] = {}
        self._sent: dict[int, int] = {}
        self._still = 0
        self._scale = 1.0
        self._leaving = 0.0
        self._sent_by_ended = 0.0

    def open(self, number: int) -> None:
        """Begin to count for a connection; a later one has a higher ``number``."""
        with self._lock:
            self._costs[number] = 0.0

    def close(self, number: int) -> None:
        """Forget a connection, whose memory is to go by and by."""
        with self._lock:
            self._leaving += self._costs.pop(number, 0.0) * self._scale
            self._sent_by_ended += self._sent.pop(number, 0)

    def note(self, number: int, count: int) -> None:
        """Note that a connection has sent ``count`` bytes."""
        with self._lock:
            self._still = 0
            if number in self._costs:
                self._sent[number] = self._sent.get(number, 0) + count

    def note_call(self, number: int, size: int) -> None:
        """Note that a call of a connection's is over, whose request had ``size`` bytes."""
        with self._lock:
            left = self._sent.get(number, 0) - size - HEADERS
            if left > 0:
                self._sent[number] = left
            else:
                self._sent.pop(number, None)

    def costs(self) -> dict[int, float]:
        """Return the bytes that each connection costs."""
        with self._lock:
            return {number: cost * self._scale for number, cost in self._costs.items()}

    def look(self) -> list[int]:
        """Take in how the memory has changed; return the connections that are to be ended now.

        They are those that cost most, and of two that cost the same the one that came later. One
        that costs far less than the others is not among them.
        """
        with self._lock:
            used = self._used()
            change = used - self._before
            self._share(change)
            self._before = used
            self._still = 0 if abs(change) > LEAST else self._still + 1
            excess = used - self._leaving - self._limit
            left = self._leaving * PATIENCE
            self._leaving = left if left > LEAST else 0.0
            self._sent_by_ended *= PATIENCE
            return self._dearest(excess + self._limit * (1 - EASED)) if excess > 0 else []

    def is_quiet(self) -> bool:
        """Tell whether nobody has sent anything for a while, nor anything is awaited to go."""
        with self._lock:
            return self._still >= STILL and not self._leaving

    def has_grown(self) -> bool:
        """Tell whether the process has much more memory than at its start."""
        with self._lock:
            return self._before - self._first > self._limit / GROWN

    def is_easing(self) -> bool:
        """Tell whether memory is to go with connections that ended."""
        with self._lock:
            return self._leaving > 0

    def _share(self, change: float) -> None:
        """Put a change of the memory down to those who sent, or take it off all."""
        if change < 0:
            gone = min(-change, self._leaving)
            self._leaving -= gone
            known = sum(self._costs.values()) * self._scale
            if known > 0:
                self._scale *= max(0.0, known + change + gone) / known
            if self._scale < 1e-6:  # too small a part to count in
                self._costs = {number: cost * self._scale for number, cost in self._costs.items()}
                self._scale = 1.0
            return
        sent = sum(self._sent.values()) + self._sent_by_ended
        for number, count in self._sent.items():
            self._costs[number] += change * count / sent / self._scale
        if sent:
            self._leaving += change * self._sent_by_ended / sent

    def _dearest(self, excess: float) -> list[int]:
        """Return who is to go for so many bytes."""
        found: list[int] = []
        costly = sorted(
            (-cost * self._scale, -number)
            for number, cost in self._costs.items()
            if cost * self._scale >= LEAST
        )
        least = -sum(cost for cost, _ in costly) / len(costly) / 2 if costly else 0.0
        for cost, number in costly:
            if excess <= 0 or -cost < least:
                break
            found.append(-number)
            excess += cost
        return found


class OwnMemory:
    """Tells how much memory this process has in use, after all files are out of its reach, too."""

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> int:
        """Return the bytes that are resident (proc_pid_statm(5))."""
        return int(os.pread(self._file, 128, 0).split()[1]) * self._page
