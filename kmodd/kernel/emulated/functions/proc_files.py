# SPDX-License-Identifier: Apache-2.0
"""What is behind a name in /proc: a table of functions, or a sequence that is shown
(fs/proc/inode.c, fs/proc/generic.c).

A module is not kept by its files there: where it removes one that is open, that is released first,
and is of no more use.
"""

import errno

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import FILE, INODE, PROC_OPERATIONS
from kmodd.kernel.emulated.functions.open_files import FileDescription, Operated
from kmodd.kernel.emulated.functions.sequences import (
    open_with_state,
    seq_lseek,
    seq_open,
    seq_read,
    seq_release_private,
    single_open,
    single_release,
)
from kmodd.kernel.emulated.machine.machine import Machine


class ProcContent(Operated):
    """A file with a module's ``struct proc_ops``, and ``data`` of its own."""

    layout = PROC_OPERATIONS
    refusal = -errno.EIO

    def __init__(self, operations: int, data: int = 0) -> None:
        self.operations = operations
        self.data = data

    def table(self, _machine: Machine, _file: FileDescription | None) -> int:
        """Return the table."""
        return self.operations

    def open(self, machine: Machine, file: FileDescription) -> int:
        """Have the data be where functions look for it, and call the module's own open."""
        machine.memory.put(file.inode + INODE.data, self.data)
        return self.begin(machine, file)


class SequenceContent(ProcContent):
    """A file that the kernel itself shows by a module's iterator, with ``size`` bytes of state."""

    def __init__(self, operations: int, size: int, data: int) -> None:
        super().__init__(0, data)
        self.iterator = operations
        self.size = size

    def uses(self, _machine: Machine) -> str:
        """It can be read."""
        return "r"

    def begin(self, machine: Machine, file: FileDescription) -> int:
        """Begin to show the iterator."""
        if self.size:
            open_with_state(machine, file.struct, self.iterator, self.size)
        else:
            seq_open(machine, file.struct, self.iterator)
        return 0

    def release(self, machine: Machine, file: FileDescription) -> None:
        """End it."""
        seq_release_private(machine, file.inode, file.struct)

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Show what comes next."""
        return seq_read(machine, file.struct, buffer, size, file.struct + FILE.position) or 0

    def seek(self, machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
        """Go elsewhere."""
        return seq_lseek(machine, file.struct, offset, whence) or 0


class SingleContent(SequenceContent):
    """A file that the kernel itself shows, all at once, by a module's function ``show``."""

    def __init__(self, show: int, data: int) -> None:
        super().__init__(0, 0, data)
        self.show = show

    def begin(self, machine: Machine, file: FileDescription) -> int:
        """Begin to show it."""
        single_open(machine, file.struct, self.show, self.data)
        return 0

    def release(self, machine: Machine, file: FileDescription) -> None:
        """End it."""
        single_release(machine, file.inode, file.struct)


@function("void *PDE_DATA(const struct inode *inode) until 5.16")
def pde_data(machine: Machine, inode: int) -> int:
    return machine.memory.number(inode + INODE.data)
