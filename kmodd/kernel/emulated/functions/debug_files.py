# SPDX-License-Identifier: Apache-2.0
"""What is behind a name in debugfs: a module's functions, or a value of its own (fs/debugfs/file.c),
and files that show one number (fs/libfs.c).
"""

from dataclasses import dataclass, field
from errno import EACCES, EFAULT, EINVAL, ENOENT

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.printf import Arguments, format_text
from kmodd.kernel.emulated.abi.structures import BLOB, FILE, FILE_OPERATIONS, INODE
from kmodd.kernel.emulated.functions.file_helpers import default_llseek, read_from
from kmodd.kernel.emulated.functions.numerals import read_boolean, read_integer
from kmodd.kernel.emulated.functions.open_files import (
    Content,
    FileDescription,
    Operated,
    take_owner,
)
from kmodd.kernel.emulated.machine.machine import Machine

_NUMBER_MAX = 24
_MASK = (1 << 64) - 1


class DebugContent(Operated):
    """A file with a module's ``struct file_operations``; ``data`` are those of its inode."""

    def __init__(self, operations: int, data: int) -> None:
        self.operations = operations
        self.data = data

    def table(self, machine: Machine, file: FileDescription | None) -> int:
        """Return the table; an open file may have come to another one."""
        if file is not None:
            return machine.memory.number(file.struct + FILE.operations)
        return self.operations

    def open(self, machine: Machine, file: FileDescription) -> int:
        """Take the table with its module, and call its open."""
        memory = machine.memory
        memory.put(file.inode + INODE.data, self.data)
        if not self.operations or not take_owner(
            machine, file, memory.number(self.operations + FILE_OPERATIONS.owner)
        ):
            return -ENOENT
        memory.put(file.struct + FILE.operations, self.operations)
        return self.begin(machine, file)


