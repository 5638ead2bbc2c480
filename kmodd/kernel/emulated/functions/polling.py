# SPDX-License-Identifier: Apache-2.0
"""Asking files what can be done with them, and waiting until something can (fs/select.c)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import POLL_TABLE, TASK, WAIT_ENTRY
from kmodd.kernel.emulated.functions.open_files import FileDescription
from kmodd.kernel.emulated.functions.sync import (
    add_wait_queue,
    current,
    init_wait_entry,
    remove_wait_queue,
    signal_pending,
)
from kmodd.kernel.emulated.machine.clock import HZ
from kmodd.kernel.emulated.machine.machine import Machine

POLL_ERROR, POLL_HANG_UP = 8, 16
"""What poll(2) tells whether it was asked for or not."""

_INTERRUPTIBLE, _ENTRY_SIZE, _QUEUES_MAX = 1, 64, 64
_EINTR = 4


@dataclass(slots=True)
class Pollings:
    """The entries in wait queues of each poll table, with the queue of each."""

    entries: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


@function(
    "void __pollwait(struct file *filp, wait_queue_head_t *wait_address, poll_table *p)",
)
def pollwait(machine: Machine, _file: int, queue: int, table: int) -> None:
    """Have who polls be told when something happens that a queue is for."""
    entries = machine.state(Pollings).entries.get(table)
    if entries is None or len(entries) >= _QUEUES_MAX:
        return
    entry = machine.heap.allocate(_ENTRY_SIZE)
    init_wait_entry(machine, entry, 0)
    machine.memory.put(
        entry + WAIT_ENTRY.function, machine.kernel_symbols.address("default_wake_function")
    )
    add_wait_queue(machine, queue, entry)
    entries.append((queue, entry))


@contextmanager
def _poll_table(machine: Machine, events: int) -> Iterator[int]:
    table, pollings = machine.heap.allocate(POLL_TABLE.size), machine.state(Pollings)
    pollings.entries[table] = []
    address = machine.kernel_symbols.address("__pollwait")
    machine.memory.put(table + POLL_TABLE.enqueue, address)
    machine.memory.put(table + POLL_TABLE.events, events, 4)
    try:
        yield table
    finally:
        for queue, entry in pollings.entries.pop(table):
            remove_wait_queue(machine, queue, entry)
            machine.heap.free(entry)
        machine.heap.free(table)


def poll_file(machine: Machine, file: FileDescription, events: int, milliseconds: int) -> int:
    """Return which of ``events`` have come, waiting for the first some time, or for ever below 0.

    Returns 0 where the time has come to an end, and -EINTR for who was interrupted.
    """
    wanted, memory = events | POLL_ERROR | POLL_HANG_UP, machine.memory
    due = None if milliseconds < 0 else machine.clock.ticks + -(-milliseconds * HZ // 1000)
    with _poll_table(machine, wanted) as table:
        state = current(machine) + TASK.state
        while True:
            memory.put(state, _INTERRUPTIBLE, 4)
            found = file.content.poll(machine, file, table) & wanted
            is_late = due is not None and machine.clock.ticks >= due
            if found or is_late or signal_pending(machine):
                memory.put(state, 0, 4)
                return found or (0 if is_late else -_EINTR)
            memory.put(table + POLL_TABLE.enqueue, 0)
            machine.tasks.wait(lambda: _woken(machine, state, due), due)


def _woken(machine: Machine, state: int, due: int | None) -> int | None:
    if due is not None and machine.clock.ticks >= due:
        return 0
    return None if machine.memory.number(state, 4) else 0
