# SPDX-License-Identifier: Apache-2.0
"""Completions, wait queues, giving way, callbacks of RCU (kernel/sched, kernel/rcu)."""

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import (
    CODE,
    Crash,
    add_module,
    enter,
    put_calls,
    put_code,
    put_text,
    run,
)
from tests.support.machine import ROOM, Machine, new_machine

COMPLETION, QUEUE, ENTRIES, NAME, PLACE = (ROOM + at for at in (0, 256, 512, 1024, 1280))
STATE = 24
"""Offset in ``struct task_struct``."""

TASK, FUNCTION, LINK = 8, 16, 24
"""Offsets in ``struct wait_queue_entry``, whose flags come first."""

EXCLUSIVE, WOKEN = 1, 2
RUNNING, INTERRUPTIBLE, UNINTERRUPTIBLE, NORMAL = 0, 1, 2, 3
FOREVER = (1 << 63) - 1
UINT_MAX = (1 << 32) - 1

COUNT_CALLS = "48ff4740c3"
"""x86 code: incq 64(%rdi); ret"""


def start(machine: Machine, *calls: tuple[str | int, ...]) -> None:
    """Have a thread make these calls when it has its turn."""
    code = put_calls(machine, *calls)
    thread = run(machine, "kthread_create_on_node", code, 0, 0, put_text(machine, b"t", NAME))
    run(machine, "wake_up_process", thread)


def waiting(machine: Machine, name: str, *arguments: int, state: int = INTERRUPTIBLE) -> int:
    """Call a function as a task that has said that it waits."""
    with machine.running("sample"):
        machine.memory.put(machine.kernel_symbols.main_task + STATE, state, 4)
        try:
            return enter(machine, name, *arguments)
        finally:
            machine.memory.put(machine.kernel_symbols.main_task + STATE, RUNNING, 4)


@pytest.mark.parametrize("name", ["__init_waitqueue_head", "__init_swait_queue_head"])
def test_a_queue_is_an_empty_list(name: str) -> None:
    machine = new_machine()
    run(machine, name, QUEUE, 0, 0)
    assert [machine.memory.number(QUEUE + at) for at in (0, 8, 16)] == [0, QUEUE + 8, QUEUE + 8]


def test_what_was_completed_so_often_is_waited_for_so_often() -> None:
    machine = new_machine()
    assert run(machine, "completion_done", COMPLETION) == 0
    assert run(machine, "try_wait_for_completion", COMPLETION) == 0
    for _ in range(2):
        run(machine, "complete", COMPLETION)
    assert run(machine, "completion_done", COMPLETION) == 1
    tries = [run(machine, "try_wait_for_completion", COMPLETION) for _ in range(3)]
    assert tries == [1, 1, 0]


def test_what_is_completed_for_all_stays_so() -> None:
    machine = new_machine()
    run(machine, "complete_all", COMPLETION)
    run(machine, "complete", COMPLETION)
    assert machine.memory.number(COMPLETION) == UINT_MAX
    assert [run(machine, "try_wait_for_completion", COMPLETION) for _ in range(3)] == [1, 1, 1]
    run(machine, "wait_for_completion", COMPLETION)
    assert machine.memory.number(COMPLETION) == UINT_MAX


WAITING = (
    "wait_for_completion",
    "wait_for_completion_io",
    "wait_for_completion_interruptible",
    "wait_for_completion_killable",
)
WAITING_SOME_TIME = (
    "wait_for_completion_timeout",
    "wait_for_completion_io_timeout",
    "wait_for_completion_interruptible_timeout",
    "wait_for_completion_killable_timeout",
)


@pytest.mark.parametrize("name", WAITING)
def test_who_waits_goes_on_when_another_has_completed(name: str) -> None:
    machine = new_machine()
    start(machine, ("msleep", 1000), ("complete", COMPLETION))
    assert run(machine, name, COMPLETION) == 0
    assert machine.memory.number(COMPLETION, 4) == 0
    assert machine.clock.ticks >= HZ


@pytest.mark.parametrize("name", WAITING)
def test_who_waits_for_what_never_comes_hangs(name: str) -> None:
    with pytest.raises(Crash, match="blocked for more than 120 seconds"):
        run(new_machine(), name, COMPLETION)


