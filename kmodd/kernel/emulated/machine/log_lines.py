# SPDX-License-Identifier: Apache-2.0
"""Text on its way into the log, whose lines come in pieces (printk and pr_cont)."""

from collections.abc import Callable

from kmodd.kernel.emulated.reporting.log import Level

PIECE_MAX = 1024
"""Characters that are kept of a line that has no end yet."""


class LogLines:
    """Hands whole lines to ``printk``; for who holds the machine."""

    def __init__(self, printk: Callable[[Level, str], None]) -> None:
        self._printk = printk
        self._partial: tuple[Level, str] | None = None

    def write(self, level: Level, text: str, *, is_continuation: bool = False) -> None:
        """Log text; what does not end in a line feed waits for its continuation."""
        if is_continuation and self._partial is not None:
            level, before = self._partial
            text = before + text
            self._partial = None
        else:
            self.flush()
        if text.endswith("\n"):
            self._printk(level, text)
        elif text:
            self._partial = level, text[:PIECE_MAX]

    def flush(self) -> None:
        """Log what waits for a continuation."""
        if self._partial is not None:
            (level, text), self._partial = self._partial, None
            self._printk(level, text)
