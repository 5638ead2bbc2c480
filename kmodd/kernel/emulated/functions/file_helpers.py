# SPDX-License-Identifier: Apache-2.0
"""What the functions of files are often made of: opening, going elsewhere, copying out of a buffer
and into one (fs/libfs.c, fs/open.c, fs/read_write.c).
"""

import os
from errno import EFAULT, EINVAL, ENXIO, ESPIPE

from kmodd.kernel.emulated.abi.function_table import RETURN, RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import FILE, INODE
from kmodd.kernel.emulated.functions.open_files import (
    MODE_PREAD,
    MODE_PWRITE,
    MODE_SEEK,
)
from kmodd.kernel.emulated.machine.machine import Machine

_SEEK_DATA, _SEEK_HOLE = 3, 4
_POSITION_MAX = (1 << 63) - 1


@function("int simple_open(struct inode *inode, struct file *file)")
def simple_open(machine: Machine, inode: int, file: int) -> int:
    """The file's data are those of its inode."""
    data = machine.memory.number(inode + INODE.data)
    if data:
        machine.memory.put(file + FILE.data, data)
    return 0


@function(
    "int nonseekable_open(struct inode *inode, struct file *filp)",
    "int stream_open(struct inode *inode, struct file *filp)",
)
def nonseekable_open(machine: Machine, _inode: int, file: int) -> int:
    mode = machine.memory.number(file + FILE.mode, 4) & ~(MODE_SEEK | MODE_PREAD | MODE_PWRITE)
    machine.memory.put(file + FILE.mode, mode, 4)
    return 0


@function("loff_t no_llseek(struct file *file, loff_t offset, int whence)")
def no_llseek(_machine: Machine, _file: int, _offset: int, _whence: int) -> int:
    return -ESPIPE


@function("loff_t noop_llseek(struct file *file, loff_t offset, int whence)")
def noop_llseek(machine: Machine, file: int, _offset: int, _whence: int) -> int:
    return machine.memory.number(file + FILE.position, signed=True)


def go_to(machine: Machine, file: int, offset: int, whence: int, end: int) -> int:
    """Go elsewhere in a file that has so many bytes, and not behind its greatest position."""
    place = machine.memory.number(file + FILE.position, signed=True)
    if whence == _SEEK_DATA:
        if not 0 <= offset < end:
            return -ENXIO
    elif whence == _SEEK_HOLE:
        if not 0 <= offset < end:
            return -ENXIO
        offset = end
    elif whence == os.SEEK_END:
        offset += end
    elif whence == os.SEEK_CUR:
        offset += place
    elif whence != os.SEEK_SET:
        return -EINVAL
    if not 0 <= offset <= _POSITION_MAX:
        return -EINVAL
    machine.memory.put(file + FILE.position, offset)
    return offset


@function(
    "loff_t default_llseek(struct file *file, loff_t offset, int whence)",
    "loff_t generic_file_llseek(struct file *file, loff_t offset, int whence)",
)
def default_llseek(machine: Machine, file: int, offset: int, whence: int) -> int:
    """The inode, which nobody has told its size, says where the end is."""
    end = machine.memory.number(machine.memory.number(file + FILE.inode) + INODE.length)
    return go_to(machine, file, offset, whence, end)


@function("loff_t fixed_size_llseek(struct file *file, loff_t offset, int whence, loff_t size)")
def fixed_size_llseek(machine: Machine, file: int, offset: int, whence: int, size: int) -> int:
    place = machine.memory.number(file + FILE.position, signed=True)
    sought = {os.SEEK_SET: 0, os.SEEK_CUR: place, os.SEEK_END: size}.get(whence)
    if sought is None or not 0 <= sought + offset <= size:
        return -EINVAL
    return go_to(machine, file, sought + offset, os.SEEK_SET, size)


@function("loff_t no_seek_end_llseek(struct file *file, loff_t offset, int whence)")
def no_seek_end_llseek(machine: Machine, file: int, offset: int, whence: int) -> int:
    if whence not in (os.SEEK_SET, os.SEEK_CUR):
        return -EINVAL
    return go_to(machine, file, offset, whence, _POSITION_MAX)


def _part(machine: Machine, position: int, count: int, available: int) -> tuple[int, int]:
    """Return where to copy from, and how many bytes; -EINVAL for a place before the start."""
    place = machine.memory.number(position, signed=True)
    if place < 0:
        return -EINVAL, 0
    return place, max(min(count, available - place), 0)


def read_from(
    machine: Machine, to: int, count: int, position: int, data: bytes | int, available: int
) -> int:
    """Copy a part of what there is, bytes or their address, to a user, and move the position."""
    place, size = _part(machine, position, count, available)
    if place < 0 or not size:
        return min(place, 0)
    taken = (
        data[place : place + size]
        if isinstance(data, bytes)
        else machine.memory.read(data + place, size)
    )
    done = machine.users.write(to, taken)
    machine.memory.put(position, place + done)
    return done or -EFAULT


@function(
    "ssize_t simple_read_from_buffer(void *to, size_t count, loff_t *ppos, const void *from, size_t"
    " available)"
)
def simple_read_from_buffer(
    machine: Machine, to: int, count: int, position: int, source: int, available: int
) -> int:
    return read_from(machine, to, count, position, source, available)


@function(
    "ssize_t simple_write_to_buffer(void *to, size_t available, loff_t *ppos, const void *from,"
    " size_t count)"
)
def simple_write_to_buffer(
    machine: Machine, to: int, available: int, position: int, source: int, count: int
) -> int:
    place, size = _part(machine, position, count, available)
    if place < 0 or not size:
        return min(place, 0)
    data = machine.users.read(source, size)
    machine.memory.write(to + place, data)
    machine.memory.put(position, place + len(data))
    return len(data) or -EFAULT


@function(
    "ssize_t memory_read_from_buffer(void *to, size_t count, loff_t *ppos, const void *from, size_t"
    " available)"
)
def memory_read_from_buffer(
    machine: Machine, to: int, count: int, position: int, source: int, available: int
) -> int:
    place, size = _part(machine, position, count, available)
    if place < 0 or not size:
        return min(place, 0)
    machine.memory.write(to, machine.memory.read(source + place, size))
    machine.memory.put(position, place + size)
    return size


machine_code(
    RETURN_ZERO,
    """
    int generic_file_open(struct inode *inode, struct file *filp)
    int noop_fsync(struct file *file, loff_t start, loff_t end, int datasync)
    int fasync_helper(int fd, struct file *filp, int on, struct fasync_struct **fapp)
    """,
)
machine_code(RETURN, "void kill_fasync(struct fasync_struct **fp, int sig, int band)")
