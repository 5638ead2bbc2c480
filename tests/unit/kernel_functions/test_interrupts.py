# SPDX-License-Identifier: Apache-2.0
"""Interrupts and DMA channels that drivers ask for (kernel/irq/manage.c, kernel/dma.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    Callback,
    call_code,
    callback,
    held,
    put_code,
    put_text,
    run,
    settle,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

SHARED, COND_SUSPEND, NO_SUSPEND, NO_AUTOEN = 0x80, 0x40000, 0x4000, 0x80000
HANDLER, DEVICE, OTHER = ROOM, ROOM + 64, ROOM + 128
LINE = 11
ONE_SHOT = 0x2000
HANDLED, WAKE_THREAD = 1, 2
DONE = ROOM + 192


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def request(
    machine: Machine, flags: int = 0, device: int = DEVICE, *, number: int = LINE, name: int = 0
) -> int:
    return run(machine, "request_threaded_irq", number, HANDLER, 0, flags, name, device)


def test_an_interrupt_is_on_the_account_until_it_is_freed(machine: Machine) -> None:
    handler, name = callback(machine), put_text(machine, "serial")
    code = run(machine, "request_threaded_irq", LINE, handler.address, 0, 0, name, DEVICE)
    assert code == 0
    assert held(machine) == [("interrupt", "interrupt 11 'serial'")]
    assert run(machine, "free_irq", LINE, DEVICE) == name
    assert (held(machine), handler.calls) == ([], 0)


def test_what_nobody_has_is_not_freed() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    request(machine)
    assert run(machine, "free_irq", LINE, OTHER) == 0
    assert run(machine, "free_irq", LINE + 1, DEVICE) == 0
    assert (len(held(machine)), len(lines)) == (1, 2)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (SHARED, SHARED, 0),
        (SHARED, 0, -errno.EBUSY),
        (0, SHARED, -errno.EBUSY),
        (0, 0, -errno.EBUSY),
    ],
)
def test_an_interrupt_is_shared_where_all_share_it(
    machine: Machine, first: int, second: int, code: int
) -> None:
    assert request(machine, first) == 0
    assert request(machine, second, OTHER) == code
    assert request(machine, 0, number=LINE + 1) == 0
    assert [name for _, name in held(machine)].count("interrupt 11") == (1 if code else 2)
    run(machine, "free_irq", LINE, DEVICE)
    if code:
        assert request(machine, second, OTHER) == 0
    assert [name for _, name in held(machine)].count("interrupt 11") == 1


WRONG = [
    ((1 << 31, HANDLER, 0, 0, DEVICE), -errno.ENOTCONN),
    ((1 << 20, HANDLER, 0, 0, DEVICE), -errno.EINVAL),
    ((LINE, 0, 0, 0, DEVICE), -errno.EINVAL),
    ((LINE, HANDLER, 0, SHARED, 0), -errno.EINVAL),
    ((LINE, HANDLER, 0, SHARED | NO_AUTOEN, DEVICE), -errno.EINVAL),
    ((LINE, HANDLER, 0, COND_SUSPEND, DEVICE), -errno.EINVAL),
    ((LINE, HANDLER, 0, SHARED | COND_SUSPEND | NO_SUSPEND, DEVICE), -errno.EINVAL),
    ((LINE, 0, HANDLER, 0, DEVICE), 0),
    ((LINE, HANDLER, 0, SHARED | COND_SUSPEND, DEVICE), 0),
    ((0, HANDLER, 0, SHARED, DEVICE), -errno.EBUSY),  # the timer's
]


@pytest.mark.parametrize(("how", "code"), WRONG)
def test_what_no_driver_can_ask_for_is_refused(
    machine: Machine, how: tuple[int, int, int, int, int], code: int
) -> None:
    number, handler, thread, flags, device = how
    words = number, handler, thread, flags, 0, device
    assert run(machine, "request_threaded_irq", *words) == code
    assert len(held(machine)) == (not code)
    assert run(machine, "devm_request_threaded_irq", ROOM, *words) == code


def handler(
    machine: Machine, result: int = HANDLED, *, thread: int = 0, flags: int = 0
) -> Callback:
    """A handler that is there for ``LINE``."""
    made = callback(machine, result)
    code = run(machine, "request_threaded_irq", LINE, made.address, thread, flags, 0, made.address)
    assert code == 0
    return made


def come(machine: Machine, number: int = LINE) -> int:
    """Have an interrupt come, and what follows it."""
    code = run(machine, "irq_inject_interrupt", number)
    settle(machine)
    return code


def test_an_interrupt_calls_all_who_share_it(machine: Machine) -> None:
    one, other = (handler(machine, flags=SHARED) for _ in range(2))
    assert come(machine) == 0
    assert (one.calls, other.calls) == (1, 1)
    assert one.arguments[:2] == (LINE, one.address)
    run(machine, "free_irq", LINE, one.address)
    come(machine)
    assert (one.calls, other.calls) == (1, 2)
    assert come(machine, LINE + 1) == -errno.EINVAL


def test_a_handler_finds_itself_in_a_hard_interrupt(machine: Machine) -> None:
    at = machine.kernel_symbols.preempt_count
    # mov preempt_count, %eax; mov %rax, DONE; pushf; popq DONE+8; mov $1, %eax; ret
    code = put_code(
        machine,
        f"48b8{at.to_bytes(8, 'little').hex()}8b00"
        f"48a3{DONE.to_bytes(8, 'little').hex()}9c"
        f"48b9{(DONE + 8).to_bytes(8, 'little').hex()}8f01b801000000c3",
    )
    run(machine, "request_threaded_irq", LINE, code, 0, 0, 0, 0)
    come(machine)
    assert machine.memory.number(DONE, 4) == 1 << 16
    assert machine.memory.number(DONE + 8) & 0x200 == 0
    assert machine.memory.number(at, 4) == 0
    assert machine.cpu.interrupts_on


def test_a_thread_does_the_rest_where_the_handler_says_so(machine: Machine) -> None:
    thread = callback(machine, HANDLED)
    upper = handler(machine, WAKE_THREAD, thread=thread.address)
    come(machine)
    assert (upper.calls, thread.calls) == (1, 1)
    assert thread.arguments[:2] == (LINE, upper.address)
    run(machine, "free_irq", LINE, upper.address)
    idle = callback(machine)
    handler(machine, HANDLED, thread=idle.address)
    come(machine)
    assert idle.calls == 0


def test_a_thread_alone_does_everything(machine: Machine) -> None:
    thread = callback(machine, HANDLED)
    run(machine, "request_threaded_irq", LINE, 0, thread.address, ONE_SHOT, 0, DEVICE)
    come(machine)
    assert thread.arguments[:2] == (LINE, DEVICE)


def sleeping_thread(machine: Machine, flags: int) -> Callback:
    """A handler whose thread waits for a completion at ``DONE``, and counts behind it."""
    # sub $8, %rsp; the call; movabs $DONE + 64, %rax; incq (%rax); mov $1, %eax; add $8, %rsp; ret
    counting = f"48b8{(DONE + 64).to_bytes(8, 'little').hex()}48ff00b801000000"
    code = f"4883ec08{call_code(machine, 'wait_for_completion', DONE)}{counting}4883c408c3"
    return handler(machine, WAKE_THREAD, thread=put_code(machine, code), flags=flags)


def count(machine: Machine) -> int:
    settle(machine)
    return machine.memory.number(DONE + 64)


def test_a_thread_that_is_woken_while_it_runs_runs_once_more(machine: Machine) -> None:
    upper = sleeping_thread(machine, 0)
    for _ in range(3):
        come(machine)
    assert (upper.calls, count(machine)) == (3, 0)
    run(machine, "complete_all", DONE)
    assert count(machine) == 2


def test_an_interrupt_waits_for_a_thread_that_has_it_to_itself(machine: Machine) -> None:
    upper = sleeping_thread(machine, ONE_SHOT)
    for _ in range(3):
        come(machine)
    assert (upper.calls, count(machine)) == (1, 0)
    run(machine, "complete_all", DONE)
    assert (count(machine), upper.calls) == (2, 2)


def test_who_frees_an_interrupt_waits_for_its_thread(machine: Machine) -> None:
    upper = sleeping_thread(machine, 0)
    come(machine)
    machine.scheduler.arm(1, machine.clock.ticks + 5, "sample", lambda: complete(machine))
    run(machine, "synchronize_irq", LINE)
    assert machine.memory.number(DONE + 64) == 1
    come(machine)
    run(machine, "free_irq", LINE, upper.address)
    assert (count(machine), held(machine)) == (2, [])


def complete(machine: Machine) -> None:
    machine.memory.put(DONE, 0xFFFFFFFF, 4)


def test_a_module_that_goes_takes_its_thread_along(machine: Machine) -> None:
    upper = sleeping_thread(machine, 0)
    come(machine)
    assert unload(machine) == [("interrupt", f"interrupt {LINE}")]
    complete(machine)
    assert (count(machine), upper.calls) == (0, 1)
    assert come(machine) == -errno.EINVAL


@pytest.mark.parametrize("name", ["disable_irq", "disable_irq_nosync", "disable_hardirq"])
def test_what_comes_while_an_interrupt_is_disabled_comes_once_later(
    machine: Machine, name: str
) -> None:
    upper = handler(machine)
    run(machine, name, LINE)
    run(machine, name, LINE)
    assert [come(machine) for _ in range(3)] == [0, 0, 0]
    run(machine, "enable_irq", LINE)
    assert upper.calls == 0
    run(machine, "enable_irq", LINE)
    assert upper.calls == 1
    assert run(machine, "synchronize_hardirq", LINE) == 1


def test_an_interrupt_may_begin_disabled() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    upper = handler(machine, flags=NO_AUTOEN)
    come(machine)
    assert upper.calls == 0
    run(machine, "enable_irq", LINE)
    assert upper.calls == 1
    run(machine, "enable_irq", LINE)
    assert lines == [f"Unbalanced enable for IRQ {LINE}"]
    run(machine, "disable_irq", LINE)
    run(machine, "free_irq", LINE, upper.address)
    fresh = handler(machine)
    come(machine)
    assert fresh.calls == 1


def test_a_handler_that_crashes_leaves_the_others_theirs() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    run(machine, "request_threaded_irq", LINE, put_code(machine, "0f0b"), 0, SHARED, 0, DEVICE)
    other = handler(machine, flags=SHARED)
    come(machine)
    assert other.calls == 1
    assert any("invalid opcode" in line for line in lines)
    assert machine.memory.number(machine.kernel_symbols.preempt_count, 4) == 0


def test_a_dma_channel_is_one_of_eight_and_its_own(machine: Machine) -> None:
    codes = [run(machine, "request_dma", each, 0) for each in range(9)]
    assert codes == [*(0, 0, 0, 0, -errno.EBUSY, 0, 0, 0, -errno.EINVAL)]
    assert held(machine)[0] == ("DMA channel", "DMA channel 0")
    assert run(machine, "request_dma", 3, 0) == -errno.EBUSY
    run(machine, "free_dma", 3)
    run(machine, "free_dma", 3)
    assert run(machine, "request_dma", 3, 0) == 0


def test_a_module_that_goes_without_them_leaves_them_to_others(machine: Machine) -> None:
    request(machine)
    run(machine, "request_dma", 3, 0)
    unload(machine)
    assert held(machine) == []
    assert request(machine) == run(machine, "request_dma", 3, 0) == 0
