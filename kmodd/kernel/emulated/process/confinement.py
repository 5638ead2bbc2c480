# SPDX-License-Identifier: Apache-2.0
"""What the process of the emulated kernel gives up before it is shown a module.

It runs unknown code in a library that is written in C. Should that code ever get out of the
emulated machine, it is to find a process that can do nothing but talk with its daemon. Each step is
done as far as the system lets it be done: a container, a service's own filter or a user who is not
root leave some of them undone, and the others count all the same.
"""

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress

from kmodd.kernel.emulated.process.system_call_filter import (
    SECCOMP,
    architecture,
    filter_program,
)

ADDRESS_SPACE_MAX = 8 << 30
"""Bytes of memory that the kernel's process may map: a module may be 512 MiB, and compressed."""

THREADS_MAX = 8192
"""Threads that it may have, and descriptors: one of each for a call. So many stacks have room."""

CAPABILITIES_MAX = 64
"""Capabilities that there can be: the sets are of 64 bits (capabilities(7))."""

EMPTY_DIRECTORY = "/proc/self/fdinfo"
"""A directory that is on every system, belongs to this process, and leads nowhere."""

Undone = list[tuple[int, int]]
"""The steps that were not done, by their place in STEPS, each with the errno of what refused."""

_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION = 0x20080522
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
"""What the C library's headers call so (sched.h, linux/prctl.h, capability.h and seccomp.h)."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_libc.syscall.restype = ctypes.c_long


def give_up_privileges() -> Undone:
    """Give up all rights that this process has, but for the system calls; returns what it kept.

    There must be no other thread: some of it is a thread's own affair.
    """
    return _attempt(range(len(STEPS) - 1))


def give_up_system_calls() -> Undone:
    """Put the filter of system calls into force, which ends all of what is not in it."""
    return _attempt([len(STEPS) - 1])


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


def _attempt(places: Iterable[int]) -> Undone:
    undone = []
    for place in places:
        try:
            STEPS[place][1]()
        except OSError as error:
            undone.append((place, error.errno or errno.EIO))
    return undone


def _leave_network() -> None:
    """Have a network with nothing in it, but for a loopback device that is down."""
    _check(_libc.unshare(_CLONE_NEWNET))


def _leave_files() -> None:
    os.chroot(EMPTY_DIRECTORY)
    os.chdir("/")


def _empty_bounding_set() -> None:
    """Have no program give this process a capability."""
    for capability in range(CAPABILITIES_MAX):
        has = _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0)
        if has > 0:
            _prctl(_PR_CAPBSET_DROP, capability)
        elif has < 0 and ctypes.get_errno() == errno.EINVAL:  # past the last that there is
            break
        else:
            _check(has)


def _leave_groups() -> None:
    os.setgroups([])


def _become_a_stranger() -> None:
    """Become a user who is nobody, and bound the threads, which the system counts by user."""
    best, other = strangers(os.getpid())
    try:
        os.setresgid(best, best, best)
        os.setresuid(best, best, best)
    except OSError as error:
        if error.errno != errno.EINVAL:  # no such number in this user namespace
            raise
        os.setresgid(other, other, other)
        os.setresuid(other, other, other)
    bound(resource.RLIMIT_NPROC, THREADS_MAX)


def _drop_capabilities() -> None:
    """Empty the ambient, permitted, effective and inheritable sets."""
    with suppress(OSError):  # Linux before 4.3 has no ambient set
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _check(_libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)))


def _gain_nothing() -> None:
    """Have no program give this process anything, which a filter is allowed for."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _hide() -> None:
    """Have no other process of this user trace this one or read its memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _bound_memory() -> None:
    bound(resource.RLIMIT_AS, ADDRESS_SPACE_MAX)


def _bound_files() -> None:
    """Write no files, nor the picture of a crash, and have no more open than calls bring."""
    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_FSIZE, 0)
    bound(resource.RLIMIT_NOFILE, THREADS_MAX)


def _filter_system_calls() -> None:
    on = architecture()
    if on is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    program = ctypes.create_string_buffer(filter_program(on, os.getpid()))
    length = (len(program) - 1) // 8
    # struct sock_fprog
    at = ctypes.create_string_buffer(struct.pack("@HP", length, ctypes.addressof(program)))
    seccomp = SECCOMP[on.column]
    # Linux before 5.16 slows a filtered process down lest it read its own memory by speculation.
    for flags in (_SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0):
        failed = _libc.syscall(ctypes.c_long(seccomp), _SECCOMP_SET_MODE_FILTER, flags, at)
        if not failed or ctypes.get_errno() != errno.EINVAL:
            break
    _check(failed)


def _prctl(option: int, argument: int) -> None:
    _check(_libc.prctl(option, argument, 0, 0, 0))


def _check(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


STEPS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("a network of its own", _leave_network),
    ("no files", _leave_files),
    ("an empty bounding set", _empty_bounding_set),
    ("no groups", _leave_groups),
    ("a user of its own", _become_a_stranger),
    ("no capabilities", _drop_capabilities),
    ("no new privileges", _gain_nothing),
    ("no traces", _hide),
    ("a bound on memory", _bound_memory),
    ("bounds on files", _bound_files),
    ("a filter of system calls", _filter_system_calls),
)
"""What is given up, in this order: each step may take rights that those before it need."""
