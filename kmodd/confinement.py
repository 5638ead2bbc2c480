# SPDX-License-Identifier: Apache-2.0
"""What a process that reads strangers' bytes gives up beforehand, each right by itself.

Every function raises OSError where the system does not let it be done: a container, a service's own
filter or a user who is not root leave some undone, and the others count all the same. They are for
a process with one thread: some rights are a thread's own affair.
"""

import ctypes
import errno
import os
import resource
import struct
from contextlib import suppress

CAPABILITIES_MAX = 64
"""Capabilities that there can be: the sets are of 64 bits (capabilities(7))."""

EMPTY_DIRECTORY = "/proc/self/fdinfo"
"""A directory that is on every system, belongs to this process, and leads nowhere."""

_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION = 0x20080522
"""What the C library's headers call so (sched.h, linux/prctl.h, linux/capability.h)."""

_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
"""Calls that have the same number on every architecture (asm-generic/unistd.h)."""

_LANDLOCK_VERSION = 1
_LANDLOCK_RIGHTS = (0, 13, 14, 15, 15, 16)
"""How many rights to files each version of Landlock knows, the last of these and later ones as
many as the last (linux/landlock.h)."""

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
libc.syscall.restype = ctypes.c_long


def strangers(pid: int) -> tuple[int, int]:
    """Return numbers of users that are nobody's, for the process ``pid``; the better one first.

    From 0x70000000 on there are neither users nor subordinate ones of a container (systemd's
    UIDS-GIDS, login.defs(5)), and no two processes have the same pid: nobody else is of that user,
    not even another kernel's process. 65534 would be shared with others, and with all files whose
    owner has no number here. Where a container has no more than 65,536 users, 65520 to 65533 are
    nobody's.
    """
    return 0x70000000 + pid, 65520 + pid % 14


def bound(kind: int, most: int) -> None:
    """Let this process have at most ``most`` of ``kind`` (getrlimit(2)); a lower bound stays.

    Raises OSError.
    """
    bounds = [most, *resource.getrlimit(kind)]
    least = min(each for each in bounds if each != resource.RLIM_INFINITY)
    try:
        resource.setrlimit(kind, (least, least))
    except ValueError as error:  # what Python makes of EPERM, for one
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from error


def leave_network() -> None:
    """Have a network with nothing in it, but for a loopback device that is down."""
    check(libc.unshare(_CLONE_NEWNET))


def leave_files() -> None:
    """Have an empty root, in which no name leads to a file (chroot(2))."""
    os.chroot(EMPTY_DIRECTORY)
    os.chdir("/")


def open_no_files() -> None:
    """Have no file be opened, made or changed by its name from now on (landlock(7)).

    What is open stays open, and sockets can be connected to.
    """
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 0:
        check(version)
    rights = _LANDLOCK_RIGHTS[min(version, len(_LANDLOCK_RIGHTS) - 1)]
    ruleset_attr = struct.pack("=Q", (1 << rights) - 1)
    size = ctypes.c_size_t(len(ruleset_attr))
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ruleset_attr, size, 0)
    if ruleset < 0:
        check(ruleset)
    try:
        check(libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def empty_bounding_set() -> None:
    """Have no program give this process a capability."""
    for capability in range(CAPABILITIES_MAX):
        has = libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0)
        if has > 0:
            _prctl(_PR_CAPBSET_DROP, capability)
        elif has < 0 and ctypes.get_errno() == errno.EINVAL:  # past the last that there is
            break
        else:
            check(has)


def leave_groups() -> None:
    """Be in no group but one's own."""
    os.setgroups([])


def become_a_stranger(threads: int) -> None:
    """Become a user who is nobody, and have at most so many ``threads``, which count by user."""
    best, other = strangers(os.getpid())
    try:
        os.setresgid(best, best, best)
        os.setresuid(best, best, best)
    except OSError as error:
        if error.errno != errno.EINVAL:  # no such number in this user namespace
            raise
        os.setresgid(other, other, other)
        os.setresuid(other, other, other)
    bound(resource.RLIMIT_NPROC, threads)


def drop_capabilities() -> None:
    """Empty the ambient, permitted, effective and inheritable sets, unless they are."""
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(24)
    if not libc.capget(head, sets) and not any(sets.raw):  # then there are no ambient ones either
        return
    with suppress(OSError):  # Linux before 4.3 has no ambient set
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    check(libc.capset(head, bytes(24)))


def gain_nothing() -> None:
    """Have no program give this process anything, which a filter is allowed for."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def hide() -> None:
    """Have no other process of this user trace this one or read its memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, argument: int) -> None:
    check(libc.prctl(option, argument, 0, 0, 0))


def check(failed: int) -> None:
    """Raise the OSError of a call of the C library's, where it has ``failed``."""
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
