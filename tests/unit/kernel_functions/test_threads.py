# SPDX-License-Identifier: Apache-2.0
"""Kernel threads, and the workers that some of them are (kernel/kthread.c)."""

import errno
from dataclasses import replace

import pytest

from kmodd.kernel.emulated.machine.clock import HZ
from tests.support.kernel_calls import (
    CODE,
    Crash,
    call_code,
    error_pointer,
    having,
    held,
    put_calls,
    put_code,
    put_text,
    run,
    settle,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

NAME, COMPLETION, WORK, DATA, MODULE = (ROOM + at for at in (0, 256, 512, 768, 1024))
COMM, PID, STATE = 2976, 2416, 24
"""Offsets in ``struct task_struct``."""

NOTE_AND_RETURN = "48ff07b8f9ffffffc3"
"""x86 code: incq (%rdi); mov $-7, %eax; ret"""

NOTE_WORK = "48ff4740c3"
"""x86 code: incq 64(%rdi); ret"""


def create(machine: Machine, code: int = CODE, data: int = DATA) -> int:
    name = put_text(machine, b"worker/%d of a long name", NAME)
    return run(machine, "kthread_create_on_node", code, data, -1, name, 3)


def test_a_thread_has_a_name_and_a_number_and_waits_to_be_woken() -> None:
    machine = new_machine()
    put_code(machine, NOTE_AND_RETURN)
    first, second = create(machine), create(machine)
    assert machine.memory.string(first + COMM) == b"worker/3 of a l"
    numbers = [machine.memory.number(each + PID, 4) for each in (first, second)]
    assert len(set(numbers)) == 2
    assert held(machine) == [("thread", "thread 'worker/3 of a long name'")] * 2
    settle(machine)
    assert machine.memory.number(DATA) == 0


def test_a_thread_on_a_processor_has_its_number_in_its_name() -> None:
    machine = new_machine()
    name = put_text(machine, b"each/%u", NAME)
    struct = run(machine, "kthread_create_on_cpu", CODE, DATA, 0, name)
    assert machine.memory.string(struct + COMM) == b"each/0"
    assert held(machine) == [("thread", "thread 'each/0'")]


@pytest.mark.parametrize("name", ["wake_up_process", "kthread_unpark"])
def test_a_thread_runs_once_it_is_woken_and_is_then_on_nobodys_account(name: str) -> None:
    machine = new_machine()
    put_code(machine, NOTE_AND_RETURN)
    struct = create(machine)
    assert run(machine, name, struct) == (name == "wake_up_process")
    assert len(held(machine)) == 1
    settle(machine)
    assert (machine.memory.number(DATA), held(machine)) == (1, [])
    assert run(machine, "kthread_stop", struct) == -7
    assert run(machine, "wake_up_process", struct) == 0


def test_a_thread_that_never_began_is_stopped_before_it_does() -> None:
    machine = new_machine()
    put_code(machine, NOTE_AND_RETURN)
    struct = create(machine)
    assert run(machine, "kthread_stop", struct) == -errno.EINTR
    settle(machine)
    assert (machine.memory.number(DATA), held(machine)) == (0, [])
    assert machine.heap.size(struct) is None


@pytest.mark.parametrize("struct", [0, error_pointer(errno.ENOMEM)])
@pytest.mark.parametrize("name", ["kthread_stop", "wake_up_process"])
def test_what_is_no_thread_is_an_oops(name: str, struct: int) -> None:
    with pytest.raises(Crash):
        run(new_machine(), name, struct)


def put_loop(machine: Machine, asks: str) -> int:
    """Store a thread that sleeps a second at a time until it should stop, and then returns 9."""
    ask = call_code(machine, asks, 0)
    sleep = call_code(machine, "schedule_timeout_interruptible", HZ)
    length = len(bytes.fromhex(ask + sleep))
    over = f"84c075{len(bytes.fromhex(sleep)) + 2:02x}"
    again = f"eb{256 - length - 6:02x}"
    return put_code(machine, f"4883ec08{ask}{over}{sleep}{again}b8090000004883c408c3")


@pytest.mark.parametrize("asks", ["kthread_should_stop", "kthread_freezable_should_stop"])
def test_a_thread_is_told_that_it_should_stop_and_waited_for(asks: str) -> None:
    machine = new_machine()
    assert run(machine, asks, 0) == 0
    struct = create(machine, put_loop(machine, asks))
    run(machine, "wake_up_process", struct)
    run(machine, "msleep", 2500)
    assert machine.memory.number(struct + STATE, 4) == 1
    before = machine.clock.ticks
    assert run(machine, "kthread_stop", struct) == 9
    assert machine.clock.ticks - before < HZ
    assert (held(machine), machine.heap.size(struct)) == ([], None)


def test_a_thread_that_runs_is_not_woken() -> None:
    machine = new_machine()
    code = put_calls(machine, ("msleep", 3000), ("complete", COMPLETION))
    struct = create(machine, code)
    assert [run(machine, "wake_up_process", struct) for _ in range(3)] == [1, 0, 0]
    run(machine, "msleep", 1000)
    assert machine.memory.number(COMPLETION, 4) == 0
    settle(machine)
    assert machine.memory.number(COMPLETION, 4) == 1


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (("kthread_exit", 5), 5),
        (("kthread_complete_and_exit", COMPLETION, 6), 6),
        (("kthread_complete_and_exit", 0, -6), -6),
        (("__module_put_and_kthread_exit", MODULE, 7), 7),
    ],
)
def test_a_thread_ends_in_the_middle_of_its_code(call: tuple[str | int, ...], result: int) -> None:
    released = list[str]()
    machine = new_machine()
    machine.services = replace(machine.services, release=released.append)
    put_text(machine, b"sample", MODULE + 24)
    struct = create(machine, put_calls(machine, call, ("complete_all", DATA)))
    run(machine, "wake_up_process", struct)
    assert run(machine, "kthread_stop", struct) == result
    assert machine.memory.number(DATA, 4) == 0
    assert machine.memory.number(COMPLETION, 4) == (COMPLETION in call)
    assert released == ["sample"] * (MODULE in call)


