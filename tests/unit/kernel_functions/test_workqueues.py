# SPDX-License-Identifier: Apache-2.0
"""Work, delayed work, workqueues, tasklets (kernel/workqueue.c, kernel/softirq.c)."""

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import (
    CODE,
    Crash,
    call_code,
    enter,
    held,
    put_calls,
    put_code,
    put_text,
    run,
    settle,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

NAME, ONE, OTHER, TASKLET, FLAG = (ROOM + at for at in (0, 256, 512, 768, 1024))
FUNCTION, EXPIRES = 24, 48
"""Offsets in ``struct delayed_work``, whose first word has the mark of what is pending."""

COUNTER = 128
COUNT = "48ff8780000000c3"
"""x86 code: incq 128(%rdi); ret"""

PENDING, RUNNING = 1, 2
"""WORK_BUSY_*"""


def new_work(machine: Machine, place: int = ONE, code: int = CODE) -> int:
    machine.memory.write(place, bytes(COUNTER + 8))
    machine.memory.put(place + FUNCTION, code)
    return place


def done(machine: Machine, place: int = ONE) -> int:
    """Return how often work was done."""
    return machine.memory.number(place + COUNTER)


def new_queue(machine: Machine, active: int = 0) -> int:
    template = put_text(machine, b"queue-%s", NAME)
    text = put_text(machine, b"own", NAME + 32)
    return run(machine, "alloc_workqueue", template, 0, active, text)


@pytest.fixture
def machine() -> Machine:
    """A machine with two pieces of work."""
    made = new_machine()
    put_code(made, COUNT)
    for place in (ONE, OTHER):
        new_work(made, place)
    return made


def test_a_workqueue_has_a_name_and_is_destroyed_when_its_work_is_done(machine: Machine) -> None:
    queue = new_queue(machine)
    assert held(machine) == [("workqueue", "workqueue 'queue-own'")]
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "destroy_workqueue", queue)
    assert (done(machine), held(machine)) == (1, [])
    assert machine.heap.size(queue) is None


DISABLES = ("disable_work", "disable_work_sync", "disable_delayed_work")


@pytest.mark.parametrize("disable", [*DISABLES, "disable_delayed_work_sync"])
@pytest.mark.parametrize("enable", ["enable_work", "enable_delayed_work"])
def test_work_that_is_disabled_is_not_queued_until_it_is_enabled_as_often(
    machine: Machine, disable: str, enable: str
) -> None:
    queue = new_queue(machine)
    run(machine, "queue_delayed_work_on", 64, queue, ONE, 10)
    assert [run(machine, disable, ONE) for _ in range(2)] == [1, 0]
    for _ in range(2):
        assert run(machine, "queue_work_on", 64, queue, ONE) == 0
        assert run(machine, "queue_delayed_work_on", 64, queue, ONE, 10) == 0
        enabled = run(machine, enable, ONE)
    settle(machine)
    assert (enabled, done(machine)) == (1, 0)
    assert run(machine, "queue_work_on", 64, queue, ONE) == 1
    settle(machine)
    assert done(machine) == 1
    assert run(machine, enable, ONE) == 1


def test_work_is_enabled_again_where_other_work_comes_to_be(machine: Machine) -> None:
    work = new_work(machine, run(machine, "__kmalloc", 256, 0))
    run(machine, "disable_work", work)
    run(machine, "kfree", work)
    assert run(machine, "queue_work_on", 64, new_queue(machine), new_work(machine, work)) == 1


def test_a_workqueue_needs_a_format() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), "alloc_workqueue", 0, 0, 0)


def test_a_workqueue_that_is_left_goes_with_its_module_and_its_work(machine: Machine) -> None:
    queue = new_queue(machine, active=1)
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "queue_delayed_work_on", 64, queue, OTHER, 10)
    assert [(kind, name.partition(":")[0]) for kind, name in unload(machine)] == [
        ("workqueue", "workqueue 'queue-own'"),
        ("work", "work that is still under way"),
        ("delayed work", "delayed work that is still due"),
    ]
    settle(machine)
    assert (done(machine), done(machine, OTHER)) == (0, 0)
    assert machine.heap.size(queue) is None


