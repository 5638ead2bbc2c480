# SPDX-License-Identifier: Apache-2.0
"""Who asks: the socket that a request came in by, who made the connection, what that one may do."""

import enum

from kmodd.access.peer import Peer
from kmodd.records import field, record


class Role(enum.StrEnum):
    """What a caller may do.

    Who has none is told whom the daemon takes it for, and no more. An observer looks. A loader also
    loads and unloads the modules of an allow-list. A steward looks, and says how the modules of
    such a list are to be, as a source of wishes of its own. An admin does everything, and on a real
    kernel that is to be root.
    """

    NONE = "none"
    OBSERVER = "observer"
    STEWARD = "steward"
    LOADER = "loader"
    ADMIN = "admin"

    def at_most(self, most: "Role") -> "Role":
        """Return what is left of this role where ``most`` is the most that there is.

        That may be a loader or a steward where it is a loader, and no loader where it is a steward.
        """
        if (self, most) == (Role.LOADER, Role.STEWARD):
            return Role.OBSERVER
        roles = tuple(Role)
        return min(self, most, key=roles.index)

    def has(self, least: "Role") -> bool:
        """Tell whether it may do all that ``least`` may.

        Of a loader and a steward neither may do what the other may.
        """
        apart = {Role.LOADER, Role.STEWARD}
        return least.at_most(self) is least and {self, least} != apart


@record
class Caller:
    """The origin of a request.

    ``socket`` is the path of the socket it came in by; empty for what the daemon does of its own
    accord. ``allow`` and ``deny`` are patterns of module names for a loader and a steward, and
    ``parameters`` tells whether it may give modules any. ``source`` is what a steward's source of
    wishes is called. ``peer`` is who made the connection, None for the daemon itself. Two callers
    are equal where the same is allowed to them at the same socket, whoever they are.
    """

    socket: str = ""
    role: Role = Role.ADMIN
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    parameters: bool = False
    source: str = ""
    peer: Peer | None = field(default=None, compare=False)

    @property
    def identity(self) -> str:
        """Whom rates are counted for: a user at a socket; empty for the daemon itself."""
        if not self.socket:
            return ""
        return self.socket if self.peer is None else f"{self.socket} (uid {self.peer.uid})"

    def __str__(self) -> str:
        return f"{self.role} at {self.socket}" if self.socket else "kmodd"


DAEMON = Caller()
"""The daemon itself."""
