# SPDX-License-Identifier: Apache-2.0
"""The files of an emulated kernel: their names, and those that are open."""

from typing import Protocol

from kmodd.records import record


@record
class KernelFile:
    """A name in an emulated kernel's /dev, /proc or /sys, and the module that has made it.

    ``mode`` are its permission bits, and ``is_device`` tells whether it is a device's node.
    ``uses`` are what a file can be used for: "r" to be read, "w" written, "c" controlled (ioctl),
    "p" polled.
    """

    path: str
    is_directory: bool
    module: str = ""
    mode: int = 0o755
    is_device: bool = False
    uses: str = ""


@record
class FileRead:
    """What a read gave: ``data``, and how many bytes it ``returned``, 0 at the end of the file.

    Code that returns more than it was asked for has ``returned`` be more than ``data`` are.
    """

    data: bytes
    returned: int


class OpenFile(Protocol):
    """A file of an emulated kernel that is open. Raises KernelError as the system calls fail.

    The methods may be called from any thread. A call may wait for as long as the module lets it.
    """

    def read(self, size: int) -> FileRead:
        """Read up to ``size`` bytes from where the file is at."""

    def write(self, data: bytes) -> int:
        """Write ``data``, and return how many bytes were taken."""

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere (lseek(2)), and return the position in bytes."""

    def control(self, number: int, argument: int | bytes) -> tuple[int, bytes]:
        """Do what a number stands for (ioctl(2)), with a number or the address of a buffer.

        Returns the result, and what is in the buffer that ``argument`` is.
        """

    def poll(self, events: int, milliseconds: int) -> int:
        """Return which of ``events`` have come (poll(2)).

        Waits so many milliseconds of the kernel's time for the first; below 0 for as long as need
        be.
        """

    def interrupt(self) -> None:
        """Have what is under way end, as a signal ends it that kills who has opened the file."""

    def close(self) -> None:
        """Close the file, once what is under way has ended; it may be closed already."""
