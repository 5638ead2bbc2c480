# SPDX-License-Identifier: Apache-2.0
"""Who asks: the socket that a request came in by, who made the connection, what that one may do."""

import enum

from kmodd.access.peer import Peer
from kmodd.records import field, record


class Role(enum.StrEnum):
    """What a caller may do, each role more than the one before it.

    Who has none is told whom the daemon takes it for, and no more. An observer looks. A loader also
    loads and unloads the modules of an allow-list. An admin does everything, and on a real kernel
    that is to be root.
    """

    NONE = "none"
    OBSERVER = "observer"
    LOADER = "loader"
    ADMIN = "admin"

    def at_most(self, most: "Role") -> "Role":
        """Return the lesser of this role and ``most``."""
        roles = tuple(Role)
        return min(self, most, key=roles.index)


@record
class Caller:
    """The origin of a request.

    ``socket`` is the path of the socket it came in by; empty for what the daemon does of its own
    accord. ``allow`` and ``deny`` are patterns of module names for a loader, and ``parameters``
    tells whether it may give modules any. ``peer`` is who made the connection, None for the daemon
    itself. Two callers are equal where the same is allowed to them at the same socket, whoever they
    are.
    """

    socket: str = ""
    role: Role = Role.ADMIN
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    parameters: bool = False
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
