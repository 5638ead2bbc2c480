# SPDX-License-Identifier: Apache-2.0
"""What is behind a name in /sys: an attribute of an object, as text or as bytes (fs/sysfs/file.c,
fs/kernfs/file.c, drivers/base, lib/kobject.c).
"""

from dataclasses import dataclass, field
from enum import Enum
from errno import EACCES, EFAULT, EFBIG, EIO

from kmodd.kernel.emulated.abi.structures import (
    ATTRIBUTE,
    BINARY_ATTRIBUTE,
    FILE,
    KOBJECT,
    OBJECT_ATTRIBUTE,
    OBJECT_OPERATIONS,
    OBJECT_TYPE,
)
from kmodd.kernel.emulated.functions.file_helpers import default_llseek, read_from
from kmodd.kernel.emulated.functions.open_files import Content, FileDescription
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_READABLE, _WRITABLE = 0o444, 0o222


class Owner(Enum):
    """What an attribute is of, which decides how its functions are called."""

    OBJECT = "an object, whose type may have functions for all of its attributes"
    PART = "a class or a device: the attribute's own functions get it, and themselves"
    BUS = "a bus or a driver: the attribute's own functions get nothing but it"


@dataclass(slots=True)
class ShownTexts:
    """What each open file has been shown, by its ``struct file``."""

    texts: dict[int, bytes] = field(default_factory=dict)


