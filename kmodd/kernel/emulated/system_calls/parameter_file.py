# SPDX-License-Identifier: Apache-2.0
"""An open file of a parameter, /sys/module/NAME/parameters/PARAMETER (kernel/params.c)."""

import errno
import os
from collections.abc import Callable

from kmodd.errors import Reason
from kmodd.kernel.base import FileRead
from kmodd.kernel.emulated.modules.param_table import ModuleParameter
from kmodd.kernel.emulated.reporting.refusal import Refusal

_POLL_ALWAYS = 0x145


class ParameterFile:
    """One open file; ``show`` returns what the file has now, ``store`` takes a text.

    It keeps nothing: a parameter is there for as long as its module is. Both raise Refusal.
    """

    def __init__(
        self, path: str, flags: int, show: Callable[[], bytes], store: Callable[[bytes], None]
    ) -> None:
        self._path = path
        self._access = flags & os.O_ACCMODE
        self._show = show
        self._store = store
        self._text = b""
        self._place = 0

    def read(self, size: int) -> FileRead:
        """Show the value, which is looked at when the file is read from its start."""
        if self._access == os.O_WRONLY:
            raise self._refused(errno.EBADF)
        if not self._place:
            self._text = self._show()
        data = self._text[self._place : self._place + size]
        self._place += len(data)
        return FileRead(data, len(data))

    def write(self, data: bytes) -> int:
        """Take a value."""
        if self._access == os.O_RDONLY:
            raise self._refused(errno.EBADF)
        if data:
            self._store(data)
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere."""
        place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence)
        if place is None or place + offset < 0:
            raise self._refused(errno.EINVAL)
        self._place = place + offset
        return self._place

    def control(self, number: int, argument: int | bytes) -> tuple[int, bytes]:
        """Refuse: there is no such thing."""
        del number, argument
        raise self._refused(errno.ENOTTY)

    def poll(self, events: int, milliseconds: int) -> int:
        """Return that all can be done at any time."""
        del milliseconds
        return events & _POLL_ALWAYS

    def interrupt(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """There is nothing to end."""

    def _refused(self, code: int) -> Refusal:
        why = f"{self._path}: {os.strerror(code)}"
        return Refusal(Reason.KERNEL_REFUSED, code, why, detail=self._path)


def module_and_parameter(path: str) -> tuple[str, str] | None:
    """Return the names of a module and of its parameter where a path is of such a file."""
    parts = path.split("/")
    if len(parts) != 6 or parts[:3] != ["", "sys", "module"] or parts[4] != "parameters":
        return None
    return parts[3], parts[5]


def text_of(parameter: ModuleParameter, data: bytes) -> str:
    """Return the value that is written: the newline of a line is only part of a text."""
    text = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return text if parameter.kind in ("charp", "string", "") else text.removesuffix("\n")


def opened(
    path: str, flags: int, mode: int, show: Callable[[], bytes], store: Callable[[bytes], None]
) -> ParameterFile:
    """Open the file of a parameter with these permissions, without which not even root may."""
    access = flags & os.O_ACCMODE
    reads, writes = access != os.O_WRONLY, access != os.O_RDONLY
    if (reads and not mode & 0o444) or (writes and not mode & 0o222):
        why = f"opening {path}: {os.strerror(errno.EACCES)}"
        raise Refusal(Reason.KERNEL_REFUSED, errno.EACCES, why, detail=path)
    return ParameterFile(path, flags, show, store)
