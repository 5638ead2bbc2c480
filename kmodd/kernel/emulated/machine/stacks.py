# SPDX-License-Identifier: Apache-2.0
"""Which stacks are free."""

STACKS, STACKS_KEPT = 256, 128
"""How many stacks there are, and how many of them no task gets: system calls have them."""


class Stacks:
    """The numbers of free stacks, low ones for system calls; for who holds the machine."""

    def __init__(self) -> None:
        self._free = list(range(STACKS))

    def take(self) -> int:
        """Return a stack for a system call."""
        return self._free.pop(0)

    def give(self, number: int) -> None:
        """Take back the stack of a system call."""
        self._free.insert(0, number)

    def take_for_task(self) -> int | None:
        """Return a stack for a task, None where there is none left for it."""
        return self._free.pop() if len(self._free) > STACKS_KEPT else None

    def give_of_task(self, number: int) -> None:
        """Take back the stack of a task."""
        self._free.append(number)
