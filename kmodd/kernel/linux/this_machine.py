# SPDX-License-Identifier: Apache-2.0
"""The machine that kmodd runs on, as a System."""

import errno
import os
import socket
import stat
from pathlib import Path

from kmodd.kernel.linux import syscalls
from kmodd.kernel.linux.system import WHOLE, SystemFile, UnopenedFileError, is_file_name
from kmodd.kernel.linux.uevents import open_uevents
from kmodd.kernel.proc_modules import read_snapshot

RECORD_MAX = 8192
"""Bytes of the log's longest record; a shorter buffer makes the kernel refuse the read."""

CHUNK = 1 << 20
"""Bytes asked of one read of a file."""

READS = 16384
"""Reads that are made of the log in one go; the kernel may log quicker than anybody reads."""

_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class KmsgReader:
    """/dev/kmsg, open to be read."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if at_end:
            os.lseek(self._fd, 0, os.SEEK_END)

    def fresh(self) -> list[bytes]:
        """Return the records that there are."""
        found = []
        for _ in range(READS):
            try:
                data = os.read(self._fd, RECORD_MAX)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue
            if not data:
                break
            found.append(data)
        return found

    def fileno(self) -> int:
        """Return the device's descriptor."""
        return self._fd

    def close(self) -> None:
        """Close the device."""
        os.close(self._fd)


class ThisMachine:
    """The machine, by its own system calls. Has no state."""

    def release(self) -> str:
        """Return the running kernel's release."""
        return os.uname().release

    def has_module_calls(self) -> bool:
        """Tell whether the calls' numbers are known on this architecture."""
        return syscalls.numbers_known()

    def init_module(self, image: bytes, parameters: str) -> None:
        """Load an image."""
        syscalls.init_module(image, parameters)

    def finit_module(self, fd: int, parameters: str, flags: int) -> None:
        """Load a file."""
        syscalls.finit_module(fd, parameters, flags)

    def delete_module(self, name: str, flags: int) -> None:
        """Unload a module."""
        syscalls.delete_module(name, flags)

    def exists(self, path: Path) -> bool:
        """Tell whether there is something at ``path``."""
        return path.exists()

    def read(self, path: Path, most: int = WHOLE) -> bytes:
        """Read a file."""
        fd = os.open(path, _READING)
        try:
            return _contents(fd, most)
        finally:
            os.close(fd)

    def read_modules(self, path: Path) -> bytes:
        """Read /proc/modules."""
        return read_snapshot(path)

    def read_directory(self, directory: Path, most: int = WHOLE) -> tuple[SystemFile, ...]:
        """Read the files of a directory."""
        names = sorted(os.listdir(directory))
        return tuple(_read_file(f"{directory}/{name}", name, most) for name in names)

    def list_directory(self, directory: str) -> list[str]:
        """List a directory."""
        return sorted(os.listdir(directory))

    def read_link(self, path: str) -> str:
        """Read a link."""
        return os.readlink(path)

    def real_path(self, path: Path) -> str:
        """Follow all links."""
        return os.path.realpath(path)

    def write_below(self, directory: Path, parts: tuple[str, ...], data: bytes) -> None:
        """Write to a file, on the way to which no link is followed."""
        fd = _open_below(directory, parts)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        finally:
            os.close(fd)

    def open_log(self, path: Path, *, at_end: bool) -> KmsgReader:
        """Open /dev/kmsg."""
        return KmsgReader(path, at_end=at_end)

    def open_events(self) -> socket.socket:
        """Open a netlink socket."""
        return open_uevents()


THIS_MACHINE = ThisMachine()
"""The one that there is."""


def _contents(fd: int, most: int) -> bytes:
    """Read to the end, or until there are ``most`` bytes."""
    data = os.read(fd, min(most, CHUNK))
    if not data or len(data) == most:
        return data
    parts, left = [data], most - len(data)
    while left and (part := os.read(fd, min(left, CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _read_file(path: str, name: str, most: int) -> SystemFile:
    """Read one file of a directory; raises OSError where it has gone."""
    try:
        fd = os.open(path, _READING)
    except OSError:
        return SystemFile(name, stat.S_IMODE(os.stat(path).st_mode), None)
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        try:
            return SystemFile(name, mode, _contents(fd, most))
        except OSError:
            return SystemFile(name, mode, None)
    finally:
        os.close(fd)


def _open_below(directory: Path, parts: tuple[str, ...]) -> int:
    """Open a file to write to it; raises UnopenedFileError with the kernel's errno."""
    *between, last = parts
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in between:
                below = os.open(_file_name(part), _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            return os.open(_file_name(last), flags, dir_fd=fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise UnopenedFileError(*error.args) from error


def _file_name(name: str) -> str:
    """Return ``name`` if it is the name of a file in a directory, and of nothing else."""
    if not is_file_name(name):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return name