@pytest.mark.parametrize(("name", "before"), [("queue_work_on", (64,)), ("queue_rcu_work", ())])
def test_work_is_queued_once_until_it_begins(
    machine: Machine, name: str, before: tuple[int, ...]
) -> None:
    queue = new_queue(machine)
    assert [run(machine, name, *before, queue, ONE) for _ in range(2)] == [1, 0]
    assert machine.memory.number(ONE) & 1
    assert run(machine, "work_busy", ONE) == PENDING
    assert done(machine) == 0
    settle(machine)
    assert done(machine) == 1
    assert machine.memory.number(ONE) & 1 == 0
    assert run(machine, "work_busy", ONE) == 0
    assert run(machine, name, *before, queue, ONE) == 1


def test_work_that_has_begun_may_be_queued_again(machine: Machine) -> None:
    queue = new_queue(machine)
    new_work(machine, ONE, put_calls(machine, ("msleep", 1000), ("complete", FLAG), at=256))
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "msleep", 100)
    assert run(machine, "work_busy", ONE) == RUNNING
    assert run(machine, "queue_work_on", 64, queue, ONE) == 1
    assert run(machine, "work_busy", ONE) == PENDING | RUNNING
    settle(machine)
    assert machine.memory.number(FLAG, 4) == 2


@pytest.mark.parametrize(("active", "order"), [(1, [0, 1]), (0, [1, 1])])
def test_a_queue_with_one_place_does_one_thing_after_the_other(
    machine: Machine, active: int, order: list[int]
) -> None:
    queue = new_queue(machine, active)
    new_work(machine, OTHER, put_calls(machine, ("msleep", 1000), at=256))
    for work in (OTHER, ONE):
        run(machine, "queue_work_on", 64, queue, work)
    run(machine, "msleep", 100)
    first = done(machine)
    settle(machine)
    assert [first, done(machine)] == order


@pytest.mark.parametrize("name", ["queue_delayed_work_on", "mod_delayed_work_on"])
def test_delayed_work_is_done_when_its_time_has_come(machine: Machine, name: str) -> None:
    queue = new_queue(machine)
    now = machine.memory.number(machine.kernel_symbols.jiffies)
    assert run(machine, name, 64, queue, ONE, HZ) == (name == "queue_delayed_work_on")
    assert machine.memory.number(ONE + EXPIRES) == now + HZ
    assert machine.memory.number(ONE) & 1
    assert run(machine, "work_busy", ONE) == PENDING
    kind, booked = held(machine)[1]
    assert kind == "delayed work"
    assert booked.startswith("delayed work that is still due: ")
    run(machine, "msleep", 900)
    assert done(machine) == 0
    run(machine, "msleep", 200)
    assert (done(machine), held(machine)) == (1, [("workqueue", "workqueue 'queue-own'")])


def test_delayed_work_is_queued_once_but_its_time_is_changed(machine: Machine) -> None:
    queue = new_queue(machine)
    queued = [run(machine, "queue_delayed_work_on", 64, queue, ONE, HZ) for _ in range(2)]
    assert queued == [1, 0]
    assert run(machine, "mod_delayed_work_on", 64, queue, ONE, 3 * HZ) == 1
    run(machine, "msleep", 2000)
    assert done(machine) == 0
    assert run(machine, "mod_delayed_work_on", 64, queue, ONE, 0) == 1
    run(machine, "msleep", 4)
    assert done(machine) == 1


def test_work_that_is_not_delayed_is_queued_at_once(machine: Machine) -> None:
    queue = new_queue(machine)
    assert run(machine, "queue_delayed_work_on", 64, queue, ONE, 0) == 1
    run(machine, "flush_delayed_work", ONE)
    assert (done(machine), machine.clock.ticks) == (1, 0)


