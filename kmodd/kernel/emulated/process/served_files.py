# SPDX-License-Identifier: Apache-2.0
"""The files that are open in a kernel, by the numbers that the daemon knows them by."""

import errno
import itertools
from base64 import b64decode, b64encode
from collections.abc import Callable
from threading import Lock
from typing import Any

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import OpenFile
from kmodd.kernel.emulated.process.wire import Message
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel

Handler = Callable[[EmulatedKernel, Message], Any]
"""Does what a message asks for."""


class ServedFiles:
    """The open files; ``_lock`` guards the table. A number is never given twice."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._files: dict[int, OpenFile] = {}
        self.handlers: dict[str, Handler] = {
            "open": self._open,
            "read": self._read,
            "write": self._write,
            "seek": self._seek,
            "control": self._control,
            "poll": self._poll,
            "interrupt": self._interrupt,
            "close": self._close,
        }

    def _open(self, kernel: EmulatedKernel, message: Message) -> int:
        file = kernel.open_file(message["path"], message["flags"])
        with self._lock:
            number = next(self._numbers)
            self._files[number] = file
        return number

    def _file(self, message: Message) -> OpenFile:
        with self._lock:
            found = self._files.get(message["file"])
        if found is None:
            raise KernelError(Reason.KERNEL_REFUSED, "no such open file", errno=errno.EBADF)
        return found

    def _read(self, _kernel: EmulatedKernel, message: Message) -> list[Any]:
        found = self._file(message).read(message["size"])
        return [b64encode(found.data).decode(), found.returned]

    def _write(self, _kernel: EmulatedKernel, message: Message) -> int:
        return self._file(message).write(b64decode(message["data"]))

    def _seek(self, _kernel: EmulatedKernel, message: Message) -> int:
        return self._file(message).seek(message["offset"], message["whence"])

    def _control(self, _kernel: EmulatedKernel, message: Message) -> list[Any]:
        given = message["argument"]
        argument = given if isinstance(given, int) else b64decode(given)
        result, data = self._file(message).control(message["number"], argument)
        return [result, b64encode(data).decode()]

    def _poll(self, _kernel: EmulatedKernel, message: Message) -> int:
        return self._file(message).poll(message["events"], message["milliseconds"])

    def _interrupt(self, _kernel: EmulatedKernel, message: Message) -> None:
        self._file(message).interrupt()

    def _close(self, _kernel: EmulatedKernel, message: Message) -> None:
        file = self._file(message)
        with self._lock:
            self._files.pop(message["file"], None)
        file.close()