class AttributeContent(Content):
    """An ``attribute`` of ``owner`` that is shown as text, and takes some."""

    def __init__(self, owner: int, attribute: int, kind: Owner, mode: int) -> None:
        self.owner = owner
        self.attribute = attribute
        self.owner_kind = kind
        self.mode = mode

    def uses(self, machine: Machine) -> str:
        """Return what the file's permissions allow, and there are functions for."""
        can_read = self.mode & _READABLE and self.function(machine, "show")
        can_write = self.mode & _WRITABLE and self.function(machine, "store")
        return "r" * bool(can_read) + "w" * bool(can_write)

    def function(self, machine: Machine, name: str) -> int:
        """Return the function that is called, 0 where there is none."""
        shared = self._shared(machine, name)
        if shared:
            return shared
        return machine.memory.number(self.attribute + getattr(OBJECT_ATTRIBUTE, name))

    def _shared(self, machine: Machine, name: str) -> int:
        """Return the function that the object's type has for all of its attributes."""
        if self.owner_kind is not Owner.OBJECT:
            return 0
        kind = machine.memory.number(self.owner + KOBJECT.type)
        operations = machine.memory.number(kind + OBJECT_TYPE.operations) if kind else 0
        if not operations:
            return 0
        return machine.memory.number(operations + getattr(OBJECT_OPERATIONS, name))

    def _call(self, machine: Machine, name: str, *arguments: int) -> int:
        function = self.function(machine, name)
        if not function:
            return -EIO
        itself = () if self.owner_kind is Owner.BUS else (self.attribute,)
        word = machine.invoke(function, self.owner, *itself, *arguments)
        return word - (word >> 63 << 64)

    def open(self, _machine: Machine, file: FileDescription) -> int:
        """Not even root opens what has no permission for it."""
        if file.can_write and not self.mode & _WRITABLE:
            return -EACCES
        return -EACCES if file.can_read and not self.mode & _READABLE else 0

    def release(self, machine: Machine, file: FileDescription) -> None:
        """Forget what was shown."""
        machine.state(ShownTexts).texts.pop(file.struct, None)

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Have the text shown at the start, and what comes behind is of the same."""
        texts, position = machine.state(ShownTexts).texts, file.struct + FILE.position
        if file.struct not in texts or not machine.memory.number(position):
            page = machine.heap.allocate(PAGE)
            try:
                count = self._call(machine, "show", page)
                if count < 0:
                    return count
                if count >= PAGE:
                    name = machine.symbol(self.function(machine, "show"))
                    why = f"fill_read_buffer: {name} returned bad count\n"
                    machine.log.write(Level.WARNING, why)
                    count = PAGE - 1
                texts[file.struct] = machine.memory.read(page, count)
            finally:
                machine.heap.free(page)
        text = texts[file.struct]
        return read_from(machine, buffer, size, position, text, len(text))

    def write(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Have a page of text taken, at most."""
        size = min(size, PAGE)
        data = machine.users.read(buffer, size)
        if len(data) < size:
            return -EFAULT
        if not size:
            return 0
        page = machine.heap.allocate(PAGE + 1)
        try:
            machine.memory.write(page, data + b"\0")
            result = self._call(machine, "store", page, size)
        finally:
            machine.heap.free(page)
        if result > 0:
            place = file.struct + FILE.position
            machine.memory.put(place, machine.memory.number(place) + result)
        return result

    def seek(self, machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
        """Go elsewhere."""
        return default_llseek(machine, file.struct, offset, whence) or 0


class BinaryContent(AttributeContent):
    """A ``struct bin_attribute``: bytes, of which it may say how many there are."""

    def function(self, machine: Machine, name: str) -> int:
        """Return the function that is called, 0 where there is none."""
        return machine.memory.number(self.attribute + getattr(BINARY_ATTRIBUTE, name))

    def _bounded(self, machine: Machine, place: int, size: int) -> int:
        """Return how many bytes there are at a place."""
        length = machine.memory.number(self.attribute + BINARY_ATTRIBUTE.length)
        size = min(size, PAGE)
        return max(min(size, length - place), 0) if length else size

    def _move(
        self, machine: Machine, file: FileDescription, name: str, page: int, size: int
    ) -> int:
        function, place = self.function(machine, name), file.struct + FILE.position
        if not function:
            return -EIO
        at = machine.memory.number(place)
        word = machine.invoke(function, file.struct, self.owner, self.attribute, page, at, size)
        result = word - (word >> 63 << 64)
        if result > 0:
            machine.memory.put(place, at + result)
        return result

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Have bytes read into a page, at most."""
        place = machine.memory.number(file.struct + FILE.position)
        count = self._bounded(machine, place, size)
        if not count:
            return 0
        page = machine.heap.allocate(PAGE)
        try:
            result = self._move(machine, file, "show", page, count)
            if result <= 0:
                return result
            done = machine.users.write(buffer, machine.memory.read(page, min(result, PAGE)))
            return result if done == result else -EFAULT
        finally:
            machine.heap.free(page)

    def write(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Have bytes written from a page, at most."""
        place = machine.memory.number(file.struct + FILE.position)
        count = self._bounded(machine, place, size)
        if not count:
            return -EFBIG if size else 0
        data = machine.users.read(buffer, count)
        if len(data) < count:
            return -EFAULT
        page = machine.heap.allocate(PAGE)
        try:
            machine.memory.write(page, data)
            return self._move(machine, file, "store", page, count)
        finally:
            machine.heap.free(page)


class TextContent(Content):
    """A text of the kernel's own."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()

    def uses(self, _machine: Machine) -> str:
        """It can be read."""
        return "r"

    def open(self, _machine: Machine, file: FileDescription) -> int:
        """It is not written."""
        return -EACCES if file.can_write else 0

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Show it."""
        position = file.struct + FILE.position
        return read_from(machine, buffer, size, position, self.text, len(self.text))

    def seek(self, machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
        """Go elsewhere."""
        return default_llseek(machine, file.struct, offset, whence) or 0


def content_of(
    machine: Machine, owner: int, attribute: int, kind: Owner, *, is_binary: bool = False
) -> AttributeContent:
    """Return what is behind the file of an attribute."""
    mode = machine.memory.number(attribute + ATTRIBUTE.mode, 2)
    form = BinaryContent if is_binary else AttributeContent
    return form(owner, attribute, kind, mode)
