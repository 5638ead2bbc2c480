# SPDX-License-Identifier: Apache-2.0
"""Open files: what a user does with one, and which functions of a module's that calls
(fs/open.c, fs/read_write.c, fs/ioctl.c, fs/file_table.c).

A name that can be opened has a ``Content`` in its tree. Numbers below zero are errors, as in the
kernel; a position is in bytes.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EBADF, EINVAL, ENODEV, ENOTTY, ENXIO, ESPIPE
from functools import partial

from kmodd.kernel.emulated.abi.structures import (
    BUFFER_ITERATOR,
    DENTRY,
    FILE,
    FILE_OPERATIONS,
    INODE,
    ITERATOR_KINDS,
    MODULE,
    TASK,
    TRANSFER,
)
from kmodd.kernel.emulated.abi.structures.declaring import Structure
from kmodd.kernel.emulated.functions.sync import wake
from kmodd.kernel.emulated.functions.threads import new_task
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

MODE_READ, MODE_WRITE, MODE_SEEK, MODE_PREAD, MODE_PWRITE = 1, 2, 4, 8, 16
"""Bits of ``f_mode`` (include/linux/fs.h)."""

POLL_ALWAYS = 0x145
"""EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM: what a file without a poll is (DEFAULT_POLLMASK)."""

TRANSFER_MAX = 0x7FFFF000
"""Bytes that are read or written at once (MAX_RW_COUNT)."""

FLAGS = os.O_ACCMODE | os.O_NONBLOCK | os.O_APPEND | os.O_TRUNC
"""The flags of open(2) that a file may be opened with."""

USES = {"r": ("read", "read_iter"), "w": ("write", "write_iter"), "c": ("control",), "p": ("poll",)}
"""What a file can be used for, and the functions that it takes one of."""

_SIGNAL_PENDING, _KILL = 1 << 2, 1 << 8
"""The flag of a task to which a signal has come (TIF_SIGPENDING), and the signal that ends it."""

_INTERRUPTIBLE = 0x101
"""The states of tasks that such a signal wakes: TASK_INTERRUPTIBLE and TASK_WAKEKILL."""

_ENOIOCTLCMD = 515


@dataclass(slots=True, eq=False)
class FileDescription:
    """A file that is open: its path, the module that has made its name, and flags of open(2).

    ``struct`` is its ``struct file``, ``task`` the process that has opened it. ``held`` are the
    modules that it keeps, ``calls`` how many calls are under way. ``gone`` is the errno that all
    others end with once the name was removed, 0 before; it may be released by then.
    """

    path: str
    module: str
    flags: int
    content: "Content"
    struct: int = 0
    inode: int = 0
    entry: int = 0
    task: int = 0
    held: list[str] = field(default_factory=list)
    calls: int = 0
    gone: int = 0
    is_released: bool = False

    @property
    def can_read(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def can_write(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY


@dataclass(slots=True)
class OpenDescriptions:
    """The files that are open, by their contents."""

    by_content: dict[int, list[FileDescription]] = field(default_factory=dict)

    def of(self, content: object) -> list[FileDescription]:
        """Return those of a content."""
        return self.by_content.get(id(content), [])

    def add(self, file: FileDescription) -> None:
        """Note that a file is open."""
        self.by_content.setdefault(id(file.content), []).append(file)

    def remove(self, file: FileDescription) -> None:
        """Note that a file is open no more."""
        found = self.of(file.content)
        if file in found:
            found.remove(file)
        if not found:
            self.by_content.pop(id(file.content), None)


class Content:
    """What is behind a name that can be opened; what nothing is said of cannot be done."""

    kind = stat.S_IFREG
    """Its file type (stat(2))."""

    refusal = -EINVAL
    """What is said where it is read or written and cannot be."""

    def uses(self, _machine: Machine) -> str:
        """Return what it can be used for, letters of USES."""
        return ""

    def open(self, _machine: Machine, _file: FileDescription) -> int:
        """Begin; returns 0, or an errno below zero, and then it is not open."""
        return -ENXIO

    def release(self, _machine: Machine, _file: FileDescription) -> None:
        """End."""

    def read(self, _machine: Machine, _file: FileDescription, _buffer: int, _size: int) -> int:
        """Read into a user's buffer; returns how many bytes."""
        return self.refusal

    def write(self, _machine: Machine, _file: FileDescription, _buffer: int, _size: int) -> int:
        """Write from a user's buffer; returns how many bytes."""
        return self.refusal

    def seek(self, _machine: Machine, _file: FileDescription, _offset: int, _whence: int) -> int:
        """Go elsewhere; returns the position."""
        return -ESPIPE

    def control(
        self, _machine: Machine, _file: FileDescription, _number: int, _argument: int
    ) -> int:
        """Do what a number stands for (ioctl)."""
        return -ENOTTY

    def poll(self, _machine: Machine, _file: FileDescription, _table: int) -> int:
        """Return what can be done without waiting, as poll(2) has it."""
        return POLL_ALWAYS


