# SPDX-License-Identifier: Apache-2.0
"""/sys/module/NAME/parameters: the parameters of a loaded module, to read and to set."""

import errno
import os
import stat
from pathlib import Path

from kmodd.kernel.base import ParameterValue

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_parameters(directory: Path) -> tuple[ParameterValue, ...]:
    """Return the parameters that a module shows, by name; the module may go meanwhile."""
    try:
        return tuple(
            ParameterValue(file.name, _value(file), stat.S_IMODE(file.stat().st_mode))
            for file in sorted(directory.iterdir())
        )
    except OSError:
        return ()


def open_parameter(modules: Path, module: str, name: str) -> int:
    """Open the file of a parameter to write to it; ``modules`` is /sys/module.

    No part of the way may be a link, or lead elsewhere. Raises OSError with the kernel's errno.
    """
    directory = os.open(modules, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in (module, "parameters"):
            below = os.open(_file_name(part), _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(_file_name(name), flags, dir_fd=directory)
    finally:
        os.close(directory)


def write_value(fd: int, value: str) -> None:
    """Write a value, which takes one call: each write is one to the parameter.

    An empty value is a newline, as a write of nothing does nothing. Raises OSError with the errno
    that the parameter's setter gives.
    """
    data = value.encode("utf-8", "surrogateescape") or b"\n"
    if os.write(fd, data) != len(data):
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))


def _file_name(name: str) -> str:
    """Return ``name`` if it is the name of a file in a directory, and of nothing else."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return name


def _value(file: Path) -> str | None:
    """Return what the file shows, None where it shows nothing to anybody or not to us."""
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape").removesuffix("\n")
    except OSError:
        return None
