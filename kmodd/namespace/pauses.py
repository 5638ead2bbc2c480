# SPDX-License-Identifier: Apache-2.0
"""How long to wait before something is done to a module again, so that nobody is fought with."""

from dataclasses import dataclass

LONGEST = 300
"""How many times the first pause none is longer than: each is twice the last."""


@dataclass(slots=True)
class _Row:
    count: int
    last: float


class Pauses:
    """The moves of late, by module. Times are in seconds of time.monotonic(); for one thread.

    After a quiet time of twice the longest pause the next move is the first again.
    """

    def __init__(self, first: float) -> None:
        """``first`` is the pause between the first move and the second, in seconds."""
        self._first = first
        self._longest = LONGEST * first
        self._rows: dict[str, _Row] = {}

    def note(self, name: str, now: float) -> None:
        """Note that something is done to a module ``now``."""
        row = self._rows.get(name)
        if row is None or now - row.last > 2 * self._longest:
            row = self._rows[name] = _Row(0, now)
        row.count += 1
        row.last = now

    def due(self, name: str) -> float:
        """Return when something may be done to a module again; in the past for now."""
        row = self._rows.get(name)
        if row is None:
            return float("-inf")
        return row.last + min(self._first * 2.0 ** min(row.count - 1, 32), self._longest)

    def forget(self, name: str) -> None:
        """Let something be done to a module at once."""
        self._rows.pop(name, None)
