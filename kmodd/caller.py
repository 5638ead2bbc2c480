# SPDX-License-Identifier: Apache-2.0
"""Who asks: the socket that a request came in by, and the role that this socket carries."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request.

    ``socket`` is the path of the socket it came in by; empty for what the daemon does of its own
    accord. ``role`` is what that socket's callers may do: ``observer``, ``loader`` or ``admin``.
    """

    socket: str = ""
    role: str = "admin"


DAEMON = Caller()
"""The daemon itself."""
