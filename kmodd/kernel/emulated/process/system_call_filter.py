# SPDX-License-Identifier: Apache-2.0
"""The system calls that are left to the process of the emulated kernel: a seccomp filter.

What is not named here is refused with EPERM: no file is opened, looked up or changed, nothing is
connected to, and no process is begun, traced or sent a signal. Calls with a number past those that
were known here are refused with ENOSYS, so that a C library that tries a new one takes the old.

It is a program of classic BPF (seccomp(2), linux/filter.h, linux/bpf_common.h), which the kernel
runs with each call on ``struct seccomp_data``: the call's number, the architecture that it is made
for, and its arguments. It cannot follow a pointer.
"""

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000
"""With an errno in the lower half."""
KILL_PROCESS: Final = 0x80000000
"""What a filter returns (linux/seccomp.h)."""

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_K with BPF_JEQ, BPF_JGE, BPF_JSET, and BPF_RET|BPF_K."""

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Where they are in ``struct seccomp_data``; an argument has eight bytes, the lower half first."""

_NEWEST = 450
"""The last call that was known here, set_mempolicy_home_node(2): no two architectures differ in
numbers as high as that. Those of x32, which are calls of x86-64 with bit 30 set, are past it."""

_CLONE_THREAD = 0x00010000
_PR_SET_NAME = 15


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture: its number in audit's table, and its column in the table of calls."""

    audit: int
    column: int


ARCHITECTURES = {
    ("x86_64", 64): Architecture(0xC000003E, 0),
    ("aarch64", 64): Architecture(0xC00000B7, 1),
}
"""By what uname(2) calls the machine and the bits of this process: AUDIT_ARCH_X86_64 and
AUDIT_ARCH_AARCH64 (linux/audit.h). There is no emulator's library for others."""

CALLS: dict[str, tuple[int | None, int | None]] = {
    # Talking with the daemon, reading the module that it has opened, and last words.
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "write": (1, 64),
    "pread64": (17, 67),
    "close": (3, 57),
    # Memory.
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    # Threads, and what they wait for.
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
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
    # The time, where the system does not have it in memory, and random numbers.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
}
"""The calls that are allowed whatever their arguments, on x86-64 and on aarch64 (unistd_64.h,
asm-generic/unistd.h)."""

CLONE, CLONE3, PRCTL, TGKILL = (56, 220), (435, 435), (157, 167), (234, 131)
"""The calls that depend on their arguments, and clone3(2), whose arguments are behind a pointer:
where that is missing, the C library takes clone(2)."""

SECCOMP = (317, 277)
"""The call that puts a filter into force."""


def architecture() -> Architecture | None:
    """Return what this process runs on, None where its calls are not known here."""
    return ARCHITECTURES.get((platform.machine(), struct.calcsize("P") * 8))


def filter_program(on: Architecture, pid: int) -> bytes:
    """Return the filter of the process ``pid``: an array of ``struct sock_filter``."""
    allowed = [numbers[on.column] for numbers in CALLS.values()]
    parts = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_IF_EQUAL, on.audit, 1, 0),
        _return(KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_IF_AT_LEAST, _NEWEST + 1, 0, 1),
        _return(REFUSE | errno.ENOSYS),
        _instruction(_IF_EQUAL, CLONE3[on.column], 0, 1),
        _return(REFUSE | errno.ENOSYS),
        *(_allow(number) for number in allowed if number is not None),
        # A thread, but no process; the name of this thread; a signal to this process (abort(3)).
        _allow_with(CLONE[on.column], 0, _IF_ANY_BIT, _CLONE_THREAD),
        _allow_with(PRCTL[on.column], 0, _IF_EQUAL, _PR_SET_NAME),
        _allow_with(TGKILL[on.column], 0, _IF_EQUAL, pid),
        _return(REFUSE | errno.EPERM),
    ]
    return b"".join(parts)


def _allow(number: int) -> bytes:
    return _instruction(_IF_EQUAL, number, 0, 1) + _return(ALLOW)


def _allow_with(number: int, argument: int, condition: int, value: int) -> bytes:
    """Allow a call where the lower half of an argument, which is an int, fulfils a condition."""
    return (
        _instruction(_IF_EQUAL, number, 0, 4)
        + _instruction(_LOAD, _ARGUMENTS + 8 * argument)
        + _instruction(condition, value, 0, 1)
        + _return(ALLOW)
        + _return(REFUSE | errno.EPERM)
    )


def _return(what: int) -> bytes:
    return _instruction(_RETURN, what)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return a ``struct sock_filter``; the jumps are over so many instructions."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
