# SPDX-License-Identifier: Apache-2.0
"""Which socket the daemon is on, and whose daemon may be there. Nothing here imports grpc."""

import os
import sys

from kmodctl.environment import environment
from kmodctl.errors import NoDaemonError, OthersDaemonError
from kmodd.escapes import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping

SOCKET_VARIABLE = "KMODD_SOCKET"
"""Names the daemon's socket in the environment."""

PUBLIC_SOCKET = "/run/kmodd/kmodd.sock"
"""Where the system's daemon listens for everybody. Root does not try it: there he is what he is at
the admin's socket, and the service manager may listen there before there is a daemon, which a load
that the boot needs must not wait for."""

SYSTEM_SOCKETS = ("/run/kmodd/admin/kmodd.sock", PUBLIC_SOCKET, "/run/kmodd/observer/kmodd.sock")
"""Where the system's daemon listens, the more powerful socket first."""

UNMAPPED = 65534
"""What a user is shown as who has no number in the own user namespace, unless a sysctl says
otherwise (user_namespaces(7), kernel.overflowuid)."""

_CREDENTIALS = 12
"""Bytes of a struct ucred: the numbers of a process, a user and a group, of 4 bytes each."""


def candidates(given: str | None, environment: "Mapping[str, str]") -> tuple[str, ...]:
    """Return the sockets to try, in order.

    ``given`` (--socket), else $KMODD_SOCKET, alone; else the user's own daemon where there is
    one, else the system's. For root a $XDG_RUNTIME_DIR of somebody else's, as ``su`` and ``sudo
    -E`` leave it, is none; where a daemon's socket is passed over for that, stderr says so.
    """
    chosen = given or environment.get(SOCKET_VARIABLE)
    if chosen:
        return (os.path.abspath(chosen),)
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        own = os.path.join(runtime, "kmodd", "kmodd.sock")
        if os.path.exists(own) and not _is_passed_over(runtime, own):
            return (own,)
    return tuple(path for path in SYSTEM_SOCKETS if path != PUBLIC_SOCKET or os.geteuid() != 0)


def find_socket(given: str | None = None) -> str:
    """Return the first candidate that somebody listens on.

    Raises NoDaemonError, and OthersDaemonError where the one who listens is not to be asked.
    """
    tried = candidates(given, environment())
    for path in tried:
        if _answers(path):
            return path
    raise NoDaemonError(tried)


def check_listener(connected: int, path: str) -> None:
    """Raise OthersDaemonError where this program may not ask who listens on ``path``.

    ``connected`` is a descriptor of a socket that is connected with it. Whoever listens learns what
    is asked and decides what is answered, so root asks root's daemons alone, and nobody's for
    whom it acts (sudo). Other users ask whom they can reach. The kernel tells who listens
    (SO_PEERCRED in unix(7): whoever called listen).
    """
    if os.geteuid() != 0:
        return
    import _socket  # socket's own import takes longer than a whole search

    same = _socket.socket(fileno=os.dup(connected))
    try:
        _check(same, path)
    finally:
        same.close()


def _check(connected: "_socket.socket", path: str) -> None:
    from _socket import SO_PEERCRED, SOL_SOCKET

    credentials = connected.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS)
    process, user, _ = memoryview(credentials).cast("i")
    user &= 0xFFFFFFFF
    if user == 0 or (user == UNMAPPED and _is_outside(process, _uid_map())):
        return
    raise OthersDaemonError(path, user)


def _is_outside(process: int, uid_map: str) -> bool:
    """Tell whether ``process``, shown as UNMAPPED's, is of who made this user namespace, or above.

    Root of a user namespace is not the machine's root, whose daemon it may be given a socket of.
    That one's user has no number within, unless the map has parted with root's own. Where the
    map has a number UNMAPPED (nobody's), it may be a user within; but no process within is without
    a number in the namespace of processes.

    ``uid_map`` is what /proc/self/uid_map says: lines of the first number within, the first outside
    and how many (user_namespaces(7)).
    """
    ranges = [[int(word) for word in line.split()] for line in uid_map.splitlines()]
    if not ranges or ranges == [[0, 0, 0xFFFFFFFF]]:
        return False  # the machine's own users
    has_roots = any(outside == 0 for _, outside, _ in ranges)
    has_nobody = any(within <= UNMAPPED < within + count for within, _, count in ranges)
    return process == 0 if has_nobody or has_roots else True


def _uid_map() -> str:
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _is_passed_over(runtime: str, own: str) -> bool:
    """Tell whether root leaves alone the socket ``own`` in a $XDG_RUNTIME_DIR; says so."""
    if os.geteuid() != 0:
        return False
    try:
        owner = os.stat(runtime).st_uid
    except OSError:
        return True
    if owner == 0:
        return False
    text = f"kmodctl: {own} is passed over: $XDG_RUNTIME_DIR is user {owner}'s, not root's"
    print(escaped(text), file=sys.stderr)
    return True


def _answers(path: str) -> bool:
    import _socket

    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        probe.connect(path)
        check_listener(probe.fileno(), path)
    except OSError:
        return False
    finally:
        probe.close()
    return True