def test_a_thread_that_ends_leaves_complete_what_was_completed_for_all() -> None:
    machine = new_machine()
    run(machine, "complete_all", COMPLETION)
    struct = create(machine, put_calls(machine, ("kthread_complete_and_exit", COMPLETION, 0)))
    run(machine, "wake_up_process", struct)
    assert run(machine, "kthread_stop", struct) == 0
    assert [run(machine, "try_wait_for_completion", COMPLETION) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["kthread_exit", "kthread_complete_and_exit"])
def test_who_is_no_thread_does_not_end_like_one(name: str) -> None:
    with pytest.raises(Crash, match="a thread's end outside of any thread"):
        run(new_machine(), name, 0, 0)


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_thread_of_a_module_that_goes_goes_with_it(is_begun: bool) -> None:
    machine = new_machine()
    struct = create(machine, put_calls(machine, ("msleep", 1000), ("complete", COMPLETION)))
    if is_begun:
        run(machine, "wake_up_process", struct)
        run(machine, "msleep", 100)
    assert unload(machine) == [("thread", "thread 'worker/3 of a long name'")]
    settle(machine)
    assert machine.memory.number(COMPLETION, 4) == 0
    assert machine.heap.size(struct) is None


def test_a_crash_ends_the_thread_alone() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    # mov 8, %eax
    struct = create(machine, put_code(machine, "8b042508000000c3"))
    run(machine, "wake_up_process", struct)
    settle(machine)
    assert lines[0] == "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    assert held(machine) == []


WORKERS = {
    "kthread_create_worker": (0,),
    "kthread_create_worker_on_cpu": (0, 0),
    "kthread_create_worker_on_node": (0, 0),
}


def worker(machine: Machine, name: str = "kthread_create_worker") -> int:
    return run(machine, name, *WORKERS[name], put_text(machine, b"job%d", NAME), 3)


