# SPDX-License-Identifier: Apache-2.0
"""What is done when the function that is running has returned: callbacks of RCU and the like."""

from collections import deque
from collections.abc import Callable

ROW_MAX = 1000
"""Pieces of work that are done in a row; what is left then is forgotten."""


class DeferredWork:
    """Work in the order in which it was put off; for who holds the machine."""

    def __init__(self) -> None:
        self._pending: deque[Callable[[], None]] = deque()

    def add(self, work: Callable[[], None]) -> None:
        """Have something done later."""
        self._pending.append(work)

    def run(self) -> None:
        """Do what was put off, and what that puts off."""
        for _ in range(ROW_MAX):
            if not self._pending:
                return
            self._pending.popleft()()
        self._pending.clear()

    def clear(self) -> None:
        """Forget what was put off."""
        self._pending.clear()
