# SPDX-License-Identifier: Apache-2.0
"""A second process that takes over part of a long rebuild, since Python runs on one core.

It is started for the job and ends with it: a fresh interpreter with this one's search path, never
a fork of a daemon full of threads. It only saves time. Whatever goes wrong with it is an
AssistantError, and who gets one does the work himself.

Over its pipes go pickles, a function with its arguments one way and the result the other. Nobody
else can write into them.
"""

import fcntl
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PIPE_SIZE = 1 << 20
"""Bytes that the pipe with results holds; what anybody may ask for."""

_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from kmodd.database.serving import serve;"
    " serve(sys.stdin.buffer, sys.stdout.buffer)"
)


class AssistantError(Exception):
    """The assistant could not be started, or did not answer."""


class Assistant:
    """One process, and the thread that talks to it; a context manager, which ends both.

    The process starts with the first thing it is asked for. For use by one thread.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kmodd-assistant")
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
        self._pool.shutdown(cancel_futures=True)
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    @property
    def started(self) -> bool:
        """Tell whether the process is there, so that asking for more costs little."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process now, for what it will be asked for soon; a second call does nothing."""
        if not self._wanted:
            self.submit(bool)

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``function`` called there, after all that was asked for before.

        It must be one of a module's own functions. The future's result may be AssistantError.
        """
        self._wanted = True
        return self._pool.submit(self._ask, function, args, kwargs)

    def _ask(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        try:
            if self._process is None:
                self._process = _start()
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            pickle.dump((function, args, kwargs), self._process.stdin, protocol=5)
            self._process.stdin.flush()
            result: T = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.PickleError) as error:
            raise AssistantError(str(error)) from error
        return result


def _start() -> "subprocess.Popen[bytes]":
    # Isolated and without site: it starts in 40 ms instead of 80, and finds what we have found.
    command = [sys.executable, "-I", "-S", "-c", _START, *filter(None, sys.path)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with suppress(OSError):
        # Every read(2) lets go of the interpreter's lock and has to wait for it again.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return process