CANCELLING = ("cancel_work", "cancel_delayed_work", "cancel_work_sync", "cancel_delayed_work_sync")


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("delay", [0, 10])
def test_work_is_cancelled_before_it_begins(machine: Machine, name: str, delay: int) -> None:
    queue = new_queue(machine)
    assert run(machine, name, ONE) == 0
    run(machine, "queue_delayed_work_on", 64, queue, ONE, delay)
    assert run(machine, name, ONE) == 1
    assert machine.memory.number(ONE) & 1 == 0
    assert held(machine) == [("workqueue", "workqueue 'queue-own'")]
    assert run(machine, name, ONE) == 0
    settle(machine)
    assert done(machine) == 0


@pytest.mark.parametrize("name", CANCELLING)
def test_work_that_has_begun_is_waited_for_where_that_is_asked(machine: Machine, name: str) -> None:
    queue = new_queue(machine)
    new_work(machine, ONE, put_calls(machine, ("msleep", 1000), ("complete", FLAG), at=256))
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "msleep", 100)
    assert run(machine, name, ONE) == 0
    assert machine.memory.number(FLAG, 4) == name.endswith("_sync")


@pytest.mark.parametrize("name", ["flush_work", "flush_delayed_work"])
def test_who_flushes_work_is_told_whether_there_was_any(machine: Machine, name: str) -> None:
    queue = new_queue(machine)
    assert run(machine, name, ONE) == 0
    run(machine, "queue_work_on", 64, queue, ONE)
    assert run(machine, name, ONE) == 1
    assert done(machine) == 1
    assert run(machine, name, ONE) == 0


def test_delayed_work_that_is_flushed_is_done_at_once(machine: Machine) -> None:
    run(machine, "queue_delayed_work_on", 64, new_queue(machine), ONE, 10 * HZ)
    assert run(machine, "flush_delayed_work", ONE) == 1
    assert (done(machine), machine.clock.ticks) == (1, 0)


@pytest.mark.parametrize("name", ["__flush_workqueue", "flush_workqueue", "drain_workqueue"])
def test_a_workqueue_is_flushed_of_what_is_queued_there(machine: Machine, name: str) -> None:
    queue = new_queue(machine)
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "queue_delayed_work_on", 64, queue, OTHER, 10 * HZ)
    run(machine, name, queue)
    assert (done(machine), done(machine, OTHER)) == (1, 0)


def test_work_of_the_kernels_own_queue_is_flushed(machine: Machine) -> None:
    queue = machine.memory.number(machine.kernel_symbols.address("system_wq"))
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "flush_scheduled_work")
    assert done(machine) == 1


def test_work_may_queue_itself_again(machine: Machine) -> None:
    queue = new_queue(machine)
    again = call_code(machine, "queue_delayed_work_on", 64, queue, ONE, HZ)
    put_code(machine, f"4883ec0848ff8780000000{again}4883c408c3")
    run(machine, "queue_work_on", 64, queue, ONE)
    run(machine, "msleep", 2500)
    assert done(machine) == 3
    assert run(machine, "cancel_delayed_work_sync", ONE) == 1
    settle(machine)
    assert done(machine) == 3


def test_work_that_crashes_ends_alone() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    new_work(machine, ONE, put_code(machine, "8b042508000000c3"))
    run(machine, "queue_work_on", 64, new_queue(machine), ONE)
    settle(machine)
    assert lines[0] == "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    assert held(machine) == [("workqueue", "workqueue 'queue-own'")]


def test_outside_of_work_there_is_none_and_no_queue_is_congested(machine: Machine) -> None:
    queue = new_queue(machine)
    run(machine, "workqueue_set_max_active", queue, 3)
    run(machine, "delayed_work_timer_fn", ONE + 32)
    assert run(machine, "current_work") == 0
    assert run(machine, "workqueue_congested", 0, queue) == 0


STATE, DISABLED, TAKES_ITSELF, CALLBACK, ARGUMENT = 8, 16, 20, 24, 32
"""Offsets in ``struct tasklet_struct``."""

SCHEDULED = 1


def set_up(machine: Machine, name: str = "tasklet_setup") -> None:
    """Set up a tasklet whose callback gets an address that has a counter behind it."""
    machine.memory.write(TASKLET, b"\xff" * 40)
    run(machine, name, TASKLET, CODE, TASKLET)


