# SPDX-License-Identifier: Apache-2.0
"""Interrupts and DMA channels that drivers ask for (kernel/irq/manage.c, kernel/dma.c).

None ever comes; who has one keeps others from it.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_KIND, _CHANNEL = "interrupt", "DMA channel"
_ACTION_SIZE = 128
_SHARED, _COND_SUSPEND, _NO_SUSPEND, _NO_AUTOEN = 0x80, 0x40000, 0x4000, 0x80000
_NOT_CONNECTED, _INTERRUPTS = 1 << 31, 256
_CHANNELS, _CASCADE = 8, 4


@dataclass(frozen=True, slots=True)
class Action:
    """What is done when an interrupt comes; ``device`` tells one that is shared from others."""

    number: int
    device: int
    flags: int
    name: int


@dataclass(slots=True)
class Interrupts:
    """The ``actions`` that drivers have asked for, by where each is."""

    actions: dict[int, Action] = field(default_factory=dict)


def refusal(number: int, handler: int, thread: int, flags: int, device: int) -> int:
    """Return why nobody can have an interrupt so: an errno below zero, or 0."""
    if number == _NOT_CONNECTED:
        return -errno.ENOTCONN
    is_shared, is_conditional = bool(flags & _SHARED), bool(flags & _COND_SUSPEND)
    is_wrong = (
        (is_shared and (not device or flags & _NO_AUTOEN))
        or (is_conditional and (not is_shared or flags & _NO_SUSPEND))
        or number >= _INTERRUPTS
        or not (handler or thread)
    )
    if is_wrong:
        return -errno.EINVAL
    # The timer of a PC has it, and shares it with nobody.
    return 0 if number else -errno.EBUSY


def _actions(machine: Machine) -> dict[int, Action]:
    return machine.state(Interrupts).actions


@function(
    "int request_threaded_irq(unsigned int irq, irq_handler_t handler, irq_handler_t thread_fn,"
    " unsigned long flags, const char *name, void *dev)"
)
def request_threaded_irq(
    machine: Machine, number: int, handler: int, thread: int, flags: int, name: int, device: int
) -> int:
    code = refusal(number, handler, thread, flags, device)
    if code:
        return code
    others = [each for each in _actions(machine).values() if each.number == number]
    if not all(each.flags & flags & _SHARED for each in others):
        return -errno.EBUSY
    made = machine.heap.allocate(_ACTION_SIZE)
    _actions(machine)[made] = Action(number, device, flags, name)
    who = f" '{machine.memory.text(name, 64)}'" if name else ""
    machine.ledger.take(_KIND, made, f"{_KIND} {number}{who}")
    return 0


@function("const void *free_irq(unsigned int irq, void *dev_id)")
def free_irq(machine: Machine, number: int, device: int) -> int:
    """Returns the name that it was asked for with."""
    for made, action in _actions(machine).items():
        if (action.number, action.device) == (number, device):
            machine.ledger.give(_KIND, made)
            forget_interrupt(machine, made)
            return action.name
    machine.log.write(Level.WARNING, f"Trying to free already-free IRQ {number}\n")
    return 0


@reclaims(_KIND)
def forget_interrupt(machine: Machine, made: int) -> None:
    """Let others have an interrupt."""
    _actions(machine).pop(made, None)
    machine.heap.free(made)


@function("int request_dma(unsigned int dmanr, const char *device_id)")
def request_dma(machine: Machine, number: int, _name: int) -> int:
    if number >= _CHANNELS:
        return -errno.EINVAL
    if number == _CASCADE or machine.ledger.find(_CHANNEL, number) is not None:
        return -errno.EBUSY
    machine.ledger.take(_CHANNEL, number, f"{_CHANNEL} {number}")
    return 0


@function("void free_dma(unsigned int dmanr)")
def free_dma(machine: Machine, number: int) -> None:
    machine.ledger.give(_CHANNEL, number)
