# SPDX-License-Identifier: Apache-2.0
"""Timers that fire as the machine's clock goes on (kernel/time/timer.c, hrtimer.c)."""

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import CODE, Crash, call_code, held, put_code, run, settle, unload
from tests.support.machine import ROOM, Machine, new_machine

TIMER = ROOM
PENDING, EXPIRES, FUNCTION, FLAGS = 8, 16, 24, 32
"""Offsets in ``struct timer_list``."""

SOFT_EXPIRES, HR_EXPIRES, HR_FUNCTION, HR_STATE = 32, 24, 40, 56
"""Offsets in ``struct hrtimer``."""

FIRED = 128
"""Where the timers' function counts, behind the timer."""

COUNT = "48ff8780000000c3"
"""x86 code: incq 128(%rdi); ret"""

COUNT_AND_STOP = "48ff878000000031c0c3"
"""x86 code: incq 128(%rdi); xor %eax, %eax; ret"""

ABSOLUTE, RELATIVE, SOFT = 0, 1, 4
TICK = 1_000_000_000 // HZ
MILLISECOND = 1_000_000


def jiffies(machine: Machine) -> int:
    return machine.memory.number(machine.kernel_symbols.jiffies)


def fired(machine: Machine) -> int:
    return machine.memory.number(TIMER + FIRED)


def sleep(machine: Machine, ticks: int) -> None:
    run(machine, "msleep", ticks * 1000 // HZ)


@pytest.fixture
def machine() -> Machine:
    """A machine with a timer that is set up."""
    made = new_machine()
    put_code(made, COUNT)
    made.memory.write(TIMER, b"\xff" * 40)
    run(made, "init_timer_key", TIMER, CODE, 0x12, 0, 0)
    return made


def test_a_timer_is_set_up_by_either_name() -> None:
    machine = new_machine()
    run(machine, "timer_init_key", TIMER, CODE, 0x12, 0, 0)
    assert machine.memory.number(TIMER + FUNCTION) == CODE


def test_a_timer_that_is_set_up_is_not_armed(machine: Machine) -> None:
    assert machine.memory.number(TIMER + PENDING) == 0
    assert machine.memory.number(TIMER + FUNCTION) == CODE
    assert machine.memory.number(TIMER + FLAGS, 4) == 0x12
    assert held(machine) == []


@pytest.mark.parametrize("name", ["mod_timer", "timer_reduce"])
def test_a_timer_fires_once_when_it_is_due(machine: Machine, name: str) -> None:
    due = jiffies(machine) + 50
    assert run(machine, name, TIMER, due) == 0
    assert machine.memory.number(TIMER + EXPIRES) == due
    assert machine.memory.number(TIMER + PENDING) != 0
    ((kind, booked),) = held(machine)
    assert kind == "timer"
    assert booked.startswith("a timer that is still armed: ")
    sleep(machine, 49)
    assert fired(machine) == 0
    sleep(machine, 1)
    assert (fired(machine), held(machine)) == (1, [])
    assert machine.memory.number(TIMER + PENDING) == 0
    settle(machine)
    assert fired(machine) == 1


def test_a_timer_is_moved(machine: Machine) -> None:
    now = jiffies(machine)
    assert run(machine, "mod_timer", TIMER, now + 50) == 0
    assert run(machine, "mod_timer", TIMER, now + 100) == 1
    assert len(held(machine)) == 1
    sleep(machine, 60)
    assert fired(machine) == 0
    sleep(machine, 40)
    assert fired(machine) == 1


def test_a_timer_is_reduced_but_never_put_off(machine: Machine) -> None:
    now = jiffies(machine)
    run(machine, "mod_timer", TIMER, now + 50)
    assert run(machine, "timer_reduce", TIMER, now + 100) == 1
    assert machine.memory.number(TIMER + EXPIRES) == now + 50
    assert run(machine, "timer_reduce", TIMER, now + 20) == 1
    assert machine.memory.number(TIMER + EXPIRES) == now + 20
    sleep(machine, 20)
    assert fired(machine) == 1


def test_a_timer_that_is_not_armed_is_not_moved_as_if_it_were(machine: Machine) -> None:
    now = jiffies(machine)
    assert run(machine, "mod_timer_pending", TIMER, now + 50) == 0
    assert held(machine) == []
    run(machine, "mod_timer", TIMER, now + 50)
    assert run(machine, "mod_timer_pending", TIMER, now + 10) == 1
    sleep(machine, 10)
    assert fired(machine) == 1


@pytest.mark.parametrize("name", ["add_timer", "add_timer_on"])
def test_a_timer_is_added_for_when_it_says(machine: Machine, name: str) -> None:
    machine.memory.put(TIMER + EXPIRES, jiffies(machine) + 50)
    run(machine, name, TIMER, 0)
    assert len(held(machine)) == 1
    sleep(machine, 50)
    assert fired(machine) == 1


@pytest.mark.parametrize("due", [-10, 0])
def test_a_timer_that_is_overdue_fires_with_the_next_tick(machine: Machine, due: int) -> None:
    run(machine, "mod_timer", TIMER, jiffies(machine) + due)
    assert fired(machine) == 0
    sleep(machine, 1)
    assert fired(machine) == 1


DELETING = (
    "del_timer",
    "del_timer_sync",
    "timer_delete",
    "timer_delete_sync",
    "try_to_del_timer_sync",
    "timer_shutdown",
    "timer_shutdown_sync",
)


@pytest.mark.parametrize("name", DELETING)
def test_a_timer_that_is_deleted_does_not_fire(machine: Machine, name: str) -> None:
    assert run(machine, name, TIMER) == 0
    run(machine, "init_timer_key", TIMER, CODE, 0, 0, 0)
    run(machine, "mod_timer", TIMER, jiffies(machine) + 50)
    assert run(machine, name, TIMER) == 1
    assert held(machine) == []
    assert machine.memory.number(TIMER + PENDING) == 0
    assert run(machine, name, TIMER) == 0
    settle(machine)
    assert fired(machine) == 0
    # What was shut down is not armed any more.
    run(machine, "mod_timer", TIMER, jiffies(machine) + 50)
    settle(machine)
    assert fired(machine) == ("shutdown" not in name)


def test_a_timer_may_arm_itself_again(machine: Machine) -> None:
    again = call_code(machine, "mod_timer", TIMER, jiffies(machine) + 100)
    put_code(machine, f"4883ec0848ff8780000000{again}4883c408c3")
    run(machine, "mod_timer", TIMER, jiffies(machine) + 50)
    sleep(machine, 60)
    assert (fired(machine), len(held(machine))) == (1, 1)
    sleep(machine, 40)
    assert fired(machine) == 2


def test_a_timer_of_a_module_that_goes_does_not_fire(machine: Machine) -> None:
    run(machine, "mod_timer", TIMER, jiffies(machine) + 50)
    ((kind, left),) = unload(machine)
    assert kind == "timer"
    assert left.startswith("a timer that is still armed: ")
    settle(machine)
    assert fired(machine) == 0


def test_a_timer_that_crashes_ends_nothing_else() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    run(machine, "init_timer_key", TIMER, put_code(machine, "8b042508000000c3"), 0, 0, 0)
    run(machine, "mod_timer", TIMER, jiffies(machine) + 1)
    sleep(machine, 5)
    assert lines[0] == "BUG: kernel NULL pointer dereference, address: 0000000000000008"


@pytest.mark.parametrize("name", ["init_timer_key", "mod_timer", "hrtimer_init"])
def test_a_timer_that_is_nowhere_is_an_oops(name: str) -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), name, 0, 0, 0)


