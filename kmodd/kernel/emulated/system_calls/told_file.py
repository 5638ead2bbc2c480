# SPDX-License-Identifier: Apache-2.0
"""An open file of which each refusal carries what the log said meanwhile."""

from collections.abc import Callable
from typing import Any

from kmodd.kernel.base import FileRead, OpenFile

Outside = Callable[[Callable[[], Any]], Any]
"""Makes a system call, and tells its refusal what it is about."""


class ToldFile:
    """An open file, each of whose calls is made by ``outside``."""

    def __init__(self, file: OpenFile, outside: Outside) -> None:
        self._file = file
        self._outside = outside

    def read(self, size: int) -> FileRead:
        """Read up to ``size`` bytes."""
        found: FileRead = self._outside(lambda: self._file.read(size))
        return found

    def write(self, data: bytes) -> int:
        """Write ``data``."""
        count: int = self._outside(lambda: self._file.write(data))
        return count

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere."""
        position: int = self._outside(lambda: self._file.seek(offset, whence))
        return position

    def control(self, number: int, argument: int | bytes) -> tuple[int, bytes]:
        """Do what a number stands for."""
        result: tuple[int, bytes] = self._outside(lambda: self._file.control(number, argument))
        return result

    def poll(self, events: int, milliseconds: int) -> int:
        """Return which events have come."""
        found: int = self._outside(lambda: self._file.poll(events, milliseconds))
        return found

    def interrupt(self) -> None:
        """Have what is under way end."""
        self._file.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._outside(self._file.close)
