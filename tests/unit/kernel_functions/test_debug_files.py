# SPDX-License-Identifier: Apache-2.0
"""Files that show one number of a module's (fs/libfs.c, fs/debugfs/file.c)."""

from errno import EACCES, EFAULT, EINVAL, EIO

import pytest

from tests.support.kernel_calls import callback, put_text, run
from tests.support.machine import ROOM, Machine, new_machine

INODE_DATA, INODE_SIZE, FILE_SIZE, FILE_DATA = 624, 632, 232, 200
READS = ["simple_attr_read", "debugfs_attr_read"]
WRITES = ["simple_attr_write", "debugfs_attr_write"]
SIGNED = ["simple_attr_write_signed", "debugfs_attr_write_signed"]


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def opened(machine: Machine, get: int = 0, put: int = 0) -> int:
    """Return a file with such functions, whose inode has the data 5."""
    inode, file = machine.heap.allocate(INODE_SIZE), machine.heap.allocate(FILE_SIZE)
    machine.memory.put(inode + INODE_DATA, 5)
    template = put_text(machine, "<%lld>\n")
    assert run(machine, "simple_attr_open", inode, file, get, put, template) == 0
    return file


@pytest.mark.parametrize("name", READS)
def test_a_number_is_asked_for_at_the_start(machine: Machine, name: str) -> None:
    get, buffer = callback(machine), bytearray(8)
    file = opened(machine, get.address)
    machine.memory.put(ROOM, 0)
    with machine.users.lending(buffer) as user:
        assert run(machine, name, file, user, 3, ROOM) == 3
        assert run(machine, name, file, user + 3, 5, ROOM) == 1
        assert run(machine, name, file, user, 5, ROOM) == 0
    assert (bytes(buffer[:4]), get.calls, get.arguments[0]) == (b"<0>\n", 1, 5)
    assert run(machine, "simple_attr_release", 0, file) == 0


@pytest.mark.parametrize("name", READS)
def test_a_number_that_cannot_be_had_is_no_text(machine: Machine, name: str) -> None:
    with machine.users.lending(bytearray(8)) as user:
        assert run(machine, name, opened(machine), user, 8, ROOM) == -EACCES
        broken = opened(machine, callback(machine, -EIO).address)
        assert run(machine, name, broken, user, 8, ROOM) == -EIO


@pytest.mark.parametrize("name", [*WRITES, *SIGNED])
def test_a_number_is_taken(machine: Machine, name: str) -> None:
    put = callback(machine)
    file = opened(machine, put=put.address)
    with machine.users.lending(bytearray(b"0x20\n")) as user:
        assert run(machine, name, file, user, 5, ROOM) == 5
        assert put.arguments[:2] == (5, 0x20)
        assert run(machine, name, file, user, 6, ROOM) == -EFAULT
        assert run(machine, name, opened(machine), user, 5, ROOM) == -EACCES
        refusing = opened(machine, put=callback(machine, -EINVAL).address)
        assert run(machine, name, refusing, user, 5, ROOM) == -EINVAL
    with machine.users.lending(bytearray(b"-3")) as user:
        taken = run(machine, name, file, user, 2, ROOM)
    assert taken == (2 if name in SIGNED else -EINVAL)
    assert put.arguments[1] == ((1 << 64) - 3 if name in SIGNED else 0x20)
