# SPDX-License-Identifier: Apache-2.0
"""What code sees of it that it runs in an interrupt (include/linux/preempt.h)."""

from collections.abc import Iterator
from contextlib import contextmanager

from kmodd.kernel.emulated.machine.machine import Machine

SOFT, HARD = 1 << 8, 1 << 16
"""What is counted while a soft interrupt is served (timers, tasklets), and a hard one."""


@contextmanager
def interrupting(machine: Machine, kind: int) -> Iterator[None]:
    """Have what runs meanwhile find itself in an interrupt, with others off in a hard one."""
    at = machine.kernel_symbols.preempt_count
    count, were_on = machine.memory.number(at, 4), machine.cpu.interrupts_on
    machine.memory.put(at, kind, 4)
    machine.cpu.interrupts_on = kind != HARD
    try:
        yield
    finally:
        machine.cpu.interrupts_on = were_on
        machine.memory.put(at, count, 4)
