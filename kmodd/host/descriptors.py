# SPDX-License-Identifier: Apache-2.0
"""How many files this process may have open, and what of that is for connections."""

import os
import resource

MOST = 1 << 20
"""Descriptors that are asked for at most: a machine may allow a thousand times as many."""

SPARE = 512
"""Descriptors for everything that is not a connection: trees are read with a few threads, and each
command of modprobe.d has three pipes."""


PER_CONNECTION = 3
"""Descriptors that a connection takes."""


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns it (getrlimit(2)).

    The soft limit is for programs that use select(2), which has no room for more than 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else MOST


def connections(wanted: int, sockets: int) -> int:
    """Return how many connections each of ``sockets`` may have, at most ``wanted``.

    All of them together leave descriptors for the rest, so that a crowd at one socket keeps
    nobody from another. Each takes three: the client's, and both ends of the one to the server.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (limit - SPARE) // (PER_CONNECTION * sockets)))


def entries(directory: str) -> int:
    """Return how many entries a directory has; of our open files, the one for looking is one."""
    try:
        return len(os.listdir(directory))
    except OSError:  # /proc is not there, or all descriptors are taken
        return 1
