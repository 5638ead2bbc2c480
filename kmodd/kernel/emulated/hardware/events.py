# SPDX-License-Identifier: Apache-2.0
"""Why the processor has stopped."""

from dataclasses import dataclass
from typing import NamedTuple


class Trapped(NamedTuple):
    """Code has called the kernel function in the slot at ``slot``."""

    slot: int
    arguments: tuple[int, ...]
    saved: tuple[int, ...]

    @property
    def stack(self) -> int:
        """Where the return address is; behind it are the arguments beyond the sixth."""
        return self.saved[0]


class Returned(NamedTuple):
    """The called function has returned."""

    value: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """A slice of instructions is over; ``at`` is the next one."""

    at: int


@dataclass(frozen=True, slots=True)
class Faulted:
    """The processor cannot go on at ``at``.

    ``access`` is read, write or execute for a fault at ``address``, and "" for an exception of
    ``vector``.
    """

    at: int
    access: str = ""
    address: int = 0
    is_protection: bool = False
    vector: int = 13


Event = Trapped | Returned | Ticked | Faulted
