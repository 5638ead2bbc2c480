# SPDX-License-Identifier: Apache-2.0
"""Files that are shown a record at a time (fs/seq_file.c).

An iterator is asked for one record after the other, which are put into a buffer of the file's; what
of that is not read yet comes first at the next read. A buffer that is too small for a record is
made twice as large, and the record is asked for anew.
"""

import os
from collections.abc import Callable
from errno import EAGAIN, EFAULT, EINVAL, ENOMEM

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import (
    BUFFER_ITERATOR,
    FILE,
    SEQUENCE_FILE,
    SEQUENCE_OPERATIONS,
    TRANSFER,
)
from kmodd.kernel.emulated.functions.open_files import MODE_PWRITE
from kmodd.kernel.emulated.functions.user_access import copy_to_iterator
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_FILE, _OPERATIONS, _STATE = "seq_file", "seq_operations", "state of a seq_file"
_ROOM_MAX = 32 << 20
_FIRST_ERROR = (1 << 64) - 4095

Copy = Callable[[bytes], int]
"""Copies to a user as much as there is room for, and returns how many bytes that is."""


def _get(machine: Machine, sequence: int, offset: int) -> int:
    return machine.memory.number(sequence + offset)


def _put(machine: Machine, sequence: int, offset: int, value: int) -> None:
    machine.memory.put(sequence + offset, value)


def _call(machine: Machine, sequence: int, offset: int, *arguments: int) -> int:
    operations = _get(machine, sequence, SEQUENCE_FILE.operations)
    return machine.invoke(machine.memory.number(operations + offset), sequence, *arguments)


def _start(machine: Machine, sequence: int) -> int:
    return _call(machine, sequence, SEQUENCE_OPERATIONS.start, sequence + SEQUENCE_FILE.index)


def _next(machine: Machine, sequence: int, record: int) -> int:
    index = sequence + SEQUENCE_FILE.index
    return _call(machine, sequence, SEQUENCE_OPERATIONS.next, record, index)


def _stop(machine: Machine, sequence: int, record: int) -> None:
    _call(machine, sequence, SEQUENCE_OPERATIONS.stop, record)


def _show(machine: Machine, sequence: int, record: int) -> int:
    """Return 0, an error below zero, or something above for a record that is left out."""
    word = _call(machine, sequence, SEQUENCE_OPERATIONS.show, record) & 0xFFFFFFFF
    return word - (word >> 31 << 32)


def _error_of(record: int) -> int:
    return record - (1 << 64) if record >= _FIRST_ERROR else 0


def _is_full(machine: Machine, sequence: int) -> bool:
    count = _get(machine, sequence, SEQUENCE_FILE.count)
    return count >= _get(machine, sequence, SEQUENCE_FILE.room)


def _allocate(machine: Machine, sequence: int, room: int) -> bool:
    """Give a file a buffer, in place of the one that it has; False where there is none so large."""
    machine.heap.free(_get(machine, sequence, SEQUENCE_FILE.buffer))
    buffer = machine.heap.allocate(room) if room <= _ROOM_MAX else 0
    for offset, value in (
        (SEQUENCE_FILE.buffer, buffer),
        (SEQUENCE_FILE.room, room if buffer else 0),
        (SEQUENCE_FILE.count, 0),
    ):
        _put(machine, sequence, offset, value)
    return bool(buffer)


def _reset(machine: Machine, sequence: int) -> None:
    for offset in (SEQUENCE_FILE.position, SEQUENCE_FILE.index, SEQUENCE_FILE.count):
        _put(machine, sequence, offset, 0)


def _go_to(machine: Machine, sequence: int, offset: int) -> int:
    """Have the buffer begin at a place of the file; returns 0 or an error below zero."""
    while (code := _traverse(machine, sequence, offset)) == -EAGAIN:
        continue
    if code:
        _reset(machine, sequence)
    else:
        _put(machine, sequence, SEQUENCE_FILE.position, offset)
    return code


