# SPDX-License-Identifier: Apache-2.0
"""What a module has given an entry of /proc to keep (fs/proc/generic.c)."""

import errno

from kmodd.kernel.emulated.abi.function_table import DECLARED
from tests.support.machine import new_machine

from kmodd.kernel.emulated.functions.open_files import FileDescription  # isort: skip
from kmodd.kernel.emulated.functions.proc_files import ProcContent  # isort: skip

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


def test_what_a_file_has_no_function_for_is_an_error_of_input_and_output() -> None:
    machine = new_machine()
    functions = machine.heap.allocate(256)
    content = ProcContent(functions)
    file = FileDescription("/proc/sample", "sample", 0, content, struct=functions)
    assert content.read(machine, file, 0, 1) == content.write(machine, file, 0, 1) == -errno.EIO