class ValueContent(Content):
    """A file that shows a value of a module's as text, and takes one."""

    def uses(self, _machine: Machine) -> str:
        """It can be read and written."""
        return "rw"

    def open(self, _machine: Machine, _file: FileDescription) -> int:
        """There is nothing to begin."""
        return 0

    def shown(self, machine: Machine) -> bytes:
        """Return what it shows now."""
        raise NotImplementedError

    def take(self, machine: Machine, text: bytes) -> int:
        """Take a text; returns 0 or an errno below zero."""
        raise NotImplementedError

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Show the value."""
        text, position = self.shown(machine), file.struct + FILE.position
        return read_from(machine, buffer, size, position, text, len(text))

    def write(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Take a value."""
        wanted = min(size, _NUMBER_MAX - 1)
        data = machine.users.read(buffer, wanted)
        if len(data) < wanted:
            return -EFAULT
        code = self.take(machine, data.partition(b"\0")[0])
        if code:
            return code
        place = file.struct + FILE.position
        machine.memory.put(place, machine.memory.number(place) + size)
        return size

    def seek(self, machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
        """Go elsewhere."""
        return default_llseek(machine, file.struct, offset, whence) or 0


class NumberContent(ValueContent):
    """A number of ``size`` bytes at ``value``, below 0 for one with a sign."""

    def __init__(self, value: int, size: int, template: str) -> None:
        self.value = value
        self.size = size
        self.template = template

    def shown(self, machine: Machine) -> bytes:
        """Return the number in a line."""
        number = machine.memory.number(self.value, abs(self.size), signed=self.size < 0)
        return f"{self.template % number}\n".encode()

    def take(self, machine: Machine, text: bytes) -> int:
        """Take a number; what has no room is cut off."""
        number, code = _number(text, signed=self.size < 0)
        if not code:
            machine.memory.put(self.value, number, abs(self.size))
        return code


def _number(text: bytes, *, signed: bool) -> tuple[int, int]:
    """Return a number and 0, or an errno below zero (simple_attr_write)."""
    number, code = read_integer(text.strip(), 0, 8, signed=signed)
    return number, -code


class BooleanContent(ValueContent):
    """A ``bool`` at ``value``."""

    def __init__(self, value: int) -> None:
        self.value = value

    def shown(self, machine: Machine) -> bytes:
        """Return Y or N, in a line."""
        return b"Y\n" if machine.memory.number(self.value, 1) else b"N\n"

    def take(self, machine: Machine, text: bytes) -> int:
        """Take what says yes or no; anything else is taken for nothing."""
        value = read_boolean(text)
        if value is not None:
            machine.memory.put(self.value, value, 1)
        return 0


class BlobContent(ValueContent):
    """The bytes that a ``struct debugfs_blob_wrapper`` says."""

    def __init__(self, blob: int) -> None:
        self.blob = blob

    def uses(self, _machine: Machine) -> str:
        """It can be read."""
        return "r"

    def shown(self, machine: Machine) -> bytes:
        """Return the bytes."""
        memory = machine.memory
        size = memory.number(self.blob + BLOB.length)
        return memory.read(memory.number(self.blob + BLOB.data), size) if size else b""

    def write(self, _machine: Machine, _file: FileDescription, _buffer: int, _size: int) -> int:
        """It takes nothing."""
        return -EINVAL


@dataclass(slots=True)
class SimpleAttribute:
    """A number that functions of a module's get and set, and how it is shown.

    ``text`` is what is being read, None before the first read.
    """

    get: int
    set: int
    data: int
    template: bytes
    text: bytes | None = None


@dataclass(slots=True)
class SimpleAttributes:
    """Those of open files, by what stands for them in a file's data."""

    known: dict[int, SimpleAttribute] = field(default_factory=dict)


def _attribute(machine: Machine, file: int) -> SimpleAttribute:
    return machine.state(SimpleAttributes).known[machine.memory.number(file + FILE.data)]


@function(
    "int simple_attr_open(struct inode *inode, struct file *file, int (*get)(void *, u64 *), int"
    " (*set)(void *, u64), const char *fmt)"
)
def simple_attr_open(
    machine: Machine, inode: int, file: int, get: int, put: int, template: int
) -> int:
    made = machine.heap.allocate(8)
    data, text = machine.memory.number(inode + INODE.data), machine.memory.string(template, 64)
    machine.state(SimpleAttributes).known[made] = SimpleAttribute(get, put, data, text)
    machine.memory.put(file + FILE.data, made)
    return 0


@function("int simple_attr_release(struct inode *inode, struct file *file)")
def simple_attr_release(machine: Machine, _inode: int, file: int) -> int:
    made = machine.memory.number(file + FILE.data)
    if machine.state(SimpleAttributes).known.pop(made, None) is not None:
        machine.heap.free(made)
    return 0


@function(
    "ssize_t simple_attr_read(struct file *file, char *buf, size_t len, loff_t *ppos)",
    "ssize_t debugfs_attr_read(struct file *file, char *buf, size_t len, loff_t *ppos)",
)
def simple_attr_read(machine: Machine, file: int, buffer: int, size: int, position: int) -> int:
    """The number is asked for at the start, and what comes behind is of the same text."""
    attribute = _attribute(machine, file)
    if not attribute.get:
        return -EACCES
    if attribute.text is None or not machine.memory.number(position):
        place = machine.heap.allocate(8)
        try:
            code = machine.call(attribute.get, attribute.data, place)
            number = machine.memory.number(place)
        finally:
            machine.heap.free(place)
        if code:
            return code
        attribute.text = format_text(machine, attribute.template, Arguments(iter((number,))))
    return read_from(machine, buffer, size, position, attribute.text, len(attribute.text))


def _attribute_write(machine: Machine, file: int, buffer: int, size: int, *, signed: bool) -> int:
    attribute = _attribute(machine, file)
    if not attribute.set:
        return -EACCES
    wanted = min(size, _NUMBER_MAX - 1)
    data = machine.users.read(buffer, wanted)
    if len(data) < wanted:
        return -EFAULT
    text = data.partition(b"\0")[0].strip()
    number, code = _number(text, signed=signed and text.startswith(b"-"))
    return code or machine.call(attribute.set, attribute.data, number & _MASK) or size


@function(
    "ssize_t simple_attr_write(struct file *file, const char *buf, size_t len, loff_t *ppos)",
    "ssize_t debugfs_attr_write(struct file *file, const char *buf, size_t len, loff_t *ppos)",
)
def simple_attr_write(machine: Machine, file: int, buffer: int, size: int, _position: int) -> int:
    return _attribute_write(machine, file, buffer, size, signed=False)


@function(
    "ssize_t simple_attr_write_signed(struct file *file, const char *buf, size_t len, loff_t"
    " *ppos)",
    "ssize_t debugfs_attr_write_signed(struct file *file, const char *buf, size_t len, loff_t"
    " *ppos)",
)
def simple_attr_write_signed(
    machine: Machine, file: int, buffer: int, size: int, _position: int
) -> int:
    return _attribute_write(machine, file, buffer, size, signed=True)