def _traverse(machine: Machine, sequence: int, offset: int) -> int:
    """Show all records up to a place; -EAGAIN where that is to be done anew."""
    for field in (SEQUENCE_FILE.index, SEQUENCE_FILE.count, SEQUENCE_FILE.start):
        _put(machine, sequence, field, 0)
    if not offset:
        return 0
    if not _get(machine, sequence, SEQUENCE_FILE.buffer) and not _allocate(machine, sequence, PAGE):
        return -ENOMEM
    place, code, record = 0, 0, _start(machine, sequence)
    while record:
        code = _error_of(record) or _show(machine, sequence, record)
        if code < 0:
            break
        if code:
            _put(machine, sequence, SEQUENCE_FILE.count, 0)
        code = 0
        if _is_full(machine, sequence):
            _stop(machine, sequence, record)
            room = 2 * _get(machine, sequence, SEQUENCE_FILE.room)
            return -EAGAIN if _allocate(machine, sequence, room) else -ENOMEM
        record = _next(machine, sequence, record)
        count = _get(machine, sequence, SEQUENCE_FILE.count)
        if place + count > offset:
            _put(machine, sequence, SEQUENCE_FILE.start, offset - place)
            _put(machine, sequence, SEQUENCE_FILE.count, count - (offset - place))
            break
        place += count
        _put(machine, sequence, SEQUENCE_FILE.count, 0)
        if place == offset:
            break
    _stop(machine, sequence, record)
    return code


def _read(machine: Machine, sequence: int, size: int, position: int, copy: Copy) -> int:
    """Show records to a user from a place on; returns how many bytes, or an error below zero."""
    if not size:
        return 0
    if not position:
        _put(machine, sequence, SEQUENCE_FILE.index, 0)
        _put(machine, sequence, SEQUENCE_FILE.count, 0)
        _put(machine, sequence, SEQUENCE_FILE.position, 0)
    if position != _get(machine, sequence, SEQUENCE_FILE.position):
        code = _go_to(machine, sequence, position)
        if code:
            return code
    if not _get(machine, sequence, SEQUENCE_FILE.buffer) and not _allocate(machine, sequence, PAGE):
        return -ENOMEM
    copied = _take(machine, sequence, size, copy) if _count(machine, sequence) else 0
    code = 0
    if not _count(machine, sequence):
        code = _fill(machine, sequence, size - copied)
        if _count(machine, sequence):
            copied += _take(machine, sequence, size - copied, copy)
    if not copied:
        return -EFAULT if _count(machine, sequence) else code
    _put(machine, sequence, SEQUENCE_FILE.position, position + copied)
    return copied


def _count(machine: Machine, sequence: int) -> int:
    return _get(machine, sequence, SEQUENCE_FILE.count)


def _take(machine: Machine, sequence: int, size: int, copy: Copy) -> int:
    """Copy from the buffer to a user."""
    start, count = _get(machine, sequence, SEQUENCE_FILE.start), _count(machine, sequence)
    buffer = _get(machine, sequence, SEQUENCE_FILE.buffer)
    done = copy(machine.memory.read(buffer + start, min(size, count)))
    _put(machine, sequence, SEQUENCE_FILE.start, start + done)
    _put(machine, sequence, SEQUENCE_FILE.count, count - done)
    return done


def _fill(machine: Machine, sequence: int, size: int) -> int:
    """Put records into the empty buffer until there are ``size`` bytes; 0, or why there are none."""
    _put(machine, sequence, SEQUENCE_FILE.start, 0)
    record = _start(machine, sequence)
    while True:
        code = _error_of(record)
        if not record or code:
            break
        code = _show(machine, sequence, record)
        if code < 0:
            break
        if code:
            _put(machine, sequence, SEQUENCE_FILE.count, 0)
        code = 0
        if not _count(machine, sequence):
            record = _next(machine, sequence, record)
            continue
        if not _is_full(machine, sequence):
            _fill_up(machine, sequence, record, size)
            return 0
        _stop(machine, sequence, record)
        if not _allocate(machine, sequence, 2 * _get(machine, sequence, SEQUENCE_FILE.room)):
            return -ENOMEM
        record = _start(machine, sequence)
    _stop(machine, sequence, record)
    _put(machine, sequence, SEQUENCE_FILE.count, 0)
    return code


