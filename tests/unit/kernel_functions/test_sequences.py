# SPDX-License-Identifier: Apache-2.0
"""Files that are shown a record at a time (fs/seq_file.c)."""

import os
from errno import EFAULT, EINVAL

import pytest

from tests.support.kernel_calls import callback, held, put_calls, put_pointers, run, unload
from tests.support.machine import ROOM, Machine, new_machine

FILE_MODE, FILE_POSITION, FILE_DATA, FILE_SIZE = 68, 104, 200, 232
PRIVATE = 112


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.fixture
def file(machine: Machine) -> int:
    made = machine.heap.allocate(FILE_SIZE)
    machine.memory.put(made + FILE_MODE, 0x1F, 4)
    return made


def read(machine: Machine, file: int, size: int) -> tuple[int, bytes]:
    """Read from where the file is at; return the result and what is in the buffer."""
    buffer = bytearray(size)
    with machine.users.lending(buffer) as user:
        result = run(machine, "seq_read", file, user, size, file + FILE_POSITION)
    return result, bytes(buffer[: max(result, 0)])


def test_a_single_text_is_shown_once_and_again_from_the_start(machine: Machine, file: int) -> None:
    show = put_calls(machine, ("seq_putc",))
    assert run(machine, "single_open", file, show, 77) == 0
    sequence = machine.memory.number(file + FILE_DATA)
    assert machine.memory.number(sequence + PRIVATE) == 77
    # The record of what is shown at once is the token of the start, 1.
    assert read(machine, file, 10) == (1, b"\1")
    assert read(machine, file, 10) == (0, b"")
    machine.memory.put(file + FILE_POSITION, 0)
    assert read(machine, file, 10) == (1, b"\1")
    assert run(machine, "single_release", 0, file) == 0
    assert held(machine) == []


def test_records_of_an_iterator_are_shown(machine: Machine, file: int) -> None:
    start, following, stop = (callback(machine, each) for each in (ord("a"), 0, 0))
    show = put_calls(machine, ("seq_putc",), at=512)
    operations = put_pointers(machine, start.address, stop.address, following.address, show)
    assert run(machine, "seq_open", file, operations) == 0
    assert machine.memory.number(file + FILE_MODE, 4) & 0x10 == 0
    # What show returns is what seq_putc does, which is nothing.
    assert read(machine, file, 10) == (1, b"a")
    assert (start.calls, following.calls, stop.calls) == (1, 1, 1)
    assert run(machine, "seq_lseek", file, 0, os.SEEK_SET) == 0
    assert read(machine, file, 10) == (1, b"a")
    assert run(machine, "seq_lseek", file, -1, os.SEEK_SET) == -EINVAL
    assert run(machine, "seq_lseek", file, 0, os.SEEK_END) == -EINVAL
    machine.memory.put(file + FILE_POSITION, 0)
    assert run(machine, "seq_read", file, ROOM, 10, file + FILE_POSITION) == -EFAULT
    assert run(machine, "seq_release", 0, file) == 0
    assert held(machine) == []


def test_an_error_of_an_iterator_is_the_reads(machine: Machine, file: int) -> None:
    start, nothing = callback(machine, -EINVAL), callback(machine)
    operations = put_pointers(machine, start.address, nothing.address, nothing.address, 0)
    run(machine, "seq_open", file, operations)
    assert read(machine, file, 10) == (-EINVAL, b"")
    assert unload(machine) == [("seq_file", "")]


def test_a_file_may_have_a_state_and_a_buffer_of_some_size(machine: Machine, file: int) -> None:
    nothing = callback(machine).address
    operations = put_pointers(machine, nothing, nothing, nothing, nothing)
    state = run(machine, "__seq_open_private", file, operations, 40)
    sequence = machine.memory.number(file + FILE_DATA)
    assert machine.memory.number(sequence + PRIVATE) == state
    assert run(machine, "seq_release_private", 0, file) == 0
    assert run(machine, "seq_open_private", file, operations, 40) == 0
    assert run(machine, "seq_release_private", 0, file) == 0
    assert run(machine, "single_open_size", file, nothing, 0, 5000) == 0
    sequence = machine.memory.number(file + FILE_DATA)
    assert machine.memory.number(sequence + 8) == 5000
    assert run(machine, "single_release", 0, file) == 0
    assert held(machine) == []


def test_a_single_record_comes_at_the_start_alone(machine: Machine) -> None:
    machine.memory.put(ROOM, 0)
    assert run(machine, "single_start", 0, ROOM) == 1
    assert run(machine, "single_next", 0, 1, ROOM) == 0
    assert run(machine, "single_start", 0, ROOM) == 0
    run(machine, "single_stop", 0, 0)


def test_an_iterators_file_is_read_by_another_road(machine: Machine, file: int) -> None:
    start, following = callback(machine, ord("b")), callback(machine, 0)
    show = put_calls(machine, ("seq_putc",), at=512)
    run(
        machine,
        "seq_open",
        file,
        put_pointers(machine, start.address, following.address, following.address, show),
    )
    transfer, iterator, buffer = ROOM, ROOM + 64, bytearray(4)
    with machine.users.lending(buffer) as user:
        machine.memory.put(transfer, file)
        machine.memory.put(iterator, 6, 1)
        machine.memory.put(iterator + 16, 4)
        machine.memory.put(iterator + 24, user)
        assert run(machine, "seq_read_iter", transfer, iterator) == 1
    assert buffer == b"b\0\0\0"
    assert machine.memory.number(transfer + 8) == 1
