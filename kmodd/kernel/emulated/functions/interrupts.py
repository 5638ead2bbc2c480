# SPDX-License-Identifier: Apache-2.0
"""Interrupts and DMA channels that drivers ask for (kernel/irq/manage.c, kernel/dma.c).

One comes when it is raised from outside, or by a module; who has one keeps others from it.
"""

import errno
from dataclasses import dataclass, field
from functools import partial

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.functions.threads import new_task
from kmodd.kernel.emulated.machine.interrupting import HARD, interrupting
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.scheduler import Task
from kmodd.kernel.emulated.reporting.log import Level

_KIND, _CHANNEL = "interrupt", "DMA channel"
_ACTION_SIZE = 128
_SHARED, _COND_SUSPEND, _NO_SUSPEND, _NO_AUTOEN = 0x80, 0x40000, 0x4000, 0x80000
_ONE_SHOT = 0x2000
_WAKE_THREAD = 2
_NOT_CONNECTED, _INTERRUPTS = 1 << 31, 256
_CHANNELS, _CASCADE = 8, 4


@dataclass(slots=True, eq=False)
class Action:
    """What is done when an interrupt comes; ``device`` tells one that is shared from others.

    ``thread`` is what its thread runs, and ``task`` that thread, while it does. ``is_woken`` means
    that it has to run again.
    """

    number: int
    handler: int
    thread: int
    device: int
    flags: int
    name: int
    task: Task | None = None
    is_woken: bool = False


@dataclass(slots=True)
class Interrupts:
    """The ``actions`` that drivers have asked for, by where each is.

    ``disabled`` tells how often an interrupt was disabled, ``pending`` which came meanwhile.
    """

    actions: dict[int, Action] = field(default_factory=dict)
    disabled: dict[int, int] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)


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


def _of(machine: Machine, number: int) -> list[Action]:
    return [each for each in _actions(machine).values() if each.number == number]


def owners(machine: Machine, number: int) -> tuple[str, ...]:
    """Return the modules that have an interrupt, the first that asked for it first."""
    found = (
        machine.ledger.find(_KIND, made)
        for made, action in _actions(machine).items()
        if action.number == number
    )
    return tuple(entry.module for entry in found if entry is not None)


def raise_interrupt(machine: Machine, number: int) -> bool:
    """Have an interrupt come; tell whether anybody has it.

    The handlers of all who share it are called. One that is disabled, or whose thread has to end
    first (IRQF_ONESHOT), comes later, once.
    """
    actions, state = _of(machine, number), machine.state(Interrupts)
    is_masked = any(each.task is not None and each.flags & _ONE_SHOT for each in actions)
    if actions and (state.disabled.get(number) or is_masked):
        state.pending.add(number)
        return True
    for made, action in tuple(_actions(machine).items()):
        entry = machine.ledger.find(_KIND, made)
        if action.number == number and entry is not None:
            machine.tasks.interrupt(entry.module, partial(_handle, machine, action))
    return bool(actions)


def _handle(machine: Machine, action: Action) -> None:
    """Call a handler, which may have its thread do the rest; without one, that does all."""
    result = _WAKE_THREAD
    if action.handler:
        with interrupting(machine, HARD):
            result = machine.call(action.handler, action.number, action.device)
    if result == _WAKE_THREAD and action.thread:
        _wake(machine, action)


def _wake(machine: Machine, action: Action) -> None:
    """Let a thread run, or once more where it does so already."""
    if action.task is not None:
        action.is_woken = True
        return
    name = machine.memory.string(action.name, 64) if action.name else b""
    struct = new_task(machine, b"irq/%d-%s" % (action.number, name))

    def end(_result: int | None) -> None:
        machine.heap.free(struct)
        action.task = None
        if action.is_woken:
            action.is_woken = False
            _wake(machine, action)
        _come_after_all(machine, action.number)

    module = machine.calls.now.module
    task = Task(action.thread, action.number, module, end, current=struct, more=(action.device,))
    action.task = task
    machine.scheduler.add(task)


def _come_after_all(machine: Machine, number: int) -> None:
    """Have an interrupt come that could not before."""
    state = machine.state(Interrupts)
    if number in state.pending:
        state.pending.discard(number)
        raise_interrupt(machine, number)


@function("int irq_inject_interrupt(unsigned int irq)")
def irq_inject_interrupt(machine: Machine, number: int) -> int:
    """A module raises it itself, for tests."""
    return 0 if raise_interrupt(machine, number) else -errno.EINVAL


@function(
    "void disable_irq(unsigned int irq)",
    "void disable_irq_nosync(unsigned int irq)",
    "bool disable_hardirq(unsigned int irq)",
)
def disable_irq(machine: Machine, number: int) -> int:
    """The interrupts that come meanwhile are one, once it is enabled as often."""
    disabled = machine.state(Interrupts).disabled
    disabled[number] = disabled.get(number, 0) + 1
    return 1


@function("void enable_irq(unsigned int irq)")
def enable_irq(machine: Machine, number: int) -> None:
    disabled = machine.state(Interrupts).disabled
    if not disabled.get(number):
        machine.log.write(Level.WARNING, f"Unbalanced enable for IRQ {number}\n")
        return
    disabled[number] -= 1
    if not disabled[number]:
        del disabled[number]
        _come_after_all(machine, number)


@function("void synchronize_irq(unsigned int irq)", "bool synchronize_hardirq(unsigned int irq)")
def synchronize_irq(machine: Machine, number: int) -> int:
    """Wait for the threads of an interrupt."""
    return machine.tasks.wait(
        lambda: None if any(each.task for each in _of(machine, number)) else 1
    )


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
    others = _of(machine, number)
    if not all(each.flags & flags & _SHARED for each in others):
        return -errno.EBUSY
    made = machine.heap.allocate(_ACTION_SIZE)
    _actions(machine)[made] = Action(number, handler, thread, device, flags, name)
    if flags & _NO_AUTOEN:
        disable_irq(machine, number)
    who = f" '{machine.memory.text(name, 64)}'" if name else ""
    machine.ledger.take(_KIND, made, f"{_KIND} {number}{who}")
    return 0


@function("const void *free_irq(unsigned int irq, void *dev_id)")
def free_irq(machine: Machine, number: int, device: int) -> int:
    """Wait for its thread, and return the name that it was asked for with."""
    for made, action in _actions(machine).items():
        if (action.number, action.device) == (number, device):
            return machine.tasks.wait(partial(_freed, machine, made, action))
    machine.log.write(Level.WARNING, f"Trying to free already-free IRQ {number}\n")
    return 0


def _freed(machine: Machine, made: int, action: Action) -> int | None:
    if action.task is not None:
        return None
    machine.ledger.give(_KIND, made)
    forget_interrupt(machine, made)
    return action.name


@reclaims(_KIND)
def forget_interrupt(machine: Machine, made: int) -> None:
    """Let others have an interrupt; the thread of a module that is gone runs no more."""
    action = _actions(machine).pop(made, None)
    machine.heap.free(made)
    if action is None:
        return
    if action.task is not None:
        machine.tasks.end_task(action.task)
        machine.heap.free(action.task.current)
    if not _of(machine, action.number):
        state = machine.state(Interrupts)
        state.disabled.pop(action.number, None)
        state.pending.discard(action.number)


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
