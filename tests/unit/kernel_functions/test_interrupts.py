# SPDX-License-Identifier: Apache-2.0
"""Interrupts and DMA channels that drivers ask for (kernel/irq/manage.c, kernel/dma.c)."""

import errno

import pytest

from tests.support.kernel_calls import callback, held, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

SHARED, COND_SUSPEND, NO_SUSPEND, NO_AUTOEN = 0x80, 0x40000, 0x4000, 0x80000
HANDLER, DEVICE, OTHER = ROOM, ROOM + 64, ROOM + 128
LINE = 11


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
