# SPDX-License-Identifier: Apache-2.0
"""The process of a command: its start in a session of its own, its outputs, and its end."""

import contextlib
import fcntl
import os
import select
import selectors
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from kmodd.namespace import own_mounts
from kmodd.namespace.tool_paths import TOOLS_DIRECTORY, named_paths
from kmodd.records import record

OUTPUT_MAX = 64 << 10
"""Bytes of each output of a command that are kept."""

_CHUNK = 64 << 10


class NoMountsError(Exception):
    """No mounts of its own can be had for a command, which has not been run; says why."""


@record
class Ended:
    """How a command ended.

    ``status`` is -N where signal N ended it, None where its time was over. The outputs are cut to
    OUTPUT_MAX bytes.
    """

    status: int | None
    output: bytes
    error_output: bytes


def run_with_own_mounts(command: str, environment: Mapping[str, str], limit: float) -> Ended:
    """Run ``command`` where kmod's tools are kmodctl's by every path, for ``limit`` seconds.

    Raises NoMountsError where that cannot be had, and OSError.
    """
    reading, writing = os.pipe()
    with open(reading, "rb") as report:
        words = [sys.executable, "-I", "-S", own_mounts.__file__, str(TOOLS_DIRECTORY)]
        words += [str(writing), command, *named_paths(command)]
        try:
            shell = _start(words, environment, (writing,))
        finally:
            os.close(writing)
        ended = _attend(shell, limit)
        if why := report.read():
            raise NoMountsError(os.fsdecode(why))
    return ended


def run_plainly(command: str, environment: Mapping[str, str], limit: float) -> Ended:
    """Run ``command`` for ``limit`` seconds; raises OSError."""
    return _attend(_start([own_mounts.SHELL, "-c", command], environment), limit)


def _start(
    words: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
        pass_fds=descriptors,
    )


class _Head:
    """The first bytes of an output; used by the thread that waits for the command alone."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.pipe = pipe
        self._kept = bytearray()

    def read(self, most: int = _CHUNK) -> int:
        """Take in at most so many bytes; returns how many there were, 0 once no more can come."""
        data = os.read(self.pipe.fileno(), most)
        self._kept += data[: OUTPUT_MAX - len(self._kept)]
        return len(data)

    def finish(self) -> bytes:
        """Return what was written up to now; what others write from now on is thrown away."""
        (left,) = struct.unpack("i", fcntl.ioctl(self.pipe, termios.FIONREAD, bytes(4)))
        while left > 0:
            left -= self.read(left)
        if _has_writer(self.pipe):
            threading.Thread(
                target=_discard, args=(self.pipe,), name="kmodd-output", daemon=True
            ).start()
        else:
            self.pipe.close()
        return bytes(self._kept)


def _attend(shell: "subprocess.Popen[bytes]", limit: float) -> Ended:
    """Wait for a command to end, and end it with all that it started where its time is over."""
    assert shell.stdout is not None
    assert shell.stderr is not None
    heads = _Head(shell.stdout), _Head(shell.stderr)
    try:
        in_time = _has_ended(shell, heads, time.monotonic() + limit)
    finally:
        if shell.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    output, errors = (head.finish() for head in heads)
    return Ended(shell.returncode if in_time else None, output, errors)


def _has_ended(shell: "subprocess.Popen[bytes]", heads: Sequence[_Head], deadline: float) -> bool:
    """Take in the outputs until the command has ended; False where its time is over before."""
    ended = os.pidfd_open(shell.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for head in heads:
                selector.register(head.pipe, selectors.EVENT_READ, head)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fd == ended:
                        shell.wait()
                        return True
                    if not key.data.read():
                        selector.unregister(key.fileobj)
        return False
    finally:
        os.close(ended)


def _has_writer(pipe: IO[bytes]) -> bool:
    """Tell whether a process is left that may write to ``pipe``, or has."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return not any(happened == select.POLLHUP for _, happened in poll.poll(0))


def _discard(pipe: IO[bytes]) -> None:
    with pipe:
        while os.read(pipe.fileno(), _CHUNK):
            pass
