# SPDX-License-Identifier: Apache-2.0
"""What the process of the emulated kernel gives up before it is shown a module.

It runs unknown code in a library that is written in C. Should that code ever get out of the
emulated machine, it is to find a process that can do nothing but talk with its daemon. Each step is
done as far as the system lets it be done: a container, a service's own filter or a user who is not
root leave some of them undone, and the others count all the same.
"""

import errno
import os
import resource
from collections.abc import Callable, Iterable

from kmodd import confinement, system_calls

ADDRESS_SPACE_MAX = 8 << 30
"""Bytes of memory that the kernel's process may map: a module may be 512 MiB, and compressed."""

THREADS_MAX = 8192
"""Threads that it may have, and descriptors: one of each for a call. So many stacks have room."""

Undone = list[tuple[int, int]]
"""The steps that were not done, by their place in STEPS, each with the errno of what refused."""

CALLS = (
    # Talking with the daemon, reading the module that it has opened, and last words.
    *("recvmsg", "sendto", "write", "pread64", "close"),
    *system_calls.THREADED,
)
"""The system calls that are left to it whatever their arguments: no file is opened, looked up or
changed, nothing is connected to, and no process is begun, traced or sent a signal."""


def give_up_privileges() -> Undone:
    """Give up all rights that this process has, but for the system calls; returns what it kept.

    There must be no other thread: some of it is a thread's own affair.
    """
    return _attempt(range(len(STEPS) - 1))


def give_up_system_calls() -> Undone:
    """Put the filter of system calls into force, which ends all of what is not in it."""
    return _attempt([len(STEPS) - 1])


def _attempt(places: Iterable[int]) -> Undone:
    undone = []
    for place in places:
        try:
            STEPS[place][1]()
        except OSError as error:
            undone.append((place, error.errno or errno.EIO))
    return undone


def _become_a_stranger() -> None:
    confinement.become_a_stranger(THREADS_MAX)


def _bound_memory() -> None:
    confinement.bound(resource.RLIMIT_AS, ADDRESS_SPACE_MAX)


def _bound_files() -> None:
    """Write no files, nor the picture of a crash, and have no more open than calls bring."""
    confinement.bound(resource.RLIMIT_CORE, 0)
    confinement.bound(resource.RLIMIT_FSIZE, 0)
    confinement.bound(resource.RLIMIT_NOFILE, THREADS_MAX)


def _filter_system_calls() -> None:
    system_calls.leave_only(CALLS, system_calls.of_threads(os.getpid()))


STEPS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("a network of its own", confinement.leave_network),
    ("no files", confinement.leave_files),
    ("an empty bounding set", confinement.empty_bounding_set),
    ("no groups", confinement.leave_groups),
    ("a user of its own", _become_a_stranger),
    ("no capabilities", confinement.drop_capabilities),
    ("no new privileges", confinement.gain_nothing),
    ("no traces", confinement.hide),
    ("a bound on memory", _bound_memory),
    ("bounds on files", _bound_files),
    ("a filter of system calls", _filter_system_calls),
)
"""What is given up, in this order: each step may take rights that those before it need."""
