# SPDX-License-Identifier: Apache-2.0
"""Waiting in the queues that a file's poll names (fs/select.c)."""

import pytest

from tests.support.kernel_calls import put_calls, run
from tests.support.machine import ROOM, Machine, new_machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.functions.open_files import (  # noqa: E402
    Content,
    FileDescription,
    make_file,
)
from kmodd.kernel.emulated.functions.polling import poll_file  # noqa: E402

IN, OUT = 1, 4


class Queued(Content):
    """A file that is ready to be read where there is a number, and waits in two queues."""

    def poll(self, machine: Machine, file: FileDescription, table: int) -> int:
        enqueue = machine.memory.number(table)
        for queue in (ROOM, ROOM + 64) if enqueue else ():
            machine.invoke(enqueue, file.struct, queue, table)
        return OUT | (IN if machine.memory.number(ROOM + 128) else 0)


@pytest.fixture
def machine() -> Machine:
    made = new_machine()
    for queue in (ROOM, ROOM + 64):
        run(made, "__init_waitqueue_head", queue, 0, 0)
    return made


@pytest.fixture
def file(machine: Machine) -> FileDescription:
    return make_file(machine, "/dev/queued", "sample", Queued(), 0)


def waiting(machine: Machine) -> int:
    """Return how many wait in the second queue."""
    head = ROOM + 64 + 8
    return int(machine.memory.number(head) != head)


def polled(machine: Machine, file: FileDescription, events: int, milliseconds: int) -> int:
    with machine.running("sample", file.task):
        return poll_file(machine, file, events, milliseconds)


def test_what_has_come_is_told_at_once(machine: Machine, file: FileDescription) -> None:
    assert polled(machine, file, IN | OUT, -1) == OUT
    assert polled(machine, file, IN, 0) == 0
    machine.memory.put(ROOM + 128, 1)
    assert polled(machine, file, IN | OUT, -1) == IN | OUT
    assert waiting(machine) == 0


def test_time_comes_to_an_end(machine: Machine, file: FileDescription) -> None:
    before = machine.clock.nanoseconds
    assert polled(machine, file, IN, 2500) == 0
    assert machine.clock.nanoseconds - before == 2_500_000_000
    assert waiting(machine) == 0


def test_who_polls_is_woken_by_any_of_the_queues(machine: Machine, file: FileDescription) -> None:
    machine.memory.put(ROOM + 256, 1)
    code = put_calls(machine, ("memcpy", ROOM + 128, ROOM + 256, 8), ("__wake_up", ROOM + 64, 3, 1))
    due = machine.clock.ticks + 100
    machine.scheduler.arm(1, due, "sample", lambda: machine.invoke(code))  # type: ignore[arg-type]
    assert polled(machine, file, IN, -1) == IN
    assert machine.clock.ticks == due
    assert waiting(machine) == 0


def test_a_table_of_nobodys_is_waited_in_by_nobody(machine: Machine) -> None:
    run(machine, "__pollwait", 0, ROOM, ROOM + 512)
    assert machine.memory.number(ROOM + 8) == ROOM + 8
