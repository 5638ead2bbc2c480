# SPDX-License-Identifier: Apache-2.0
"""How much somebody may send."""

import time


class Allowance:
    """Bytes that may be sent at a rate; a second's worth may come at once."""

    def __init__(self, rate: float) -> None:
        """``rate`` is in bytes a second."""
        self._rate = rate
        self._left = rate
        self._at = time.monotonic()

    def is_full(self) -> bool:
        """Tell whether nothing has been sent for long enough to count no more."""
        return self._left + (time.monotonic() - self._at) * self._rate >= self._rate

    def take(self, count: int) -> float:
        """Take ``count`` bytes, and return in how many seconds there may be more."""
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._at) * self._rate) - count
        self._at = now
        return max(0.0, -self._left / self._rate)
