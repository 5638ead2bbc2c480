# SPDX-License-Identifier: Apache-2.0
"""A second process that takes over part of a long rebuild, since Python runs on one core.

It is started for the job and ends with it: a fresh interpreter with this one's search path, never
a fork of a daemon full of threads; a fork of a process that has but one thread. It only saves
time. Whatever goes wrong with it is an AssistantError, and who gets one does the work himself; the
log says it once.

Over its pipes go marshalled values, a function's name with its arguments one way and the result in
a frame the other. Nobody else can write into them, so a frame is looked at for accidents alone.
Both ends here never block: an assistant who hangs is waited for no longer than PATIENCE.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import select
import sys
from binascii import crc32
from collections import deque
from contextlib import suppress

from kmodd.database.serving import FRAME, FRAME_MAX, MAGIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    import subprocess
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TypeVarTuple

    from kmodd.database.forked import Forked

    Ts = TypeVarTuple("Ts")

PATIENCE = 5.0
"""Seconds to wait for an assistant who shows no sign of life; all that he is waited for takes a
tenth of one."""

_PIPE_SIZE = 1 << 20
"""Bytes that a pipe holds; what anybody may ask for."""

_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from kmodd.database.serving import serve;"
    " serve(sys.stdin.buffer, sys.stdout.buffer)"
)


def _log() -> logging.Logger:
    """Return the log, which a process of its own for one rebuild hardly ever needs."""
    import logging

    return logging.getLogger(__name__)


class AssistantError(Exception):
    """The assistant could not be started, or did not answer."""


class Promise:
    """What an assistant was asked for."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self.answer: bytes | None = None

    def ready(self) -> bool:
        """Tell whether it is known what ``result`` will be; that costs a system call."""
        return self._assistant.settles(self)

    def result(self) -> Any:
        """Wait for the result; raises AssistantError where there will be none."""
        answer = self._assistant.wait_for(self)
        try:
            return marshal.loads(answer)
        except Exception as error:  # whatever it was meant to be
            raise self._assistant.fail(f"a result that is none: {error}") from error


class Assistant:
    """One process; a context manager, which ends it. For use by one thread.

    The process starts with the first thing it is asked for, and never again.
    """

    def __init__(self, *, forks: bool = False) -> None:
        """``forks`` says that it may be a fork of this process, which has no other thread."""
        self._start = _fork if forks else _spawn
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._why_not = ""
        self._asked: deque[Promise] = deque()
        self._received = bytearray()
        self._has_answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._asked and not self._has_answered and not self._why_not:
            _log().info("a rebuild was over before its second process had done anything")
        self._end("it is not needed any more")

    @property
    def has_answered(self) -> bool:
        """Tell whether he is at work, so that asking for more is worth it."""
        return self._has_answered and not self._why_not

    @property
    def has_left(self) -> bool:
        """Tell whether asking for more is in vain."""
        return bool(self._why_not)

    def start(self) -> None:
        """Start the process now, for what it will be asked for soon; a second call does nothing."""
        if self._process is None and not self._why_not:
            try:
                self._process = self._start()
            except OSError as error:
                self.fail(str(error))

    def submit(self, function: Callable[[*Ts], Any], *args: *Ts) -> Promise:
        """Have ``function`` called there, after all that was asked for before.

        It must be one that is found by its name. What it takes and gives are strings, bytes,
        numbers, tuples, lists and dictionaries.
        """
        self.start()
        promise = Promise(self)
        if not self._why_not:
            self._asked.append(promise)
            with suppress(AssistantError):
                module = getattr(function, "__module__", None) or "builtins"
                request: Any = module, function.__qualname__, args
                self._send(marshal.dumps(request))
        return promise

    def settles(self, promise: Promise) -> bool:
        """Take in what has come; tell whether a promise is kept, or will not be."""
        if promise.answer is None:
            with suppress(AssistantError):
                self._receive()
        return promise.answer is not None or bool(self._why_not)

    def wait_for(self, promise: Promise) -> bytes:
        """Return the answer to ``promise``, as it came; raises AssistantError."""
        while not promise.ready():
            with suppress(AssistantError):
                self._wait()
        if promise.answer is None:
            raise AssistantError(self._why_not)
        return promise.answer

    def fail(self, why: str) -> AssistantError:
        """End the process for that reason, and return it as an error."""
        if not self._why_not:
            _log().warning("a rebuild goes on without its second process: %s", why)
            self._end(why)
        return AssistantError(why)

    def _end(self, why: str) -> None:
        self._why_not = self._why_not or why
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for end in (process.stdin, process.stdout):
                assert end is not None
                end.close()
            process.wait()

    def _send(self, request: bytes) -> None:
        rest = memoryview(request)
        while rest:
            # What comes in the meantime is taken in: both ends could wait for each other.
            self._receive()
            try:
                rest = rest[os.write(self._fd("stdin"), rest) :]
            except BlockingIOError:
                self._wait(writing=True)
            except OSError as error:
                raise self.fail(str(error)) from error

    def _receive(self) -> None:
        """Take in what is there; raises AssistantError."""
        while True:
            try:
                data = os.read(self._fd("stdout"), _PIPE_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                raise self.fail(str(error)) from error
            if not data:
                raise self.fail("it has ended")
            self._received += data
            self._take_frames()

    def _take_frames(self) -> None:
        while len(self._received) >= FRAME.size:
            magic, size, checksum = FRAME.unpack_from(self._received)
            if magic != MAGIC or size > FRAME_MAX or not self._asked:
                raise self.fail("it talks nonsense")
            end = FRAME.size + size
            if len(self._received) < end:
                return
            answer = bytes(memoryview(self._received)[FRAME.size : end])
            del self._received[:end]
            if crc32(answer) != checksum:
                raise self.fail("it talks nonsense")
            self._asked.popleft().answer = answer
            self._has_answered = True

    def _wait(self, *, writing: bool = False) -> None:
        """Wait until something can be read or, if wanted, written; raises AssistantError."""
        poll = select.poll()
        poll.register(self._fd("stdout"), select.POLLIN)
        if writing:
            poll.register(self._fd("stdin"), select.POLLOUT)
        if not poll.poll(PATIENCE * 1000):
            raise self.fail(f"it has said nothing for {PATIENCE:g} s")

    def _fd(self, pipe: str) -> int:
        if self._process is None:
            raise AssistantError(self._why_not)
        fd: int = getattr(self._process, pipe).fileno()
        return fd


def _spawn() -> subprocess.Popen[bytes]:
    import subprocess

    # Isolated and without site: it starts in 40 ms instead of 80, and finds what we have found.
    encoding = ("-X", "utf8") if sys.flags.utf8_mode else ()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", *encoding, "-c", _START, *filter(None, sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's signals are the daemon's affair
    )
    _prepare(process)
    return process


def _fork() -> Forked:
    from kmodd.database.forked import fork

    process = fork()
    _prepare(process)
    return process


def _prepare(process: subprocess.Popen[bytes] | Forked) -> None:
    """Have nothing block at this end of a process's pipes, and have them hold much."""
    for end in (process.stdin, process.stdout):
        assert end is not None
        os.set_blocking(end.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(end.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
