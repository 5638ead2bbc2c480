# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end of a Unix socket: asked of the kernel, when the connection is taken.

User and groups are those of the moment of connect(2), whoever has the number of that process by
now. The process itself is known for certain where the kernel hands out a descriptor of it (Linux
6.5): it cannot be mistaken for one that got the number later. An older kernel only has the number,
and then a process of another user's is not taken for it; one of the same user's that got the number
between the two calls could be.
"""

import contextlib
import errno
import os
import signal
import socket
import struct

from kmodd.access.peer import COMMAND_MAX, Peer, owner_of

SO_PEERGROUPS, SO_PEERPIDFD = 59, 77
"""Options of Linux that the library has no name for (include/uapi/asm-generic/socket.h)."""

GROUPS_MAX = 256
"""Groups that are asked of the kernel: the library takes no more bytes of an option."""

_CREDENTIALS = struct.Struct("iII")


def peer_of(connected: socket.socket) -> Peer:
    """Return who made the connection whose accepted end is ``connected``; raises OSError."""
    pid, uid, gid = _CREDENTIALS.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    gids = _groups(connected) | {gid}
    process = _process(connected, pid, uid)
    if process < 0:
        return Peer(uid=uid, gids=gids)
    try:
        return _described(pid, uid, gids, process)
    finally:
        os.close(process)


def uid_of(connected: socket.socket) -> int:
    """Return the user at the other end, who made the connection, or listens there."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def tell_senders(receiving: socket.socket, *, wanted: bool = True) -> None:
    """Have the kernel tell with each message who has sent it, or do so no more."""
    receiving.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, wanted)


def received_from(receiving: socket.socket, size: int) -> tuple[bytes, Peer]:
    """Return a message of at most ``size`` bytes, and who has sent it; raises OSError.

    It is the one who sends, and not who made the socket: a service manager makes it for another.
    """
    data, ancillary, _, _ = receiving.recvmsg(size, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, told in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, gid = _CREDENTIALS.unpack(told)
            process = _opened(pid, uid) if pid else -1
            if process < 0:
                return data, Peer(uid=uid, gids=frozenset((gid,)))
            try:
                return data, _described(pid, uid, frozenset((gid,)), process)
            finally:
                os.close(process)
    raise OSError(errno.ENODATA, "nobody is said to have sent it")


def own_unit() -> str:
    """Return the unit that this process is in, "" for none."""
    return owner_of(_control_group(os.getpid()))[0]


def _groups(connected: socket.socket) -> frozenset[int]:
    """Return the other groups; none of them where there are more than can be asked for."""
    try:
        found = connected.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * GROUPS_MAX)
    except OSError:
        return frozenset()
    return frozenset(struct.unpack(f"{len(found) // 4}I", found))


def _process(connected: socket.socket, pid: int, uid: int) -> int:
    """Return a descriptor of the process (pidfd_open(2)), -1 where it cannot be told."""
    if pid == 0:  # outside of our pid namespace
        return -1
    try:
        return connected.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:  # of an older kernel
            return -1
    return _opened(pid, uid)


def _opened(pid: int, uid: int) -> int:
    """Return a descriptor of the process with a number, -1 where it is another user's."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return -1
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}").st_uid == uid:
            return process
    os.close(process)
    return -1


def _described(pid: int, uid: int, gids: frozenset[int], process: int) -> Peer:
    """Return what /proc says of a process, and nothing where it has ended by then."""
    try:
        started, command = _stat(pid)
        unit, container = owner_of(_control_group(pid))
        nested = _is_nested(pid)
    except (OSError, ValueError):
        return Peer(uid=uid, gids=gids)
    try:
        signal.pidfd_send_signal(process, 0)
    except PermissionError:
        pass  # it is there, and somebody else's
    except OSError:
        return Peer(uid=uid, gids=gids)
    return Peer(
        uid=uid,
        gids=gids,
        pid=pid,
        started=started,
        command=command,
        unit=unit,
        container=container,
        is_contained=bool(container) or nested,
    )


def _stat(pid: int) -> tuple[int, str]:
    """Return when a process started, in ticks since the boot, and its name (proc_pid_stat(5))."""
    name, _, rest = _read(pid, "stat").rpartition(")")
    return int(rest.split()[19]), name.partition("(")[2][:COMMAND_MAX]


def _control_group(pid: int) -> str:
    """Return the path of a process's control group; of several hierarchies systemd's."""
    found = ""
    for line in _read(pid, "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or controllers == "name=systemd":
            found = path if path != "/" or not found else found
    return found


def _is_nested(pid: int) -> bool:
    """Tell whether a process is in another pid namespace than ours, which then is within ours."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) > 2
    return False


def _read(pid: int, name: str) -> str:
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode(errors="replace")
    finally:
        os.close(fd)