@pytest.mark.parametrize("name", WAITING_SOME_TIME)
def test_who_waits_some_time_is_told_what_is_left_of_it(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, COMPLETION, 5 * HZ) == 0
    assert machine.clock.ticks == 5 * HZ
    start(machine, ("msleep", 1000), ("complete", COMPLETION))
    assert 3 * HZ <= run(machine, name, COMPLETION, 5 * HZ) <= 4 * HZ
    run(machine, "complete", COMPLETION)
    assert run(machine, name, COMPLETION, 0) == 1
    assert run(machine, name, COMPLETION, 0) == 0


@pytest.mark.parametrize("name", ["schedule", "io_schedule"])
def test_who_has_said_that_it_waits_goes_on_when_it_is_woken(name: str) -> None:
    machine = new_machine()
    run(machine, name)
    start(machine, ("msleep", 1000), ("wake_up_process", machine.kernel_symbols.main_task))
    began = machine.clock.ticks
    waiting(machine, name)
    assert machine.clock.ticks >= began + HZ
    with pytest.raises(Crash, match="blocked for more than 120 seconds"):
        waiting(machine, name)


def test_the_others_have_their_turn_when_one_gives_way() -> None:
    machine = new_machine()
    start(machine, ("complete", COMPLETION))
    run(machine, "yield")
    assert machine.memory.number(COMPLETION, 4) == 1


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("schedule_timeout", INTERRUPTIBLE),
        ("io_schedule_timeout", UNINTERRUPTIBLE),
        ("schedule_timeout_interruptible", RUNNING),
        ("schedule_timeout_killable", RUNNING),
        ("schedule_timeout_uninterruptible", RUNNING),
    ],
)
def test_a_timeout_is_slept_to_its_end_or_until_one_is_woken(name: str, state: int) -> None:
    machine = new_machine()
    assert waiting(machine, name, 5 * HZ, state=state) == 0
    assert machine.clock.ticks == 5 * HZ
    start(machine, ("msleep", 1000), ("wake_up_process", machine.kernel_symbols.main_task))
    assert 3 * HZ <= waiting(machine, name, 5 * HZ, state=state) <= 4 * HZ
    assert waiting(machine, name, -1, state=state) == 0
    with pytest.raises(Crash, match="blocked for more than 120 seconds"):
        waiting(machine, name, FOREVER, state=state)


@pytest.mark.parametrize("name", ["schedule_timeout", "io_schedule_timeout"])
def test_who_is_running_does_not_sleep_for_a_timeout(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, 5 * HZ) in range(5 * HZ - 2, 5 * HZ + 1)
    assert machine.clock.ticks <= 2
    assert run(machine, name, 0) == 0


def entry(machine: Machine, number: int, function: str, flags: int = 0) -> int:
    """Make an entry of a queue, for a task of its own that waits."""
    place, task = ENTRIES + 64 * number, PLACE + 64 * number
    machine.memory.put(place, flags, 4)
    machine.memory.put(place + TASK, task)
    machine.memory.put(place + FUNCTION, machine.kernel_symbols.address(function))
    machine.memory.put(place + LINK, place + LINK)
    machine.memory.put(place + LINK + 8, place + LINK)
    machine.memory.put(task + STATE, INTERRUPTIBLE, 4)
    return place


