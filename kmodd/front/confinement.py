# SPDX-License-Identifier: Apache-2.0
"""What the front gives up before it reads a byte of a stranger's.

It keeps what it needs to serve connections that it is given: threads, memory, sockets of its own.
"""

import os
import resource
from functools import partial

from kmodd import confinement, system_calls
from kmodd.system_calls import IF_EQUAL, Only

THREADS_MAX = 16384
"""Threads that a front may have: one for each call, and one more for each that uploads."""

CAPABILITIES = "no capabilities"
"""The step that a front of root's must not leave out."""

OPEN_FILES = 65536
"""Descriptors that it may have: three for each connection."""


CALLS = (
    *("recvmsg", "sendmsg", "sendto", "recvfrom", "read", "write", "readv", "writev", "close"),
    *("epoll_wait", "epoll_pwait", "epoll_ctl", "epoll_create1", "poll", "ppoll", "eventfd2"),
    *("bind", "connect", "listen", "accept4", "shutdown", "getsockname", "getpeername"),
    *("getsockopt", "setsockopt", "pread64"),
    *("sched_getparam", "sched_getscheduler"),  # whose refusal grpc's locks complain of
    *system_calls.THREADED,
)
"""The system calls that are left to it whatever their arguments."""

_AF_UNIX = 1
_FIONBIO = 0x5421
_F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC = 1, 2, 3, 4, 1030
"""What the headers call so (bits/socket.h, asm-generic/ioctls.h, linux/fcntl.h)."""

ONLY = (
    Only("socket", 0, IF_EQUAL, (_AF_UNIX,)),
    Only("ioctl", 1, IF_EQUAL, (_FIONBIO,)),
    Only("fcntl", 1, IF_EQUAL, (_F_GETFL, _F_SETFL, _F_GETFD, _F_SETFD, _F_DUPFD_CLOEXEC)),
)
"""And those that depend on an argument."""


def give_up_privileges(memory: int) -> list[str]:
    """Give up all rights, and have at most ``memory`` bytes of data.

    Returns what was refused, a sentence each. There must be no other thread.
    """
    refused = []
    for what, step in (
        ("a network of its own", confinement.leave_network),
        ("an empty bounding set", confinement.empty_bounding_set),
        ("no groups", confinement.leave_groups),
        ("a user of its own", partial(confinement.become_a_stranger, THREADS_MAX)),
        (CAPABILITIES, confinement.drop_capabilities),
        ("no new privileges", confinement.gain_nothing),
        ("no traces", confinement.hide),
        ("no files", confinement.open_no_files),
        ("a bound on memory", partial(confinement.bound, resource.RLIMIT_DATA, memory)),
        ("no picture of a crash", partial(confinement.bound, resource.RLIMIT_CORE, 0)),
        ("no growing files", partial(confinement.bound, resource.RLIMIT_FSIZE, 0)),
        ("a bound on descriptors", partial(confinement.bound, resource.RLIMIT_NOFILE, OPEN_FILES)),
        ("a filter of system calls", _filter_system_calls),
    ):
        try:
            step()
        except OSError as error:
            refused.append(f"{what}: {error.strerror}")
    return refused


def _filter_system_calls() -> None:
    system_calls.leave_only(CALLS, (*ONLY, *system_calls.of_threads(os.getpid())))