def new_work(machine: Machine, code: int = CODE) -> int:
    """Make a ``struct kthread_work``."""
    machine.memory.write(WORK, bytes(128))
    machine.memory.put(WORK + 16, code)
    return WORK


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_does_what_is_queued_and_goes_when_it_is_destroyed(name: str) -> None:
    machine = new_machine()
    put_code(machine, NOTE_WORK)
    one = worker(machine, name)
    run(machine, "__kthread_init_worker", one, NAME, 0)
    assert held(machine) == [("worker thread", "thread 'job3'")]
    assert machine.memory.string(machine.memory.number(one + 40) + COMM) == b"job3"
    work = new_work(machine)
    assert [run(machine, "kthread_queue_work", one, work) for _ in range(2)] == [1, 0]
    assert machine.memory.number(WORK + 64) == 0
    run(machine, "kthread_flush_work", work)
    assert machine.memory.number(WORK + 64) == 1
    assert run(machine, "kthread_queue_work", one, work) == 1
    run(machine, "kthread_destroy_worker", one)
    assert (machine.memory.number(WORK + 64), held(machine)) == (2, [])
    assert machine.heap.size(one) is None


def test_the_name_of_a_worker_on_a_processor_has_its_number_since_6_14() -> None:
    machine = new_machine()
    with having(kthread_create_worker_on_cpu="pi4p"):
        run(machine, "kthread_create_worker_on_cpu", 3, 0, put_text(machine, b"job/%u", NAME))
    assert held(machine) == [("worker thread", "thread 'job/3'")]


def test_a_worker_is_flushed_of_its_own_work() -> None:
    machine = new_machine()
    put_code(machine, NOTE_WORK)
    run(machine, "kthread_queue_work", worker(machine), new_work(machine))
    run(machine, "kthread_flush_worker", worker(machine))
    assert machine.memory.number(WORK + 64) == 0
    one = worker(machine)
    work = new_work(machine)
    run(machine, "kthread_cancel_work_sync", work)
    run(machine, "kthread_queue_work", one, work)
    run(machine, "kthread_flush_worker", one)
    assert machine.memory.number(WORK + 64) == 1


def test_work_is_cancelled_before_it_has_begun() -> None:
    machine = new_machine()
    put_code(machine, NOTE_WORK)
    one, work = worker(machine), new_work(machine)
    assert run(machine, "kthread_cancel_work_sync", work) == 0
    run(machine, "kthread_queue_work", one, work)
    assert len(held(machine)) == 2
    assert run(machine, "kthread_cancel_work_sync", work) == 1
    settle(machine)
    assert (machine.memory.number(WORK + 64), held(machine)) == (
        0,
        [("worker thread", "thread 'job3'")],
    )


def test_a_worker_that_is_left_goes_with_its_module_and_its_work() -> None:
    machine = new_machine()
    put_code(machine, NOTE_WORK)
    one, work = worker(machine), new_work(machine)
    run(machine, "kthread_queue_work", one, work)
    assert unload(machine)[0] == ("worker thread", "thread 'job3'")
    settle(machine)
    assert machine.memory.number(WORK + 64) == 0
    assert machine.heap.size(one) is None


@pytest.mark.parametrize(
    "name",
    [
        "kthread_should_park",
        "kthread_park",
        "set_cpus_allowed_ptr",
        "kthread_bind",
        "kthread_parkme",
        "kthread_delayed_work_timer_fn",
        "set_user_nice",
        "sched_set_fifo",
        "sched_set_fifo_low",
        "sched_set_normal",
    ],
)
def test_where_and_how_soon_a_thread_runs_makes_no_difference(name: str) -> None:
    machine = new_machine()
    put_code(machine, NOTE_AND_RETURN)
    struct = create(machine)
    assert run(machine, name, struct, 0) == 0
    run(machine, "wake_up_process", struct)
    assert run(machine, "kthread_stop", struct) == -7
