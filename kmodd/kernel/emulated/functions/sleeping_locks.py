# SPDX-License-Identifier: Apache-2.0
"""Locks whose holder may sleep: mutexes and semaphores (kernel/locking).

Who wants one that another has waits, while the others go on. Each is what its memory says, where
zeros are a lock that nobody has; a kernel that has them otherwise (PREEMPT_RT) has them free at all
times.
"""

import errno

from kmodd.kernel.emulated.abi.function_table import RETURN, function, machine_code
from kmodd.kernel.emulated.abi.structures import MUTEX, READ_WRITE_SEMAPHORE, SEMAPHORE
from kmodd.kernel.emulated.functions.sync import current
from kmodd.kernel.emulated.machine.machine import Machine

_WRITER, _READER = 1, 1 << 8
"""What a ``struct rw_semaphore`` counts (kernel/locking/rwsem.c)."""

# movq $0, (%rdi)
machine_code(
    bytes.fromhex("48c70700000000") + RETURN,
    """
    void __mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
    void mutex_init_generic(struct mutex *lock)
    void __init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key)
    """,
)


def _take_mutex(machine: Machine, mutex: int) -> bool:
    """Take a mutex for the task that is running; tell whether nobody had it."""
    if not MUTEX.has("owner"):
        return True
    at = mutex + MUTEX.owner
    is_free = not machine.memory.number(at)
    if is_free:
        machine.memory.put(at, current(machine))
    return is_free


@function(
    "void mutex_lock(struct mutex *lock)",
    "void mutex_lock_io(struct mutex *lock)",
    "int mutex_lock_interruptible(struct mutex *lock)",
    "int mutex_lock_killable(struct mutex *lock)",
)
def mutex_lock(machine: Machine, mutex: int) -> int:
    return machine.tasks.wait(lambda: 0 if _take_mutex(machine, mutex) else None)


@function("int mutex_trylock(struct mutex *lock)")
def mutex_trylock(machine: Machine, mutex: int) -> int:
    return int(_take_mutex(machine, mutex))


@function("bool mutex_is_locked(struct mutex *lock)")
def mutex_is_locked(machine: Machine, mutex: int) -> int:
    return int(machine.memory.number(mutex + MUTEX.owner) != 0)


@function("void mutex_unlock(struct mutex *lock)")
def mutex_unlock(machine: Machine, mutex: int) -> None:
    if MUTEX.has("owner"):
        machine.memory.put(mutex + MUTEX.owner, 0)


def _count(machine: Machine, semaphore: int, *, unless: int, add: int) -> bool:
    """Add to what is counted, unless it has any of these bits; tell whether it had none."""
    if not READ_WRITE_SEMAPHORE.has("count"):
        return True
    at = semaphore + READ_WRITE_SEMAPHORE.count
    count = machine.memory.number(at)
    if not count & unless:
        machine.memory.put(at, count + add)
    return not count & unless


def _read(machine: Machine, semaphore: int) -> bool:
    return _count(machine, semaphore, unless=_WRITER, add=_READER)


def _write(machine: Machine, semaphore: int) -> bool:
    return _count(machine, semaphore, unless=-1, add=_WRITER)


@function(
    "void down_read(struct rw_semaphore *sem)",
    "int down_read_interruptible(struct rw_semaphore *sem)",
    "int down_read_killable(struct rw_semaphore *sem)",
)
def down_read(machine: Machine, semaphore: int) -> int:
    return machine.tasks.wait(lambda: 0 if _read(machine, semaphore) else None)


@function(
    "void down_write(struct rw_semaphore *sem)",
    "int down_write_killable(struct rw_semaphore *sem)",
)
def down_write(machine: Machine, semaphore: int) -> int:
    return machine.tasks.wait(lambda: 0 if _write(machine, semaphore) else None)


@function("int down_read_trylock(struct rw_semaphore *sem)")
def down_read_trylock(machine: Machine, semaphore: int) -> int:
    return int(_read(machine, semaphore))


@function("int down_write_trylock(struct rw_semaphore *sem)")
def down_write_trylock(machine: Machine, semaphore: int) -> int:
    return int(_write(machine, semaphore))


@function("void up_read(struct rw_semaphore *sem)")
def up_read(machine: Machine, semaphore: int) -> None:
    _uncount(machine, semaphore, _READER)


@function("void up_write(struct rw_semaphore *sem)")
def up_write(machine: Machine, semaphore: int) -> None:
    _uncount(machine, semaphore, _WRITER)


@function("void downgrade_write(struct rw_semaphore *sem)")
def downgrade_write(machine: Machine, semaphore: int) -> None:
    _uncount(machine, semaphore, _WRITER)
    _read(machine, semaphore)


def _uncount(machine: Machine, semaphore: int, one: int) -> None:
    """Take one back of what is counted, where there is one."""
    if READ_WRITE_SEMAPHORE.has("count"):
        at = semaphore + READ_WRITE_SEMAPHORE.count
        count = machine.memory.number(at)
        is_there = count & _WRITER if one == _WRITER else count >= one
        machine.memory.put(at, count - one if is_there else count)


def _take_one(machine: Machine, semaphore: int) -> bool:
    at = semaphore + SEMAPHORE.count
    count = machine.memory.number(at, 4)
    if count:
        machine.memory.put(at, count - 1, 4)
    return bool(count)


@function(
    "void down(struct semaphore *sem)",
    "int down_interruptible(struct semaphore *sem)",
    "int down_killable(struct semaphore *sem)",
)
def down(machine: Machine, semaphore: int) -> int:
    return machine.tasks.wait(lambda: 0 if _take_one(machine, semaphore) else None)


@function("int down_trylock(struct semaphore *sem)")
def down_trylock(machine: Machine, semaphore: int) -> int:
    """Returns 0 for success, as no other function that tries does."""
    return int(not _take_one(machine, semaphore))


@function("int down_timeout(struct semaphore *sem, long jiffies)")
def down_timeout(machine: Machine, semaphore: int, ticks: int) -> int:
    due = machine.clock.ticks + max(ticks, 0)

    def ready() -> int | None:
        if _take_one(machine, semaphore):
            return 0
        return -errno.ETIME if machine.clock.ticks >= due else None

    return machine.tasks.wait(ready, due)


@function("void up(struct semaphore *sem)")
def up(machine: Machine, semaphore: int) -> None:
    at = semaphore + SEMAPHORE.count
    machine.memory.put(at, machine.memory.number(at, 4) + 1, 4)