def _fill_up(machine: Machine, sequence: int, record: int, size: int) -> None:
    """Put in more records behind the first, as many as there is room for."""
    while True:
        count, index = _count(machine, sequence), _get(machine, sequence, SEQUENCE_FILE.index)
        record = _next(machine, sequence, record)
        if index == _get(machine, sequence, SEQUENCE_FILE.index):
            _tell_buggy_next(machine, sequence)
            _put(machine, sequence, SEQUENCE_FILE.index, index + 1)
        if not record or _error_of(record) or count >= size:
            break
        code = _show(machine, sequence, record)
        if code > 0:
            _put(machine, sequence, SEQUENCE_FILE.count, count)
        elif code < 0 or _is_full(machine, sequence):
            _put(machine, sequence, SEQUENCE_FILE.count, count)
            break
    _stop(machine, sequence, record)


def _tell_buggy_next(machine: Machine, sequence: int) -> None:
    operations = _get(machine, sequence, SEQUENCE_FILE.operations)
    name = machine.symbol(
        machine.memory.number(operations + SEQUENCE_OPERATIONS.next), offset=False
    )
    why = f"seq_file: buggy .next function {name} did not update position index\n"
    machine.log.write(Level.INFO, why)


@function("ssize_t seq_read(struct file *file, char *buf, size_t size, loff_t *ppos)")
def seq_read(machine: Machine, file: int, buffer: int, size: int, position: int) -> int:
    sequence, done = machine.memory.number(file + FILE.data), 0

    def copy(data: bytes) -> int:
        nonlocal done
        written = machine.users.write(buffer + done, data)
        done += written
        return written

    place = machine.memory.number(position)
    result = _read(machine, sequence, size, place, copy)
    if result > 0:
        machine.memory.put(position, place + result)
    return result


@function("ssize_t seq_read_iter(struct kiocb *iocb, struct iov_iter *iter)")
def seq_read_iter(machine: Machine, transfer: int, iterator: int) -> int:
    file = machine.memory.number(transfer + TRANSFER.file)
    sequence = machine.memory.number(file + FILE.data)
    size = machine.memory.number(iterator + BUFFER_ITERATOR.count)
    place = machine.memory.number(transfer + TRANSFER.position)
    result = _read(
        machine, sequence, size, place, lambda data: copy_to_iterator(machine, iterator, data)
    )
    if result > 0:
        machine.memory.put(transfer + TRANSFER.position, place + result)
    return result


@function("loff_t seq_lseek(struct file *file, loff_t offset, int whence)")
def seq_lseek(machine: Machine, file: int, offset: int, whence: int) -> int:
    sequence = machine.memory.number(file + FILE.data)
    if whence == os.SEEK_CUR:
        offset += machine.memory.number(file + FILE.position)
    elif whence != os.SEEK_SET:
        return -EINVAL
    if offset < 0:
        return -EINVAL
    code = 0
    if offset != _get(machine, sequence, SEQUENCE_FILE.position):
        code = _go_to(machine, sequence, offset)
    machine.memory.put(file + FILE.position, 0 if code else offset)
    return code or offset


@function("int seq_open(struct file *file, const struct seq_operations *op)")
def seq_open(machine: Machine, file: int, operations: int) -> int:
    sequence = machine.heap.allocate(SEQUENCE_FILE.size)
    machine.ledger.take(_FILE, sequence)
    _put(machine, sequence, SEQUENCE_FILE.operations, operations)
    _put(machine, sequence, SEQUENCE_FILE.file, file)
    machine.memory.put(file + FILE.data, sequence)
    mode = machine.memory.number(file + FILE.mode, 4)
    machine.memory.put(file + FILE.mode, mode & ~MODE_PWRITE, 4)
    return 0