class Operated(Content):
    """Content with a table of a module's functions, which are called for what is done."""

    layout: Structure = FILE_OPERATIONS

    def table(self, machine: Machine, file: FileDescription | None) -> int:
        """Return where the table is, of an open file or of the content; 0 for none."""
        raise NotImplementedError

    def uses(self, machine: Machine) -> str:
        """Return the uses for which the table has functions."""
        table = self.table(machine, None)
        named = (
            letter
            for letter, names in USES.items()
            if any(self._function(machine, table, each) for each in names)
        )
        return "".join(named) if table else ""

    def _function(self, machine: Machine, table: int, name: str) -> int:
        """Return a function of the table, 0 where it has none."""
        if not table or not self.layout.has(name):
            return 0
        return machine.memory.number(table + getattr(self.layout, name))

    def function(self, machine: Machine, file: FileDescription, name: str) -> int:
        """Return a function for an open file, 0 where there is none."""
        return self._function(machine, self.table(machine, file), name)

    def begin(self, machine: Machine, file: FileDescription) -> int:
        """Call the table's own open, once all is ready for it."""
        may_seek = self.function(machine, file, "seek")
        if not may_seek:
            mode = machine.memory.number(file.struct + FILE.mode, 4) & ~MODE_SEEK
            machine.memory.put(file.struct + FILE.mode, mode, 4)
        opening = self.function(machine, file, "open")
        return machine.call(opening, file.inode, file.struct) if opening else 0

    def release(self, machine: Machine, file: FileDescription) -> None:
        """Call its flush and its release."""
        flush, release = (self.function(machine, file, each) for each in ("flush", "release"))
        if flush:
            machine.call(flush, file.struct, 0)
        if release:
            machine.call(release, file.inode, file.struct)

    def read(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Call its read, or else its read_iter."""
        return self._move(machine, file, "read", buffer, size)

    def write(self, machine: Machine, file: FileDescription, buffer: int, size: int) -> int:
        """Call its write, or else its write_iter."""
        return self._move(machine, file, "write", buffer, size)

    def _move(
        self, machine: Machine, file: FileDescription, name: str, buffer: int, size: int
    ) -> int:
        memory, place = machine.memory, file.struct + FILE.position
        plain = self.function(machine, file, name)
        if plain:
            with _lent(machine, 8) as position:
                memory.put(position, memory.number(place))
                result = _signed(machine.invoke(plain, file.struct, buffer, size, position))
                if result >= 0:
                    memory.put(place, memory.number(position))
            return result
        iterating = self.function(machine, file, f"{name}_iter")
        if not iterating:
            return self.refusal
        with (
            _lent(machine, TRANSFER.size) as transfer,
            _lent(machine, BUFFER_ITERATOR.size) as iterator,
        ):
            memory.put(transfer + TRANSFER.file, file.struct)
            memory.put(transfer + TRANSFER.position, memory.number(place))
            _iterate(machine, iterator, buffer, size, is_source=name == "write")
            result = _signed(machine.invoke(iterating, transfer, iterator))
            memory.put(place, memory.number(transfer + TRANSFER.position))
        return result

    def seek(self, machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
        """Call its llseek."""
        mode = machine.memory.number(file.struct + FILE.mode, 4)
        seeking = self.function(machine, file, "seek")
        if not seeking or not mode & MODE_SEEK:
            return -ESPIPE
        return _signed(machine.invoke(seeking, file.struct, offset, whence))

    def control(self, machine: Machine, file: FileDescription, number: int, argument: int) -> int:
        """Call its unlocked_ioctl."""
        doing = self.function(machine, file, "control")
        if not doing:
            return -ENOTTY
        result = machine.call(doing, file.struct, number, argument)
        return -ENOTTY if result == -_ENOIOCTLCMD else result

    def poll(self, machine: Machine, file: FileDescription, table: int) -> int:
        """Call its poll."""
        asking = self.function(machine, file, "poll")
        if not asking:
            return POLL_ALWAYS
        return machine.invoke(asking, file.struct, table) & 0xFFFFFFFF


def _signed(word: int) -> int:
    return word - (word >> 63 << 64)


@contextmanager
def _lent(machine: Machine, size: int) -> Iterator[int]:
    """Have some memory of the kernel's own."""
    address = machine.heap.allocate(size)
    try:
        yield address
    finally:
        machine.heap.free(address)


def _iterate(machine: Machine, at: int, buffer: int, size: int, *, is_source: bool) -> None:
    """Make an iterator over one buffer of a user's."""
    memory = machine.memory
    memory.put(at + BUFFER_ITERATOR.kind, ITERATOR_KINDS.users, 1)
    memory.put(at + BUFFER_ITERATOR.is_source, is_source, 1)
    if BUFFER_ITERATOR.has("is_users"):
        memory.put(at + BUFFER_ITERATOR.is_users, 1, 1)
    memory.put(at + BUFFER_ITERATOR.buffer, buffer)
    memory.put(at + BUFFER_ITERATOR.count, size)


def take_owner(machine: Machine, file: FileDescription, owner: int) -> bool:
    """Have a file keep the module that a ``struct module`` is of; tell whether that can be."""
    if not owner:
        return True
    name = machine.memory.text(owner + MODULE.name, MODULE.name_size)
    if not machine.services.hold(name):
        return False
    file.held.append(name)
    return True


def _give_owners(machine: Machine, file: FileDescription) -> None:
    while file.held:
        machine.services.release(file.held.pop())


def make_file(
    machine: Machine, path: str, module: str, content: Content, flags: int
) -> FileDescription:
    """Make what a process has of a file before it is open: the process, an inode, a name."""
    file = FileDescription(path, module, flags & FLAGS, content)
    memory, allocate = machine.memory, machine.heap.allocate
    file.task = new_task(machine, b"kmodctl")
    name = path.rpartition("/")[2].encode("utf-8", "surrogateescape")
    file.inode, file.struct = allocate(INODE.size), allocate(FILE.size)
    file.entry = allocate(DENTRY.size + len(name) + 1)
    memory.write(file.entry + DENTRY.size, name + b"\0")
    memory.put(file.entry + DENTRY.name, file.entry + DENTRY.size)
    memory.put(file.entry + DENTRY.name_length, len(name), 4)
    memory.put(file.entry + DENTRY.parent, file.entry)
    memory.put(file.entry + DENTRY.inode, file.inode)
    memory.put(file.inode + INODE.mode, content.kind | 0o600, 2)
    memory.put(file.struct + FILE.inode, file.inode)
    memory.put(file.struct + FILE.entry, file.entry)
    memory.put(file.struct + FILE.flags, file.flags, 4)
    mode = MODE_READ * file.can_read | MODE_WRITE * file.can_write
    mode |= MODE_SEEK | MODE_PREAD | MODE_PWRITE
    memory.put(file.struct + FILE.mode, mode, 4)
    return file


def open_file(machine: Machine, file: FileDescription) -> int:
    """Open a file; returns 0, or an errno below zero, and nothing is left of it."""
    code = file.content.open(machine, file)
    if code < 0:
        _give_owners(machine, file)
        forget_file(machine, file)
    else:
        machine.state(OpenDescriptions).add(file)
    return min(code, 0)


def close_file(machine: Machine, file: FileDescription) -> None:
    """Close a file, and let go of the modules that it keeps.

    Where the module's code crashes, they are kept for ever, as the kernel has it.
    """
    machine.state(OpenDescriptions).remove(file)
    if not file.is_released:
        file.content.release(machine, file)
    _give_owners(machine, file)
    forget_file(machine, file)


def forget_file(machine: Machine, file: FileDescription) -> None:
    """Give back what was made for a file."""
    for address in (file.struct, file.inode, file.entry, file.task):
        machine.heap.free(address)


def read_file(machine: Machine, file: FileDescription, size: int) -> tuple[int, bytes]:
    """Read up to ``size`` bytes; return what the call does, and what is in the buffer.

    A function that returns more than was asked for has that told in the log, as the kernel tells
    it to its user: the bytes behind the buffer are no bytes of the file.
    """
    if not file.can_read or file.gone:
        return -(file.gone or EBADF), b""
    size = min(size, TRANSFER_MAX)
    buffer = bytearray(size)
    with machine.users.lending(buffer) as address:
        result = file.content.read(machine, file, address, size)
    if result > size:
        why = f"kmodd: a read of {file.path} returned {result} bytes where {size} were asked for\n"
        machine.log.write(Level.WARNING, why)
    return result, bytes(buffer[: max(min(result, size), 0)])


def write_file(machine: Machine, file: FileDescription, data: bytes) -> int:
    """Write; returns how many bytes were taken."""
    if not file.can_write or file.gone:
        return -(file.gone or EBADF)
    with machine.users.lending(bytearray(data)) as address:
        result = file.content.write(machine, file, address, len(data))
    if result > len(data):
        why = f"kmodd: a write to {file.path} returned {result} bytes of {len(data)}\n"
        machine.log.write(Level.WARNING, why)
    return result


def seek_in_file(machine: Machine, file: FileDescription, offset: int, whence: int) -> int:
    """Go elsewhere in a file; returns the position."""
    if file.gone:
        return -file.gone
    return file.content.seek(machine, file, offset, whence)


def control_file(
    machine: Machine, file: FileDescription, number: int, argument: int | bytes
) -> tuple[int, bytes]:
    """Do what a number stands for, with a number or with the address of a user's buffer.

    Returns what the call does, and what is in the buffer then.
    """
    if file.gone:
        return -file.gone, b""
    if isinstance(argument, int):
        return file.content.control(machine, file, number, argument), b""
    buffer = bytearray(argument)
    with machine.users.lending(buffer) as address:
        result = file.content.control(machine, file, number, address)
    return result, bytes(buffer)


@contextmanager
def in_call(file: FileDescription) -> Iterator[None]:
    """Note that a call is under way."""
    file.calls += 1
    try:
        yield
    finally:
        file.calls -= 1


def _unless_used(file: FileDescription) -> int | None:
    return None if file.calls else 0


def take_away(machine: Machine, content: Content | None, code: int, *, ends: bool = False) -> None:
    """Have the files of a content that is removed be of no more use: each call ends with ``code``.

    Where that ``ends`` them, they are released now, once what is under way has ended.
    """
    for file in tuple(machine.state(OpenDescriptions).of(content)):
        file.gone = code
        if ends:
            machine.tasks.wait(partial(_unless_used, file))
            file.is_released = True
            file.content.release(machine, file)


def lose_module(machine: Machine, module: str) -> None:
    """Have the files of a module that is gone be of no more use, whatever it has left of them."""
    for files in tuple(machine.state(OpenDescriptions).by_content.values()):
        for file in files:
            if file.module == module:
                file.gone, file.is_released = file.gone or ENODEV, True
                file.held.clear()


def signal_file(machine: Machine, file: FileDescription) -> None:
    """Send the process that has opened a file the signal that ends it, whatever it waits for."""
    memory = machine.memory
    flags = memory.number(file.task + TASK.flags)
    memory.put(file.task + TASK.flags, flags | _SIGNAL_PENDING)
    if TASK.has("pending_signals"):
        memory.put(file.task + TASK.pending_signals, _KILL)
    wake(machine, file.task, _INTERRUPTIBLE)