def test_an_hrtimer_is_set_up_with_its_function_since_6_13() -> None:
    machine = new_machine()
    machine.memory.write(TIMER, b"\xff" * 64)
    run(machine, "hrtimer_setup", TIMER, put_code(machine, COUNT_AND_STOP), 1, RELATIVE)
    assert machine.memory.number(TIMER + HR_EXPIRES) == 0
    run(machine, "hrtimer_start_range_ns", TIMER, TICK, 0, RELATIVE)
    sleep(machine, 2)
    assert fired(machine) == 1


def new_hrtimer(code: str = COUNT_AND_STOP) -> Machine:
    machine = new_machine()
    machine.memory.write(TIMER, b"\xff" * 64)
    run(machine, "hrtimer_init", TIMER, 1, RELATIVE)
    assert machine.memory.read(TIMER, 64) == bytes(64)
    machine.memory.put(TIMER + HR_FUNCTION, put_code(machine, code))
    return machine


@pytest.mark.parametrize(("mode", "offset"), [(RELATIVE, 0), (ABSOLUTE, 10)])
def test_an_hrtimer_fires_after_its_nanoseconds(mode: int, offset: int) -> None:
    machine = new_hrtimer()
    sleep(machine, 10)
    run(machine, "hrtimer_start_range_ns", TIMER, (50 + offset) * TICK, 0, mode)
    assert machine.memory.number(TIMER + HR_EXPIRES) == 60 * TICK
    assert machine.memory.number(TIMER + SOFT_EXPIRES) == 60 * TICK
    assert machine.memory.number(TIMER + HR_STATE, 1) == 1
    assert run(machine, "hrtimer_active", TIMER) == 1
    assert run(machine, "__hrtimer_get_remaining", TIMER, 0) == 50 * TICK
    assert len(held(machine)) == 1
    sleep(machine, 49)
    assert fired(machine) == 0
    sleep(machine, 1)
    assert (fired(machine), held(machine)) == (1, [])
    assert run(machine, "hrtimer_active", TIMER) == 0
    assert machine.memory.number(TIMER + HR_STATE, 1) == 0
    sleep(machine, 5)
    assert run(machine, "__hrtimer_get_remaining", TIMER, 0) == -5 * TICK


