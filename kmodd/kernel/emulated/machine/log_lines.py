# SPDX-License-Identifier: Apache-2.0
"""Text on its way into the log, whose lines come in pieces (printk and pr_cont)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kmodd.kernel.emulated.reporting.log import Level

PIECE_MAX = 1024
"""Characters that are kept of a line that has no end yet."""


class LogLines:
    """Hands whole lines to ``printk``; for who holds the machine.

    A line is continued by who has begun it, if nobody else has said anything since.
    """

    def __init__(self, printk: Callable[[Level, str], None]) -> None:
        self._printk = printk
        self._speaker: object = None
        self._partial: tuple[object, Level, str] | None = None

    @contextmanager
    def spoken_by(self, speaker: object) -> Iterator[None]:
        """Have what is logged meanwhile be somebody's: a task's, or an interrupt's."""
        before, self._speaker = self._speaker, speaker
        try:
            yield
        finally:
            self._speaker = before

    def write(self, level: Level, text: str, *, is_continuation: bool = False) -> None:
        """Log text; what does not end in a line feed waits for its continuation."""
        if is_continuation and self._partial is not None and self._partial[0] is self._speaker:
            _, level, before = self._partial
            text = before + text
            self._partial = None
        elif text:
            self.flush()
        if text.endswith("\n"):
            self._printk(level, text)
        elif text:
            self._partial = self._speaker, level, text[:PIECE_MAX]

    def flush(self) -> None:
        """Log what waits for a continuation."""
        if self._partial is not None:
            (_, level, text), self._partial = self._partial, None
            self._printk(level, text)
