# SPDX-License-Identifier: Apache-2.0
"""Files of modules' that are open: each call of a user's is a system call of its own."""

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from threading import Lock
from typing import TypeVar

from kmodd.errors import Reason
from kmodd.kernel.base import FileRead
from kmodd.kernel.emulated.functions import open_files
from kmodd.kernel.emulated.functions.device_files import named_by_number
from kmodd.kernel.emulated.functions.open_files import FileDescription
from kmodd.kernel.emulated.functions.polling import poll_file
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.pseudo_filesystem import Listed
from kmodd.kernel.emulated.reporting.refusal import Refusal, missing_file

CALLS_MAX = 120
"""Calls of users under way, most of which may wait. Calls about modules have stacks besides."""

FILES_MAX = 1024
"""Files that are open at the same time (RLIMIT_NOFILE of getrlimit(2), as it is by itself)."""

_RESTARTS = frozenset({512, 513, 514, 516})
"""What code returns that a signal has interrupted (include/linux/errno.h): a user gets EINTR."""

Result = TypeVar("Result")
Enter = Callable[[str, str, int], AbstractContextManager[Machine]]
"""Has the machine for a call: the module that it is about, what it is, and which task makes it."""


class UserFiles:
    """All open files. ``_lock`` guards how many there are, and how many calls are under way."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter
        self._lock = Lock()
        self._open = self._calls = 0

    def open(self, path: str, flags: int) -> "UserFile":
        """Open a file; raises Refusal."""
        self._count(files=1)
        try:
            return self._opened(path, flags)
        except BaseException:
            self._count(files=-1)
            raise

    def _opened(self, path: str, flags: int) -> "UserFile":
        with self._enter("", f"opening {path}", 0) as machine:
            found = machine.mounts.find(path) or named_by_number(machine, path)
            if found is None:
                raise missing_file(path)
            _check(found, path)
            file = open_files.make_file(machine, path, found.module, found.content, flags)
        with self.calling(file, "opening") as machine:
            told(f"opening {path}", open_files.open_file(machine, file))
            machine.tasks.go_on()
        return UserFile(self, file)

    def calling(self, file: FileDescription, what: str) -> AbstractContextManager[Machine]:
        """Have the machine for a call of a file's process."""
        return self._enter(file.module, f"{what} {file.path}", file.task)

    def begin_call(self) -> None:
        """Note a call, unless there are too many; raises Refusal."""
        self._count(calls=1)

    def end_call(self) -> None:
        """Note the end of a call."""
        self._count(calls=-1)

    def end_file(self) -> None:
        """Note that a file is no more."""
        self._count(files=-1)

    def _count(self, *, files: int = 0, calls: int = 0) -> None:
        with self._lock:
            if files > 0 and self._open >= FILES_MAX:
                why = f"{FILES_MAX} files are open in the emulated kernel, which are all it has"
                raise Refusal(Reason.LIMIT_REACHED, errno.ENFILE, why)
            if calls > 0 and self._calls >= CALLS_MAX:
                why = f"{CALLS_MAX} calls of files are under way, which are all that may be"
                raise Refusal(Reason.LIMIT_REACHED, errno.EAGAIN, why)
            self._open += files
            self._calls += calls


class UserFile:
    """One open file, for any thread. ``_lock`` guards whether it is closed, and calls under way.

    A call that a crash ends is the last of its process, as of one that the kernel kills.
    """

    def __init__(self, files: UserFiles, file: FileDescription) -> None:
        self._files = files
        self._file = file
        self._lock = Lock()
        self._calls = 0
        self._is_closing = False

    def read(self, size: int) -> FileRead:
        """Read up to ``size`` bytes from where the file is at; raises Refusal."""

        def read(machine: Machine) -> FileRead:
            result, data = open_files.read_file(machine, self._file, size)
            return FileRead(data, told(f"reading {self._file.path}", result))

        return self._call("reading", read)

    def write(self, data: bytes) -> int:
        """Write ``data``, and return how many bytes were taken; raises Refusal."""

        def write(machine: Machine) -> int:
            result = open_files.write_file(machine, self._file, data)
            return told(f"writing to {self._file.path}", result)

        return self._call("writing to", write)

    def seek(self, offset: int, whence: int) -> int:
        """Go elsewhere (lseek(2)), and return the position; raises Refusal."""

        def seek(machine: Machine) -> int:
            result = open_files.seek_in_file(machine, self._file, offset, whence)
            return told(f"seeking in {self._file.path}", result)

        return self._call("seeking in", seek)

    def control(self, number: int, argument: int | bytes) -> tuple[int, bytes]:
        """Do what a number stands for (ioctl(2)); raises Refusal.

        Returns the result, and what is in the buffer that ``argument`` is.
        """

        def control(machine: Machine) -> tuple[int, bytes]:
            result, data = open_files.control_file(machine, self._file, number, argument)
            return told(f"ioctl {number:#x} of {self._file.path}", result), data

        return self._call("an ioctl of", control)

    def poll(self, events: int, milliseconds: int) -> int:
        """Return which of ``events`` have come (poll(2)); raises Refusal.

        Waits so many milliseconds of the machine's time for the first; below 0 for as long as need
        be.
        """

        def poll(machine: Machine) -> int:
            result = poll_file(machine, self._file, events, milliseconds)
            return told(f"polling {self._file.path}", result)

        return self._call("polling", poll)

    def interrupt(self) -> None:
        """Have what is under way end as for a process that is killed."""
        with self._lock:
            if self._is_closing:
                return
        with suppress(Refusal), self._files.calling(self._file, "interrupting") as machine:
            open_files.signal_file(machine, self._file)

    def close(self) -> None:
        """Close the file, once what is under way has ended; it is closed whatever its code does.

        Raises Refusal where that crashes.
        """
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            if self._calls:
                return
        self._release()

    def _release(self) -> None:
        self._files.end_file()
        with self._files.calling(self._file, "closing") as machine:
            open_files.close_file(machine, self._file)
            machine.tasks.settle(self._file.module)

    def _call(self, what: str, work: Callable[[Machine], Result]) -> Result:
        with self._lock:
            if self._is_closing:
                raise Refusal(Reason.KERNEL_REFUSED, errno.EBADF, f"{self._file.path} is closed")
            self._files.begin_call()
            self._calls += 1
        is_over = False
        try:
            with self._files.calling(self._file, what) as machine:
                with open_files.in_call(self._file):
                    result = work(machine)
                machine.tasks.go_on()
            return result
        except Refusal as refusal:
            is_over = refusal.reason is Reason.MODULE_CRASHED
            raise
        finally:
            self._files.end_call()
            with self._lock:
                self._calls -= 1
                was_closing, self._is_closing = self._is_closing, self._is_closing or is_over
                is_last = self._is_closing and not self._calls and (was_closing or is_over)
            if is_last:
                with suppress(Refusal):
                    self._release()


def _check(found: Listed, path: str) -> None:
    if found.is_directory:
        raise Refusal(Reason.KERNEL_REFUSED, errno.EISDIR, f"{path} is a directory", detail=path)
    if found.content is None:
        why = f"{path}: the emulated kernel knows the name, and not what is in the file"
        raise Refusal(Reason.KERNEL_REFUSED, errno.EOPNOTSUPP, why, detail=path)


def told(what: str, result: int) -> int:
    """Return the result of a call; raises Refusal where it is an error."""
    if not -4095 <= result < 0:
        return result
    code = errno.EINTR if -result in _RESTARTS else -result
    raise Refusal(Reason.KERNEL_REFUSED, code, f"{what}: {os.strerror(code)}")
