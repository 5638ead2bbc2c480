# SPDX-License-Identifier: Apache-2.0
"""What opening a device's node leads to: the character device of its number (fs/char_dev.c), or the
misc device (drivers/char/misc.c).
"""

import re
import stat
from errno import ENODEV, ENXIO

from kmodd.kernel.emulated.abi.structures import CDEV, FILE, FILE_OPERATIONS, INODE, MISC
from kmodd.kernel.emulated.functions.open_files import FileDescription, Operated, take_owner
from kmodd.kernel.emulated.functions.sysfs import MINOR_BITS
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.pseudo_filesystem import Listed
from kmodd.kernel.emulated.machine.state import KeptByAddress

_BY_NUMBER = re.compile(r"/dev/char/(\d{1,4}):(\d{1,7})")


class CharacterDevices(KeptByAddress[tuple[int, int]]):
    """The character devices that there are: the first number of each, and how many it has."""

    def find(self, number: int) -> int:
        """Return the ``struct cdev`` that has a number; of several the one with the fewest."""
        found = [
            (count, address)
            for address, (first, count) in self.by_address.items()
            if first <= number < first + count
        ]
        return min(found, default=(0, 0))[1]


class CharacterContent(Operated):
    """The character device that has ``number``, whichever that is when it is opened."""

    kind = stat.S_IFCHR

    def __init__(self, number: int) -> None:
        self.number = number

    def table(self, machine: Machine, file: FileDescription | None) -> int:
        """Return the device's table; an open file may have come to another one."""
        if file is not None:
            return machine.memory.number(file.struct + FILE.operations)
        cdev = machine.state(CharacterDevices).find(self.number)
        return machine.memory.number(cdev + CDEV.operations) if cdev else 0

    def open(self, machine: Machine, file: FileDescription) -> int:
        """Take the device and its table, each with its module, and call its open."""
        memory = machine.memory
        memory.put(file.inode + INODE.device_number, self.number, 4)
        cdev = machine.state(CharacterDevices).find(self.number)
        if not cdev or not take_owner(machine, file, memory.number(cdev + CDEV.owner)):
            return -ENXIO
        table = memory.number(cdev + CDEV.operations)
        if not table or not take_owner(machine, file, memory.number(table + FILE_OPERATIONS.owner)):
            return -ENXIO
        memory.put(file.inode + INODE.cdev, cdev)
        memory.put(file.struct + FILE.operations, table)
        return self.begin(machine, file)


class MiscContent(Operated):
    """The misc device whose ``struct miscdevice`` is ``misc``."""

    kind = stat.S_IFCHR

    def __init__(self, misc: int, number: int) -> None:
        self.misc = misc
        self.number = number

    def table(self, machine: Machine, file: FileDescription | None) -> int:
        """Return the device's table; an open file may have come to another one."""
        if file is not None:
            return machine.memory.number(file.struct + FILE.operations)
        return machine.memory.number(self.misc + MISC.operations)

    def open(self, machine: Machine, file: FileDescription) -> int:
        """Take the table with its module, and call its open with the device at hand."""
        memory, table = machine.memory, self.table(machine, None)
        memory.put(file.inode + INODE.device_number, self.number, 4)
        if not table or not take_owner(machine, file, memory.number(table + FILE_OPERATIONS.owner)):
            return -ENODEV
        memory.put(file.struct + FILE.data, self.misc)
        memory.put(file.struct + FILE.operations, table)
        return self.begin(machine, file)


def named_by_number(machine: Machine, path: str) -> Listed | None:
    """Return the character device that ``/dev/char/MAJOR:MINOR`` names, if there is one: a module
    that makes no node leaves that to mknod(1).
    """
    found = _BY_NUMBER.fullmatch(path)
    number = int(found[1]) << MINOR_BITS | int(found[2]) if found else 0
    cdev = machine.state(CharacterDevices).find(number)
    if not cdev:
        return None
    entry = machine.ledger.find("cdev", cdev)
    module = entry.module if entry else ""
    return Listed(cdev, path, False, 0o600, module, CharacterContent(number))