STORE_CONTEXT = "48b8{at}8b00898780000000{after}c3"
"""x86 code: mov (at), %eax; mov %eax, 128(%rdi)"""


def test_timers_find_themselves_in_interrupts(machine: Machine) -> None:
    at = machine.kernel_symbols.preempt_count.to_bytes(8, "little").hex()
    put_code(machine, STORE_CONTEXT.format(at=at, after=""))
    run(machine, "mod_timer", TIMER, jiffies(machine) + 1)
    sleep(machine, 2)
    assert fired(machine) == 1 << 8
    for mode, kind in ((RELATIVE, 1 << 16), (RELATIVE | SOFT, 1 << 8)):
        run(machine, "hrtimer_init", TIMER, 1, mode)
        machine.memory.put(TIMER + FIRED, 0)
        code = put_code(machine, STORE_CONTEXT.format(at=at, after="31c0"), at=256)
        machine.memory.put(TIMER + HR_FUNCTION, code)
        run(machine, "hrtimer_start_range_ns", TIMER, TICK, 0, mode)
        sleep(machine, 3)
        assert fired(machine) == kind
    assert machine.memory.number(machine.kernel_symbols.preempt_count, 4) == 0


def test_an_hrtimer_that_says_so_is_armed_again() -> None:
    machine = new_hrtimer()
    forward = call_code(machine, "hrtimer_forward", TIMER, 50 * TICK, 30 * TICK)
    put_code(machine, f"4883ec0848ff8780000000{forward}b8010000004883c408c3")
    run(machine, "hrtimer_start_range_ns", TIMER, 50 * TICK, 0, RELATIVE)
    sleep(machine, 79)
    assert (fired(machine), len(held(machine))) == (1, 1)
    sleep(machine, 1)
    assert fired(machine) == 2


@pytest.mark.parametrize(
    ("now", "interval", "overruns", "expires"),
    [
        (9, 3, 0, 10),
        (10, 3, 1, 13),
        (12, 3, 1, 13),
        (13, 3, 2, 16),
        (20, 3, 4, 22),
        (10, 0, 1, 10 + 1 / MILLISECOND),
    ],
)
def test_an_hrtimer_is_forwarded_by_whole_intervals(
    now: int, interval: int, overruns: int, expires: float
) -> None:
    machine = new_hrtimer()
    machine.memory.put(TIMER + HR_EXPIRES, 10 * MILLISECOND)
    arguments = (TIMER, now * MILLISECOND, interval * MILLISECOND)
    assert run(machine, "hrtimer_forward", *arguments) == overruns
    assert machine.memory.number(TIMER + HR_EXPIRES) == round(expires * MILLISECOND)


def test_an_hrtimer_that_is_armed_is_not_forwarded() -> None:
    machine = new_hrtimer()
    run(machine, "hrtimer_start_range_ns", TIMER, 50 * TICK, 0, ABSOLUTE)
    assert run(machine, "hrtimer_forward", TIMER, 100 * TICK, TICK) == 0
    assert machine.memory.number(TIMER + HR_EXPIRES) == 50 * TICK


@pytest.mark.parametrize("name", ["hrtimer_cancel", "hrtimer_try_to_cancel"])
def test_an_hrtimer_that_is_cancelled_does_not_fire(name: str) -> None:
    machine = new_hrtimer()
    assert run(machine, name, TIMER) == 0
    run(machine, "hrtimer_start_range_ns", TIMER, 50 * TICK, 0, RELATIVE)
    assert run(machine, name, TIMER) == 1
    assert (held(machine), machine.memory.number(TIMER + HR_STATE, 1)) == ([], 0)
    assert run(machine, name, TIMER) == 0
    settle(machine)
    assert fired(machine) == 0


def test_an_hrtimer_of_a_module_that_goes_does_not_fire() -> None:
    machine = new_hrtimer()
    run(machine, "hrtimer_start_range_ns", TIMER, 50 * TICK, 0, RELATIVE)
    assert len(unload(machine)) == 1
    settle(machine)
    assert fired(machine) == 0