@reclaims(_FILE)
def forget_sequence(machine: Machine, sequence: int) -> None:
    """Give back what a file has that its module has never released."""
    machine.heap.free(_get(machine, sequence, SEQUENCE_FILE.buffer))
    machine.heap.free(sequence)


@function("int seq_release(struct inode *inode, struct file *file)")
def seq_release(machine: Machine, _inode: int, file: int) -> int:
    sequence = machine.memory.number(file + FILE.data)
    if machine.ledger.give(_FILE, sequence) is not None:
        forget_sequence(machine, sequence)
    return 0


@function("void *__seq_open_private(struct file *f, const struct seq_operations *ops, int psize)")
def open_with_state(machine: Machine, file: int, operations: int, size: int) -> int:
    """The state is as large as the caller says, and zeros."""
    state = machine.heap.allocate(size)
    seq_open(machine, file, operations)
    machine.ledger.take(_STATE, state)
    _put(machine, machine.memory.number(file + FILE.data), SEQUENCE_FILE.data, state)
    return state


@function("int seq_open_private(struct file *filp, const struct seq_operations *ops, int psize)")
def seq_open_private(machine: Machine, file: int, operations: int, size: int) -> int:
    return 0 if open_with_state(machine, file, operations, size) else -ENOMEM


@function("int seq_release_private(struct inode *inode, struct file *file)")
def seq_release_private(machine: Machine, inode: int, file: int) -> int:
    sequence = machine.memory.number(file + FILE.data)
    state = _get(machine, sequence, SEQUENCE_FILE.data)
    if machine.ledger.give(_STATE, state) is not None:
        machine.heap.free(state)
    return seq_release(machine, inode, file) or 0


@function("int single_open(struct file *file, int (*show)(struct seq_file *, void *), void *data)")
def single_open(machine: Machine, file: int, show: int, data: int) -> int:
    """The only record is all that there is to show."""
    operations, address = machine.heap.allocate(SEQUENCE_OPERATIONS.size), machine.kernel_symbols
    for offset, value in (
        (SEQUENCE_OPERATIONS.start, address.address("single_start")),
        (SEQUENCE_OPERATIONS.next, address.address("single_next")),
        (SEQUENCE_OPERATIONS.stop, address.address("single_stop")),
        (SEQUENCE_OPERATIONS.show, show),
    ):
        machine.memory.put(operations + offset, value)
    machine.ledger.take(_OPERATIONS, operations)
    seq_open(machine, file, operations)
    _put(machine, machine.memory.number(file + FILE.data), SEQUENCE_FILE.data, data)
    return 0


@function(
    "int single_open_size(struct file *file, int (*show)(struct seq_file *, void *), void *data,"
    " size_t size)"
)
def single_open_size(machine: Machine, file: int, show: int, data: int, size: int) -> int:
    single_open(machine, file, show, data)
    sequence = machine.memory.number(file + FILE.data)
    return 0 if _allocate(machine, sequence, max(size, 1)) else -ENOMEM


@function("int single_release(struct inode *inode, struct file *file)")
def single_release(machine: Machine, inode: int, file: int) -> int:
    sequence = machine.memory.number(file + FILE.data)
    operations = _get(machine, sequence, SEQUENCE_FILE.operations)
    if machine.ledger.give(_OPERATIONS, operations) is not None:
        machine.heap.free(operations)
    return seq_release(machine, inode, file) or 0


@function("void *single_start(struct seq_file *p, loff_t *pos)")
def single_start(machine: Machine, _sequence: int, index: int) -> int:
    return int(not machine.memory.number(index))


@function("void *single_next(struct seq_file *p, void *v, loff_t *pos)")
def single_next(machine: Machine, _sequence: int, _record: int, index: int) -> int:
    machine.memory.put(index, machine.memory.number(index) + 1)
    return 0


@function("void single_stop(struct seq_file *p, void *v)")
def single_stop(_machine: Machine, _sequence: int, _record: int) -> None:
    """There is nothing to end."""
