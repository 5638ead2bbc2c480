# SPDX-License-Identifier: Apache-2.0
"""A file that is open in the process of the emulated kernel, for the daemon."""

import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kmodd.errors import KernelError
from kmodd.kernel.base import FileRead
from kmodd.kernel.emulated.process.boot import PendingCall, Unpack
from kmodd.kernel.emulated.process.messages import listed, number, text, unpack_nothing
from kmodd.kernel.emulated.process.wire import Message, ProtocolError

Ask = Callable[[Message, PendingCall], Any]
"""Makes a call in the boot in which the file is open; raises KernelError."""

RESULT_MAX = (1 << 63) - 1


class RemoteFile:
    """One open file. ``_lock`` guards the calls that are under way, and whether it is closed."""

    def __init__(self, ask: Ask, file: int) -> None:
        self._ask = ask
        self._number = file
        self._lock = threading.Lock()
        self._under_way: set[PendingCall] = set()
        self._is_closed = False

    def read(self, size: int) -> FileRead:
        """Read up to ``size`` bytes."""
        found: FileRead = self._call({"do": "read", "size": size}, _read)
        return found

    def write(self, data: bytes) -> int:
        """Write ``data``."""
        count: int = self._call({"do": "write", "data": b64encode(data).decode()}, _result)
        return count

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere."""
        position: int = self._call({"do": "seek", "offset": offset, "whence": whence}, _result)
        return position

    def control(self, number: int, argument: int | bytes) -> tuple[int, bytes]:
        """Do what a number stands for."""
        given = argument if isinstance(argument, int) else b64encode(argument).decode()
        message = {"do": "control", "number": number, "argument": given}
        result: tuple[int, bytes] = self._call(message, _controlled)
        return result

    def poll(self, events: int, milliseconds: int) -> int:
        """Return which events have come."""
        message = {"do": "poll", "events": events, "milliseconds": milliseconds}
        found: int = self._call(message, _result)
        return found

    def interrupt(self) -> None:
        """Have what is under way end; what the kernel cannot end is not waited for any more."""
        with suppress(KernelError):
            self._ask({"do": "interrupt", "file": self._number}, PendingCall(unpack_nothing))
        with self._lock:
            for call in self._under_way:
                call.hurry()

    def close(self) -> None:
        """Close the file, unless that has been done."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._ask({"do": "close", "file": self._number}, PendingCall(unpack_nothing))

    def _call(self, message: Message, unpack: Unpack) -> Any:
        """Make a call that may take as long as it does."""
        call = PendingCall(unpack, is_patient=True)
        with self._lock:
            self._under_way.add(call)
        try:
            return self._ask({**message, "file": self._number}, call)
        finally:
            with self._lock:
                self._under_way.discard(call)


def _result(value: object) -> int:
    return number(value, most=RESULT_MAX)


def _bytes(value: object) -> bytes:
    try:
        return b64decode(text(value), validate=True)
    except ValueError as error:
        raise ProtocolError("bytes that are not in base64") from error


def _read(value: object) -> FileRead:
    data, returned = listed(value, 2)
    return FileRead(_bytes(data), _result(returned))


def _controlled(value: object) -> tuple[int, bytes]:
    result, data = listed(value, 2)
    return _result(result), _bytes(data)
