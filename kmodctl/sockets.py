# SPDX-License-Identifier: Apache-2.0
"""Which socket the daemon is on. Nothing here imports grpc."""

import os

from kmodctl.errors import NoDaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_VARIABLE = "KMODD_SOCKET"
"""Names the daemon's socket in the environment."""

SYSTEM_SOCKETS = ("/run/kmodd/admin/kmodd.sock", "/run/kmodd/observer/kmodd.sock")
"""Where the system's daemon listens, the more powerful socket first."""


def candidates(given: str | None, environment: "Mapping[str, str]") -> tuple[str, ...]:
    """Return the sockets to try, in order.

    ``given`` (--socket), else $KMODD_SOCKET, alone; else the user's own daemon where there is
    one, else the system's.
    """
    chosen = given or environment.get(SOCKET_VARIABLE)
    if chosen:
        return (os.path.abspath(chosen),)
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        own = os.path.join(runtime, "kmodd", "kmodd.sock")
        if os.path.exists(own):
            return (own,)
    return SYSTEM_SOCKETS


def find_socket(given: str | None = None) -> str:
    """Return the first candidate that somebody listens on; raises NoDaemonError."""
    tried = candidates(given, os.environ)
    for path in tried:
        if _answers(path):
            return path
    raise NoDaemonError(tried)


def _answers(path: str) -> bool:
    import _socket  # socket's own import takes longer than this whole search

    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True