def schedule(machine: Machine, name: str = "__tasklet_schedule") -> None:
    """Schedule the tasklet as the code that is compiled into modules does."""
    machine.memory.put(TASKLET + STATE, SCHEDULED)
    run(machine, name, TASKLET)


@pytest.mark.parametrize(
    ("name", "takes_itself", "argument"), [("tasklet_setup", 1, 0), ("tasklet_init", 0, TASKLET)]
)
def test_a_tasklet_is_set_up_with_its_callback(
    machine: Machine, name: str, takes_itself: int, argument: int
) -> None:
    set_up(machine, name)
    memory = machine.memory
    assert [memory.number(TASKLET + at) for at in (0, STATE)] == [0, 0]
    assert memory.number(TASKLET + DISABLED, 4) == 0
    assert memory.number(TASKLET + TAKES_ITSELF, 1) == takes_itself
    assert [memory.number(TASKLET + at) for at in (CALLBACK, ARGUMENT)] == [CODE, argument]


@pytest.mark.parametrize("setting", ["tasklet_setup", "tasklet_init"])
@pytest.mark.parametrize("name", ["__tasklet_schedule", "__tasklet_hi_schedule"])
def test_a_tasklet_runs_once_for_each_time_it_is_scheduled(
    machine: Machine, setting: str, name: str
) -> None:
    set_up(machine, setting)
    for times in (1, 2):
        schedule(machine, name)
        run(machine, name, TASKLET)
        assert held(machine) == [("tasklet", "a tasklet that is still scheduled")]
        run(machine, "msleep", 8)
        assert done(machine, TASKLET) == times
        assert machine.memory.number(TASKLET + STATE) == 0
        assert held(machine) == []


def test_a_tasklet_finds_itself_in_a_soft_interrupt(machine: Machine) -> None:
    set_up(machine)
    at = machine.kernel_symbols.preempt_count
    # movabs preempt_count, %rax; mov (%rax), %eax; mov %eax, 512(%rdi)
    code = f"48b8{at.to_bytes(8, 'little').hex()}8b00898700020000c3"
    machine.memory.put(TASKLET + CALLBACK, put_code(machine, code, at=512))
    schedule(machine)
    run(machine, "msleep", 8)
    assert machine.memory.number(TASKLET + 512, 4) == 1 << 8
    assert machine.memory.number(at, 4) == 0


def test_a_tasklet_that_is_disabled_runs_when_it_is_enabled(machine: Machine) -> None:
    set_up(machine)
    machine.memory.put(TASKLET + DISABLED, 1, 4)
    schedule(machine)
    run(machine, "msleep", 100)
    assert done(machine, TASKLET) == 0
    assert machine.memory.number(TASKLET + STATE) == SCHEDULED
    machine.memory.put(TASKLET + DISABLED, 0, 4)
    run(machine, "msleep", 8)
    assert done(machine, TASKLET) == 1


def test_a_tasklet_is_killed_when_it_has_run(machine: Machine) -> None:
    set_up(machine)
    run(machine, "tasklet_kill", TASKLET)
    schedule(machine)
    run(machine, "tasklet_kill", TASKLET)
    assert (done(machine, TASKLET), held(machine)) == (1, [])


def test_a_tasklet_that_is_disabled_cannot_be_killed(machine: Machine) -> None:
    set_up(machine)
    machine.memory.put(TASKLET + DISABLED, 1, 4)
    schedule(machine)
    with pytest.raises(Crash, match="blocked for more than 120 seconds"):
        run(machine, "tasklet_kill", TASKLET)


def test_a_tasklet_of_a_module_that_goes_does_not_run(machine: Machine) -> None:
    set_up(machine)
    with machine.running("sample"):
        machine.memory.put(TASKLET + STATE, SCHEDULED)
        enter(machine, "__tasklet_schedule", TASKLET)
    assert unload(machine) == [("tasklet", "a tasklet that is still scheduled")]
    settle(machine)
    assert done(machine, TASKLET) == 0
