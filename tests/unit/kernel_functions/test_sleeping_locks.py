# SPDX-License-Identifier: Apache-2.0
"""Mutexes and semaphores, for which tasks wait (kernel/locking)."""

import errno

import pytest

from kmodd.kernel.emulated.abi.structures import MUTEX, READ_WRITE_SEMAPHORE
from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import oops, put_calls, put_text, run, settle
from tests.support.machine import ROOM, Machine, new_machine

LOCK, DONE, NAME = ROOM, ROOM + 256, ROOM + 512
COUNT = LOCK + 4
"""Where a ``struct semaphore`` counts."""

MUTEXES = ("mutex_lock", "mutex_lock_io", "mutex_lock_interruptible", "mutex_lock_killable")
READERS = ("down_read", "down_read_interruptible", "down_read_killable")
WRITERS = ("down_write", "down_write_killable")
COUNTERS = ("down", "down_interruptible", "down_killable")


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def begin(machine: Machine, *calls: tuple[str | int, ...]) -> None:
    """Have a thread make these calls, and tell when it is done."""
    code = put_calls(machine, *calls, ("complete", DONE))
    thread = run(machine, "kthread_create_on_node", code, 0, 0, put_text(machine, b"t", NAME))
    run(machine, "wake_up_process", thread)


def is_done(machine: Machine) -> bool:
    """Whether the thread has come to its end, all having had their turn."""
    settle(machine)
    return bool(run(machine, "completion_done", DONE))


WAITED_FOR = [
    *((take, "mutex_lock", "mutex_unlock") for take in MUTEXES),
    *((take, "down_write", "up_write") for take in READERS),
    *((take, "down_read", "up_read") for take in WRITERS),
    *((take, "down", "up") for take in COUNTERS),
]


@pytest.mark.parametrize(("take", "lock", "unlock"), WAITED_FOR)
def test_what_another_has_is_waited_for(
    machine: Machine, take: str, lock: str, unlock: str
) -> None:
    if lock == "down":
        machine.memory.put(COUNT, 1, 4)
    assert run(machine, lock, LOCK) == 0
    begin(machine, (take, LOCK))
    assert not is_done(machine)
    run(machine, unlock, LOCK)
    assert is_done(machine)


@pytest.mark.parametrize("take", [*MUTEXES, *WRITERS, *COUNTERS])
def test_who_waits_for_himself_hangs(machine: Machine, take: str) -> None:
    machine.memory.put(COUNT, int(take in COUNTERS), 4)
    assert run(machine, take, LOCK) == 0
    assert "blocked for more than" in oops(machine, take, LOCK)


@pytest.mark.parametrize("name", ["__mutex_init", "mutex_init_generic", "__init_rwsem"])
def test_a_lock_begins_as_nobodys(machine: Machine, name: str) -> None:
    machine.memory.write(LOCK, b"\xff" * 16)
    run(machine, name, LOCK, 0, 0)
    assert machine.memory.read(LOCK, 16) == bytes(8) + b"\xff" * 8


def test_a_mutex_is_one_tasks(machine: Machine) -> None:
    assert run(machine, "mutex_is_locked", LOCK) == 0
    assert [run(machine, "mutex_trylock", LOCK) for _ in range(2)] == [1, 0]
    assert run(machine, "mutex_is_locked", LOCK) == 1
    assert machine.memory.number(LOCK) == machine.kernel_symbols.main_task
    run(machine, "mutex_unlock", LOCK)
    run(machine, "mutex_unlock", LOCK)
    assert run(machine, "mutex_is_locked", LOCK) == 0


def test_a_semaphore_is_one_writers_or_many_readers(machine: Machine) -> None:
    def tries() -> list[int]:
        return [run(machine, f"down_{kind}_trylock", LOCK) for kind in ("read", "write")]

    assert [tries(), tries()] == [[1, 0], [1, 0]]
    run(machine, "up_read", LOCK)
    run(machine, "up_read", LOCK)
    run(machine, "up_read", LOCK)
    assert run(machine, "down_write_trylock", LOCK) == 1
    assert tries() == [0, 0]
    run(machine, "downgrade_write", LOCK)
    assert tries() == [1, 0]
    run(machine, "up_read", LOCK)
    run(machine, "up_read", LOCK)
    run(machine, "up_write", LOCK)
    assert machine.memory.number(LOCK) == 0


def test_a_semaphore_is_taken_as_often_as_it_counts(machine: Machine) -> None:
    machine.memory.put(COUNT, 2, 4)
    assert [run(machine, "down_trylock", LOCK) for _ in range(3)] == [0, 0, 1]
    began = machine.clock.ticks
    assert run(machine, "down_timeout", LOCK, HZ) == -errno.ETIME
    assert machine.clock.ticks >= began + HZ
    assert run(machine, "down_timeout", LOCK, -1) == -errno.ETIME
    run(machine, "up", LOCK)
    assert run(machine, "down_timeout", LOCK, HZ) == 0
    assert machine.memory.number(COUNT, 4) == 0


def test_a_kernel_that_counts_in_another_way_keeps_nobody_waiting(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(MUTEX.__dict__, "owner")
    monkeypatch.delitem(READ_WRITE_SEMAPHORE.__dict__, "count")
    for _ in range(2):
        assert run(machine, "mutex_trylock", LOCK) == run(machine, "down_write_trylock", LOCK) == 1
        run(machine, "mutex_lock", LOCK)
        run(machine, "down_read", LOCK)
    run(machine, "mutex_unlock", LOCK)
    run(machine, "up_read", LOCK)
    assert machine.memory.number(LOCK) == 0
