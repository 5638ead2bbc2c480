# SPDX-License-Identifier: Apache-2.0
"""A guest, as the System whose kernel LinuxKernel is."""

import errno
import os
import posixpath
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.kernel.linux.system import WHOLE, SystemFile, UnopenedFileError, is_file_name
from kmodd.kernel.proc_modules import ATTEMPTS
from kmodd.kernel.vm.streams import GuestEvents, GuestLog, GuestLogReader
from kmodd.kernel.vm.wire import CHUNK, Ask, GuestWire, Tell

CALL_SECONDS = 90.0
"""Seconds that a call may take: as long as one of the emulated kernel."""

PAGE = 4096
"""Bytes of /proc/modules that a kernel gives by one read at least, if there are as many."""

_FILE = struct.Struct(">IIII")


class EndedCallError(OSError):
    """The kernel has ended the process that made a call, as it does after an oops."""


class GuestSystem:
    """The guest that ``wire`` leads to: it gives the conversation that there is now, or raises
    KernelError.

    ``_lock`` guards who follows the events. The log and they go on from one boot to the next.
    """

    def __init__(
        self, release: str, wire: Callable[[], GuestWire], *, call_seconds: float = CALL_SECONDS
    ) -> None:
        """A call that takes more than ``call_seconds`` is a panic of the guest."""
        self._release = release
        self._wire = wire
        self._seconds = call_seconds
        self._lock = threading.Lock()
        self._followers: weakref.WeakSet[GuestEvents] = weakref.WeakSet()
        self.log = GuestLog()

    def told(self, kind: Tell, body: bytes) -> None:
        """Take in what the guest has said of its log and its events."""
        if kind is Tell.LOG:
            self.log.take_in(body)
            return
        with self._lock:
            followers = tuple(self._followers)
        for follower in followers:
            if kind is Tell.EVENT:
                follower.take_in(body)
            else:
                follower.lose()

    def release(self) -> str:
        """Return the release that is booted."""
        return self._release

    def has_module_calls(self) -> bool:
        """The agent has them."""
        return True

    def init_module(self, image: bytes, parameters: str) -> None:
        """Send an image and have it loaded."""
        view = memoryview(image)
        at = iter(range(0, len(view), CHUNK))

        def parts() -> bytes:
            start = next(at, len(view))
            return bytes(view[start : start + CHUNK])

        self._insert(parts, parameters, 0, file=False)

    def finit_module(self, fd: int, parameters: str, flags: int) -> None:
        """Send a file and have it loaded from one that is in the guest's memory."""
        place = 0

        def parts() -> bytes:
            nonlocal place
            data = os.pread(fd, CHUNK, place)
            place += len(data)
            return data

        self._insert(parts, parameters, flags, file=True)

    def delete_module(self, name: str, flags: int) -> None:
        """Have a module unloaded."""
        self._call(Ask.DELETE, struct.pack(">I", flags) + _text(name))

    def exists(self, path: Path) -> bool:
        """Tell whether there is something at ``path`` in the guest."""
        try:
            self._call(Ask.STAT, _path(path))
        except OSError:
            return False
        return True

    def read(self, path: Path, most: int = WHOLE) -> bytes:
        """Read a file of the guest's."""
        return self._call(Ask.READ, struct.pack(">I", most) + _path(path))[:most]

    def read_modules(self, path: Path) -> bytes:
        """Read /proc/modules until it comes out the same twice, unless one read has given all."""
        data = self.read(path)
        for _ in range(ATTEMPTS):
            if len(data) < PAGE // 2:
                break
            again = self.read(path)
            if again == data:
                break
            data = again
        return data

    def read_directory(self, directory: Path, most: int = WHOLE) -> tuple[SystemFile, ...]:
        """Read the files of a directory of the guest's, by one call."""
        answer = self._call(Ask.FILES, struct.pack(">I", most) + _path(directory))
        found, at = [], 0
        while at < len(answer):
            if len(answer) - at < _FILE.size:
                raise _nonsense()
            mode, code, name_size, size = _FILE.unpack_from(answer, at)
            name_at = at + _FILE.size
            at = name_at + name_size + size
            if at > len(answer):
                raise _nonsense()
            name = os.fsdecode(answer[name_at : name_at + name_size])
            contents = None if code else answer[name_at + name_size : at]
            found.append(SystemFile(name, mode & 0o7777, contents))
        return tuple(sorted(found, key=lambda file: file.name))

    def list_directory(self, directory: str) -> list[str]:
        """List a directory of the guest's."""
        answer = self._call(Ask.LIST, _text(directory))
        return sorted(os.fsdecode(name) for name in answer.split(b"\0") if name)

    def read_link(self, path: str) -> str:
        """Read a link of the guest's."""
        return os.fsdecode(self._call(Ask.LINK, _text(path)))

    def real_path(self, path: Path) -> str:
        """Return the path: no part of /proc and /sys is a link in a guest."""
        return posixpath.normpath(path)

    def write_below(self, directory: Path, parts: tuple[str, ...], data: bytes) -> None:
        """Write to a file of the guest's, on the way to which no link is followed."""
        if not all(map(is_file_name, parts)):
            raise UnopenedFileError(errno.ENOENT, os.strerror(errno.ENOENT))
        names = b"".join(_text(part) + b"\0" for part in (os.fspath(directory), *parts))
        self._call(Ask.WRITE, struct.pack(">I", len(data)) + names + data)

    def open_log(self, path: Path, *, at_end: bool) -> GuestLogReader:  # noqa: ARG002
        """Open the log, of which the guest sends every record by itself."""
        return self.log.open(at_end=at_end)

    def open_events(self) -> GuestEvents:
        """Have the events kept that the guest sends by itself."""
        events = GuestEvents()
        with self._lock:
            self._followers.add(events)
        return events

    def _call(self, kind: Ask, body: bytes) -> bytes:
        with _telling_ends():
            return self._wire().call(kind, body, self._seconds)

    def _insert(
        self, parts: Callable[[], bytes], parameters: str, flags: int, *, file: bool
    ) -> None:
        given = _text(parameters)
        with _telling_ends():
            self._wire().insert(parts, given, flags, self._seconds, file=file)


@contextmanager
def _telling_ends() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EOWNERDEAD:
            raise EndedCallError(error.errno, error.strerror) from None
        raise


def _path(path: Path | str) -> bytes:
    return _text(os.fspath(path))


def _text(value: str) -> bytes:
    """Return the bytes of a text; raises ValueError for a NUL in it."""
    if "\0" in value:
        raise ValueError("a NUL cannot be handed to the kernel")
    return os.fsencode(value)


def _nonsense() -> OSError:
    return OSError(errno.EPROTO, os.strerror(errno.EPROTO))
