# SPDX-License-Identifier: Apache-2.0
"""Connections that another user's process has made, and that the test goes on with.

``python -m tests.support.identities PATH UID GID[,GID...]`` is that process: it connects as that
user, hands the connection over by its standard input, which is a socket, and stays until that is
closed. Root starts it, since only root may be anybody.
"""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PR_SET_DUMPABLE = 4

UNKNOWN_OPTION = 0x7FFFFFFF
"""An option of sockets that no kernel has, in place of one that older ones do not have."""


@contextmanager
def connected_as(
    path: Path, uid: int, gids: Sequence[int], *, through: Sequence[str] = (), stays: bool = True
) -> Iterator[tuple[socket.socket, int]]:
    """Yield a connection to ``path`` by a process of that user and those groups, and its pid.

    ``through`` are words of a command that runs it as its last words; then the pid is that
    command's. Unless it ``stays`` the process has ended by then.
    """
    ours, its = socket.socketpair()
    command = [*through, sys.executable, "-m", "tests.support.identities"]
    process = subprocess.Popen(
        [*command, str(path), str(uid), ",".join(map(str, gids))],
        stdin=its.fileno(),
        cwd=Path(__file__).parents[2],
    )
    its.close()
    with ours:
        try:
            _, (connected,), _, _ = socket.recv_fds(ours, 1, 1)
            with socket.socket(fileno=connected) as found:
                if not stays:
                    ours.shutdown(socket.SHUT_WR)
                    process.wait(30)
                yield found, process.pid
        finally:
            ours.close()
            assert process.wait(30) == 0


def main(path: str, uid: str, groups: str) -> None:
    """Be somebody else, and connect."""
    gids = list(map(int, groups.split(",")))
    os.setgroups(gids)
    os.setresgid(gids[0], gids[0], gids[0])
    os.setresuid(int(uid), int(uid), int(uid))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # as a program that this user has started is
    with socket.socket(fileno=0) as channel, socket.socket(socket.AF_UNIX) as connecting:
        connecting.connect(path)
        socket.send_fds(channel, [b"."], [connecting.fileno()])
        channel.recv(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
