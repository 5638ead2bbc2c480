# SPDX-License-Identifier: Apache-2.0
"""What the functions of files are made of (fs/libfs.c, fs/open.c, fs/read_write.c)."""

import os
from errno import EFAULT, EINVAL, ENXIO, ESPIPE

import pytest

from tests.support.kernel_calls import put_text, run
from tests.support.machine import ROOM, Machine, new_machine

INODE_LENGTH, INODE_DATA, INODE_SIZE = 80, 624, 632
FILE_INODE, FILE_MODE, FILE_POSITION, FILE_DATA, FILE_SIZE = 32, 68, 104, 200, 232
EXTREME = 1 << 62


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def new_file(machine: Machine, *, length: int = 0, at: int = 0) -> tuple[int, int]:
    """Return an inode and a file of it."""
    inode, file = machine.heap.allocate(INODE_SIZE), machine.heap.allocate(FILE_SIZE)
    machine.memory.put(file + FILE_INODE, inode)
    machine.memory.put(file + FILE_MODE, 0x1F, 4)
    machine.memory.put(file + FILE_POSITION, at)
    machine.memory.put(inode + INODE_LENGTH, length)
    return inode, file


def test_a_simple_file_has_the_data_of_its_inode(machine: Machine) -> None:
    inode, file = new_file(machine)
    machine.memory.put(file + FILE_DATA, 5)
    assert run(machine, "simple_open", inode, file) == 0
    assert machine.memory.number(file + FILE_DATA) == 5
    machine.memory.put(inode + INODE_DATA, ROOM)
    assert run(machine, "simple_open", inode, file) == 0
    assert machine.memory.number(file + FILE_DATA) == ROOM


@pytest.mark.parametrize("name", ["nonseekable_open", "stream_open"])
def test_a_file_may_be_one_without_positions(machine: Machine, name: str) -> None:
    inode, file = new_file(machine)
    assert run(machine, name, inode, file) == 0
    assert machine.memory.number(file + FILE_MODE, 4) == 3


@pytest.mark.parametrize("name", ["default_llseek", "generic_file_llseek"])
@pytest.mark.parametrize(
    ("offset", "whence", "place"),
    [
        *((5, os.SEEK_SET, 5), (-1, os.SEEK_SET, -EINVAL), (3, os.SEEK_CUR, 13)),
        *((-11, os.SEEK_CUR, -EINVAL), (-2, os.SEEK_END, 98), (5, 3, 5), (100, 3, -ENXIO)),
        *((5, 4, 100), (100, 4, -ENXIO), (0, 9, -EINVAL)),
    ],
)
def test_a_place_counts_from_where_it_is_said(
    machine: Machine, name: str, offset: int, whence: int, place: int
) -> None:
    _, file = new_file(machine, length=100, at=10)
    assert run(machine, name, file, offset, whence) == place
    assert machine.memory.number(file + FILE_POSITION) == (place if place >= 0 else 10)


def test_other_ways_of_going_elsewhere(machine: Machine) -> None:
    _, file = new_file(machine, at=10)
    assert run(machine, "no_llseek", file, 0, os.SEEK_SET) == -ESPIPE
    assert run(machine, "noop_llseek", file, 99, os.SEEK_SET) == 10
    assert run(machine, "fixed_size_llseek", file, -1, os.SEEK_END, 50) == 49
    assert run(machine, "fixed_size_llseek", file, 2, os.SEEK_CUR, 50) == -EINVAL
    assert run(machine, "fixed_size_llseek", file, 0, 3, 50) == -EINVAL
    assert run(machine, "no_seek_end_llseek", file, EXTREME, os.SEEK_SET) == EXTREME
    assert run(machine, "no_seek_end_llseek", file, 0, os.SEEK_END) == -EINVAL
    assert run(machine, "generic_file_open", 0, file) == 0
    assert run(machine, "noop_fsync", file, 0, 0, 0) == 0
    assert run(machine, "fasync_helper", 1, file, 1, ROOM) == 0
    run(machine, "kill_fasync", ROOM, 29, 1)


def test_a_part_of_a_buffer_is_read_from_the_position(machine: Machine) -> None:
    source, user = put_text(machine, "0123456789"), bytearray(4)
    with machine.users.lending(user) as to:
        for position, count, result, shown in (
            *((0, 4, 4, b"0123"), (8, 4, 2, b"8923"), (10, 4, 0, b"8923")),
            *((11, 4, 0, b"8923"), (-1, 4, -EINVAL, b"8923"), (0, 0, 0, b"8923")),
        ):
            machine.memory.put(ROOM, position)
            assert run(machine, "simple_read_from_buffer", to, count, ROOM, source, 10) == result
            assert (bytes(user), machine.memory.number(ROOM, signed=True)) == (
                shown,
                position + max(result, 0),
            )
        machine.memory.put(ROOM, 0)
        assert run(machine, "simple_read_from_buffer", to + 2, 4, ROOM, source, 10) == 2
    machine.memory.put(ROOM, 0)
    assert run(machine, "simple_read_from_buffer", to, 4, ROOM, source, 10) == -EFAULT


def test_a_part_of_a_buffer_is_written_at_the_position(machine: Machine) -> None:
    place = put_text(machine, "0123456789")
    with machine.users.lending(bytearray(b"abcd")) as source:
        machine.memory.put(ROOM, 8)
        assert run(machine, "simple_write_to_buffer", place, 10, ROOM, source, 4) == 2
        assert machine.memory.string(place) == b"01234567ab"
        assert run(machine, "simple_write_to_buffer", place, 10, ROOM, source, 4) == 0
        machine.memory.put(ROOM, -5)
        assert run(machine, "simple_write_to_buffer", place, 10, ROOM, source, 4) == -EINVAL
    machine.memory.put(ROOM, 0)
    assert run(machine, "simple_write_to_buffer", place, 10, ROOM, source, 4) == -EFAULT


def test_a_part_of_a_buffer_is_copied_within_the_kernel(machine: Machine) -> None:
    source, to = put_text(machine, "0123456789"), machine.heap.allocate(16)
    machine.memory.put(ROOM, 6)
    assert run(machine, "memory_read_from_buffer", to, 16, ROOM, source, 10) == 4
    assert machine.memory.read(to, 5) == b"6789\0"
    assert machine.memory.number(ROOM) == 10
    assert run(machine, "memory_read_from_buffer", to, 16, ROOM, source, 10) == 0
    machine.memory.put(ROOM, -1)
    assert run(machine, "memory_read_from_buffer", to, 16, ROOM, source, 10) == -EINVAL
