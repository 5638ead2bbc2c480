# SPDX-License-Identifier: Apache-2.0
"""What a module has given an entry of /proc to keep (fs/proc/generic.c)."""

from kmodd.kernel.emulated.abi.function_table import DECLARED
from tests.support.machine import new_machine

INODE_DATA, INODE_SIZE = 624, 632


def test_up_to_5_16_a_function_tells_it_and_then_the_inode_does() -> None:
    machine = new_machine()
    inode = machine.heap.allocate(INODE_SIZE)
    machine.memory.put(inode + INODE_DATA, 99)
    (form,) = DECLARED["PDE_DATA"]
    assert form(machine, (inode,)) == 99
    assert [form.prototype.is_of(each) for each in ((5, 10), (5, 17), (6, 1))] == [
        True,
        False,
        False,
    ]
