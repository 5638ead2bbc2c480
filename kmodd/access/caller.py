# SPDX-License-Identifier: Apache-2.0
"""Who asks: the socket that a request came in by, and what its callers may do."""

import enum
from dataclasses import dataclass


class Role(enum.StrEnum):
    """What a socket's callers may do, each role more than the one before it.

    An observer looks. A loader also loads and unloads the modules of an allow-list. An admin does
    everything, and on a real kernel that is to be root.
    """

    OBSERVER = "observer"
    LOADER = "loader"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request.

    ``socket`` is the path of the socket it came in by; empty for what the daemon does of its own
    accord. ``allow`` and ``deny`` are patterns of module names for a loader, and ``parameters``
    tells whether it may give modules any.
    """

    socket: str = ""
    role: Role = Role.ADMIN
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    parameters: bool = False

    def may_no_more_than(self, other: "Caller") -> bool:
        """Tell whether it is sure that ``other`` may do all that this one may."""
        if self.role is not other.role:
            return tuple(Role).index(self.role) < tuple(Role).index(other.role)
        return (
            set(self.allow) <= set(other.allow)
            and set(self.deny) >= set(other.deny)
            and self.parameters <= other.parameters
        )

    def __str__(self) -> str:
        return f"{self.role} at {self.socket}" if self.socket else "kmodd"


DAEMON = Caller()
"""The daemon itself."""
