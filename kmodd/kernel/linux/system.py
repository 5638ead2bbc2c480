# SPDX-License-Identifier: Apache-2.0
"""What LinuxKernel asks of the system whose kernel it is: files, links, the calls on modules.

It may be the machine that kmodd runs on, or a guest that is spoken to. Each method may be called
from any thread, and raises OSError with the errno that the system's own call has given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kmodd.records import record

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = 16 << 20
"""Bytes that are read of a file at most, where nothing else is said."""


@record
class SystemFile:
    """A file in a directory: its name, its permission bits, and its contents.

    ``contents`` is None where they cannot be read.
    """

    name: str
    mode: int
    contents: bytes | None


class UnopenedFileError(OSError):
    """A file could not be opened to write to; any other OSError is of the write."""


class LogReader(Protocol):
    """The kernel's log, as /dev/kmsg gives it. For one thread at a time."""

    def fresh(self) -> list[bytes]:
        """Return the records that have come since the last call, a bounded number of them.

        Those that were overwritten meanwhile are passed over.
        """

    def fileno(self) -> int:
        """Return a descriptor that can be read while there are records that were not returned."""

    def close(self) -> None:
        """Give back what the reader holds."""


class EventSource(Protocol):
    """The kernel's events, as a netlink socket has them that does not block."""

    def fileno(self) -> int:
        """Return a descriptor that can be read while there are events."""

    def recvfrom(self, size: int, /) -> tuple[bytes, object]:
        """Return an event and who has sent it: for netlink, a port and groups.

        Raises BlockingIOError where there is none, and OSError (ENOBUFS) once events were lost.
        """

    def close(self) -> None:
        """Take in no more."""


class System(Protocol):
    """A system whose kernel is a Linux."""

    def release(self) -> str:
        """Return what ``uname -r`` says there."""

    def has_module_calls(self) -> bool:
        """Tell whether the system calls on modules can be made."""

    def init_module(self, image: bytes, parameters: str) -> None:
        """Load the module ``image``, uncompressed (init_module(2)).

        ValueError, as for the next two, where a text has a NUL in it.
        """

    def finit_module(self, fd: int, parameters: str, flags: int) -> None:
        """Load the module in the file that is open here, at ``fd`` (finit_module(2))."""

    def delete_module(self, name: str, flags: int) -> None:
        """Unload a module; ``flags`` are O_NONBLOCK, and O_TRUNC for force (delete_module(2))."""

    def exists(self, path: Path) -> bool:
        """Tell whether there is something at ``path``."""

    def read(self, path: Path, most: int = WHOLE) -> bytes:
        """Return what the file has, ``most`` bytes at most."""

    def read_modules(self, path: Path) -> bytes:
        """Return the contents of /proc/modules at one moment."""

    def read_directory(self, directory: Path, most: int = WHOLE) -> tuple[SystemFile, ...]:
        """Return the files of a directory by name, ``most`` bytes of each."""

    def list_directory(self, directory: str) -> list[str]:
        """Return the names in a directory, in order."""

    def read_link(self, path: str) -> str:
        """Return where a symbolic link leads."""

    def real_path(self, path: Path) -> str:
        """Return the path without links in it; raises nothing."""

    def write_below(self, directory: Path, parts: tuple[str, ...], data: bytes) -> None:
        """Write ``data`` by one call to the file that ``parts`` lead to from ``directory``.

        No part may be a link, or lead elsewhere. Raises UnopenedFileError where there is no such
        file to write to, and OSError (E2BIG) where only a part of the data was taken.
        """

    def open_log(self, path: Path, *, at_end: bool) -> LogReader:
        """Open the log, with the oldest record that is left or, ``at_end``, the next to come."""

    def open_events(self) -> EventSource:
        """Open the kernel's events, from now on."""


def is_file_name(name: str) -> bool:
    """Tell whether ``name`` may be that of a file in a directory, and leads nowhere else."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def read_text(system: System, path: Path) -> str:
    """Return a file's text, "" where it cannot be read."""
    try:
        return system.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def read_line(system: System, path: Path) -> str:
    """Return a file's first line, "" where there is none to be read."""
    return read_text(system, path).partition("\n")[0]


def read_number(system: System, path: Path) -> int:
    """Return the number that a file holds, 0 where there is no such file."""
    line = read_line(system, path)
    return int(line) if line.isdecimal() else 0
