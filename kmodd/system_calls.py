# SPDX-License-Identifier: Apache-2.0
"""The system calls that are left to a process that reads strangers' bytes: a seccomp filter.

What is not named to it is refused with EPERM. Calls with a number past those that were known here
are refused with ENOSYS, so that a C library that tries a new one takes the old.

It is a program of classic BPF (seccomp(2), linux/filter.h, linux/bpf_common.h), which the kernel
runs with each call on ``struct seccomp_data``: the call's number, the architecture that it is made
for, and its arguments. It cannot follow a pointer.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from typing import Final

from kmodd.confinement import check, libc
from kmodd.records import record

ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000
"""With an errno in the lower half."""
KILL_PROCESS: Final = 0x80000000
"""What a filter returns (linux/seccomp.h)."""

IF_EQUAL: Final = 0x15
IF_ANY_BIT: Final = 0x45
"""Conditions: BPF_JMP|BPF_K with BPF_JEQ and BPF_JSET."""

_LOAD, _IF_AT_LEAST, _RETURN = 0x20, 0x35, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_K|BPF_JGE, and BPF_RET|BPF_K."""

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Where they are in ``struct seccomp_data``; an argument has eight bytes, the lower half first."""

_NEWEST = 450
"""The last call that was known here, set_mempolicy_home_node(2): no two architectures differ in
numbers as high as that. Those of x32, which are calls of x86-64 with bit 30 set, are past it."""

_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
"""What linux/seccomp.h calls so."""


@record
class Architecture:
    """An architecture: its number in audit's table, and its column in the table of calls."""

    audit: int
    column: int


ARCHITECTURES = {
    ("x86_64", 64): Architecture(0xC000003E, 0),
    ("aarch64", 64): Architecture(0xC00000B7, 1),
}
"""By what uname(2) calls the machine and the bits of this process: AUDIT_ARCH_X86_64 and
AUDIT_ARCH_AARCH64 (linux/audit.h)."""

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # Sockets.
    "socket": (41, 198),
    "connect": (42, 203),
    "accept4": (288, 242),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "bind": (49, 200),
    "listen": (50, 201),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "setsockopt": (54, 208),
    # What is open.
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "close": (3, 57),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    # Waiting for it.
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "poll": (7, None),
    "ppoll": (271, 73),
    "eventfd2": (290, 19),
    # Memory.
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    # Threads, and what they wait for.
    "clone": (56, 220),
    "clone3": (435, 435),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "prctl": (157, 167),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Signals, as the C library blocks them around a thread's start, and takes a crash.
    "rt_sigprocmask": (14, 135),
    "rt_sigaction": (13, 134),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "tgkill": (234, 131),
    # The time, where the system does not have it in memory, and random numbers.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    # The filter itself.
    "seccomp": (317, 277),
}
"""The calls that a filter can allow, and two that all filters know of, on x86-64 and on aarch64
(unistd_64.h, asm-generic/unistd.h)."""

_CLONE_THREAD = 0x00010000
_PR_SET_NAME = 15


@record
class Only:
    """A call that is allowed where an argument, which is an int, fulfils a condition: it equals
    one of ``values``, or has a bit of one of them."""

    name: str
    argument: int
    condition: int
    values: tuple[int, ...]


def of_threads(pid: int) -> tuple[Only, ...]:
    """Return what a process with threads needs beside the calls of ``THREADED``.

    It may make a thread, but no process, name its threads, and send signals to itself (abort(3)).
    """
    return (
        Only("clone", 0, IF_ANY_BIT, (_CLONE_THREAD,)),
        Only("prctl", 0, IF_EQUAL, (_PR_SET_NAME,)),
        Only("tgkill", 0, IF_EQUAL, (pid,)),
    )


THREADED = (
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk"),
    *("futex", "set_robust_list", "rseq", "gettid", "getpid", "sched_yield", "sched_getaffinity"),
    *("clock_nanosleep", "nanosleep", "restart_syscall", "exit", "exit_group"),
    *("rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "sigaltstack"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom"),
)
"""What a process makes of calls that has memory and threads, whatever their arguments."""


def architecture() -> Architecture | None:
    """Return what this process runs on, None where its calls are not known here."""
    return ARCHITECTURES.get((platform.machine(), struct.calcsize("P") * 8))


def filter_program(on: Architecture, allowed: Iterable[str], only: Iterable[Only]) -> bytes:
    """Return a filter: an array of ``struct sock_filter``.

    It leaves the calls ``allowed``, and those in ``only`` on their conditions.
    """
    numbers = [NUMBERS[name][on.column] for name in allowed]
    clone3 = NUMBERS["clone3"][on.column] or 0
    parts = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(IF_EQUAL, on.audit, 1, 0),
        _return(KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_IF_AT_LEAST, _NEWEST + 1, 0, 1),
        _return(REFUSE | errno.ENOSYS),
        # Its arguments are behind a pointer; where it is missing, the C library takes clone(2).
        _instruction(IF_EQUAL, clone3, 0, 1),
        _return(REFUSE | errno.ENOSYS),
        *(_allow(number) for number in numbers if number is not None),
        *(_allow_only(NUMBERS[each.name][on.column], each) for each in only),
        _return(REFUSE | errno.EPERM),
    ]
    return b"".join(parts)


def put_into_force(on: Architecture, program: bytes) -> None:
    """Have this thread, and those that it makes, go by a filter; raises OSError.

    That takes no new privileges first, or CAP_SYS_ADMIN (seccomp(2)).
    """
    filters = ctypes.create_string_buffer(program)
    # struct sock_fprog
    at = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(filters))
    )
    seccomp = ctypes.c_long(NUMBERS["seccomp"][on.column] or 0)
    # Linux before 5.16 slows a filtered process down lest it read its own memory by speculation.
    for flags in (_SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0):
        failed = libc.syscall(seccomp, _SECCOMP_SET_MODE_FILTER, flags, at)
        if not failed or ctypes.get_errno() != errno.EINVAL:
            break
    check(failed)


def leave_only(allowed: Iterable[str], only: Iterable[Only]) -> None:
    """Have a filter in force with these; raises OSError where there is none for this machine."""
    on = architecture()
    if on is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    put_into_force(on, filter_program(on, allowed, only))


def _allow(number: int) -> bytes:
    return _instruction(IF_EQUAL, number, 0, 1) + _return(ALLOW)


def _allow_only(number: int | None, only: Only) -> bytes:
    """Allow a call where the lower half of an argument fulfils the condition."""
    if number is None:
        return b""
    body = [_instruction(_LOAD, _ARGUMENTS + 8 * only.argument)]
    for value in only.values:
        body += [_instruction(only.condition, value, 0, 1), _return(ALLOW)]
    body.append(_return(REFUSE | errno.EPERM))
    return _instruction(IF_EQUAL, number, 0, len(body)) + b"".join(body)


def _return(what: int) -> bytes:
    return _instruction(_RETURN, what)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return a ``struct sock_filter``; the jumps are over so many instructions."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