def waiters(machine: Machine) -> list[int]:
    """Return the numbers of the entries in the queue."""
    found, link = list[int](), machine.memory.number(QUEUE + 8)
    while link != QUEUE + 8 and len(found) < 10:
        found.append((link - LINK - ENTRIES) // 64)
        link = machine.memory.number(link)
    return found


def states(machine: Machine, count: int) -> list[int]:
    return [machine.memory.number(PLACE + 64 * each + STATE, 4) for each in range(count)]


def new_queue(machine: Machine) -> Machine:
    run(machine, "__init_waitqueue_head", QUEUE, 0, 0)
    return machine


def test_an_entry_is_for_who_runs() -> None:
    machine = new_machine()
    run(machine, "init_wait_entry", ENTRIES, EXCLUSIVE)
    fields = [machine.memory.number(ENTRIES + at) for at in (0, TASK, FUNCTION, LINK, LINK + 8)]
    assert fields == [
        EXCLUSIVE,
        machine.kernel_symbols.main_task,
        machine.kernel_symbols.address("autoremove_wake_function"),
        ENTRIES + LINK,
        ENTRIES + LINK,
    ]


def test_entries_are_first_but_for_those_that_want_to_be_alone() -> None:
    machine = new_queue(new_machine())
    entries = [entry(machine, each, "default_wake_function") for each in range(4)]
    machine.memory.put(entries[1], EXCLUSIVE, 4)
    run(machine, "add_wait_queue_exclusive", QUEUE, entries[0])
    run(machine, "add_wait_queue", QUEUE, entries[1])
    run(machine, "add_wait_queue_exclusive", QUEUE, entries[2])
    run(machine, "add_wait_queue", QUEUE, entries[3])
    assert waiters(machine) == [3, 1, 0, 2]
    assert [machine.memory.number(each, 4) for each in entries] == [EXCLUSIVE, 0, EXCLUSIVE, 0]
    run(machine, "remove_wait_queue", QUEUE, entries[1])
    assert waiters(machine) == [3, 0, 2]


@pytest.mark.parametrize(
    ("name", "before", "flags", "order"),
    [
        ("prepare_to_wait", EXCLUSIVE, 0, [1, 0]),
        ("prepare_to_wait_event", EXCLUSIVE, EXCLUSIVE, [0, 1]),
        ("prepare_to_wait_event", 0, 0, [1, 0]),
        ("prepare_to_wait_exclusive", 0, EXCLUSIVE, [0, 1]),
    ],
)
def test_who_prepares_to_wait_is_in_the_queue_once_and_has_said_so(
    name: str, before: int, flags: int, order: list[int]
) -> None:
    machine = new_queue(new_machine())
    run(machine, "add_wait_queue", QUEUE, entry(machine, 0, "default_wake_function"))
    mine = entry(machine, 1, "default_wake_function", before)
    state = machine.kernel_symbols.main_task + STATE
    with machine.running("sample"):
        results = [enter(machine, name, QUEUE, mine, UNINTERRUPTIBLE) for _ in range(2)]
        assert results == [0, 0]
        assert machine.memory.number(state, 4) == UNINTERRUPTIBLE
        assert (machine.memory.number(mine, 4), waiters(machine)) == (flags, order)
        enter(machine, "finish_wait", QUEUE, mine)
        assert machine.memory.number(state, 4) == RUNNING
        assert waiters(machine) == [0]


def test_who_wants_to_be_alone_is_told_if_it_is_the_first() -> None:
    machine = new_queue(new_machine())
    first, second = (entry(machine, each, "default_wake_function") for each in range(2))
    prepare = "prepare_to_wait_exclusive"
    assert waiting(machine, prepare, QUEUE, first, INTERRUPTIBLE) == 1
    assert waiting(machine, prepare, QUEUE, second, INTERRUPTIBLE) == 0


@pytest.mark.parametrize(
    ("name", "rest", "woken"),
    [
        ("__wake_up", (1, 0), [0, 0, 0, 1]),
        ("__wake_up", (2, 0), [0, 0, 0, 0]),
        ("__wake_up", (0, 0), [0, 0, 0, 0]),
        ("__wake_up_locked", (1,), [0, 0, 0, 1]),
        ("__wake_up_locked", (0,), [0, 0, 0, 0]),
        ("__wake_up_sync", (), [0, 0, 0, 1]),
        ("__wake_up_sync_key", (0,), [0, 0, 0, 1]),
        ("__wake_up_locked_key", (0,), [0, 0, 0, 1]),
    ],
)
def test_all_are_woken_and_as_many_that_want_to_be_alone_as_are_meant(
    name: str, rest: tuple[int, ...], woken: list[int]
) -> None:
    machine = new_queue(new_machine())
    for each, flags in enumerate((0, 0, EXCLUSIVE, EXCLUSIVE)):
        add = "add_wait_queue_exclusive" if flags else "add_wait_queue"
        run(machine, add, QUEUE, entry(machine, each, "autoremove_wake_function", flags))
    run(machine, name, QUEUE, NORMAL, *rest)
    assert states(machine, 4) == woken
    assert waiters(machine) == [3] * woken[3]


def test_who_waits_in_another_state_is_not_woken() -> None:
    machine = new_queue(new_machine())
    run(machine, "add_wait_queue", QUEUE, entry(machine, 0, "default_wake_function"))
    run(machine, "__wake_up", QUEUE, UNINTERRUPTIBLE, 1, 0)
    assert states(machine, 1) == [INTERRUPTIBLE]
    run(machine, "__wake_up", QUEUE, INTERRUPTIBLE, 1, 0)
    assert states(machine, 1) == [RUNNING]


@pytest.mark.parametrize(
    ("name", "stays", "flags"),
    [
        ("default_wake_function", True, 0),
        ("autoremove_wake_function", False, 0),
        ("woken_wake_function", True, WOKEN),
    ],
)
def test_a_wake_function_does_its_work_whoever_calls_it(name: str, stays: bool, flags: int) -> None:
    for wake in (name, "__wake_up"):
        machine = new_queue(new_machine())
        mine = entry(machine, 0, name)
        run(machine, "add_wait_queue", QUEUE, mine)
        arguments = (mine, NORMAL, 0, 0) if wake == name else (QUEUE, NORMAL, 1, 0)
        result = run(machine, wake, *arguments)
        assert result == (wake == name)
        assert (states(machine, 1), waiters(machine)) == ([RUNNING], [0] * stays)
        assert machine.memory.number(mine, 4) == flags
        assert run(machine, name, mine, NORMAL, 0, 0) == 0


def test_a_module_may_wake_by_a_function_of_its_own() -> None:
    machine = new_queue(new_machine())
    add_module(machine)
    # mov %rcx, 8(%rdi); mov $1, %eax; ret
    put_code(machine, "48894f08b801000000c3")
    for each in range(2):
        own = entry(machine, each, "default_wake_function")
        machine.memory.put(own + FUNCTION, CODE)
        run(machine, "add_wait_queue_exclusive", QUEUE, own)
    run(machine, "__wake_up", QUEUE, NORMAL, 1, 77)
    assert machine.memory.number(ENTRIES + TASK) == 77
    assert machine.memory.number(ENTRIES + 64 + TASK) == PLACE + 64


def test_who_was_woken_before_it_waits_does_not_wait() -> None:
    machine = new_queue(new_machine())
    mine = entry(machine, 0, "woken_wake_function")
    machine.memory.put(mine + TASK, machine.kernel_symbols.main_task)
    run(machine, "add_wait_queue", QUEUE, mine)
    run(machine, "__wake_up", QUEUE, NORMAL, 1, 0)
    assert run(machine, "wait_woken", mine, INTERRUPTIBLE, 5 * HZ) == 5 * HZ
    assert run(machine, "wait_woken", mine, INTERRUPTIBLE, 5 * HZ) == 0
    assert machine.clock.ticks == 5 * HZ


def test_who_is_woken_while_it_waits_has_used_that_up() -> None:
    machine = new_queue(new_machine())
    mine = entry(machine, 0, "woken_wake_function")
    machine.memory.put(mine + TASK, machine.kernel_symbols.main_task)
    run(machine, "add_wait_queue", QUEUE, mine)
    start(machine, ("msleep", 1000), ("__wake_up", QUEUE, NORMAL, 1, 0))
    assert 3 * HZ <= run(machine, "wait_woken", mine, INTERRUPTIBLE, 5 * HZ) <= 4 * HZ
    assert machine.memory.number(mine, 4) == 0


@pytest.mark.parametrize(("name", "before"), [("call_rcu", ()), ("call_srcu", (QUEUE,))])
@pytest.mark.parametrize(("barrier", "whose"), [("rcu_barrier", ()), ("srcu_barrier", (QUEUE,))])
def test_a_callback_of_rcu_has_run_behind_the_barrier(
    name: str, before: tuple[int, ...], barrier: str, whose: tuple[int, ...]
) -> None:
    machine = new_machine()
    callback = put_code(machine, COUNT_CALLS)
    with machine.running("sample"):
        machine.invoke(machine.kernel_symbols.address(name), *before, PLACE, callback)
        assert machine.memory.number(PLACE + 64) == 0
        machine.invoke(machine.kernel_symbols.address(barrier), *whose)
        assert machine.memory.number(PLACE + 64) == 1


@pytest.mark.parametrize("name", ["wake_up_bit", "wake_up_var"])
def test_nobody_waits_for_a_bit(name: str) -> None:
    machine = new_machine()
    machine.memory.put(PLACE, 5)
    run(machine, name, PLACE, 0)
    assert machine.memory.number(PLACE) == 5


@pytest.mark.parametrize("name", ["complete", "wait_for_completion", "prepare_to_wait"])
def test_a_pointer_to_nowhere_is_an_oops(name: str) -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), name, 0, 0, 0)
