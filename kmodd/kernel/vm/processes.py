# SPDX-License-Identifier: Apache-2.0
"""Processes that end with the daemon, whatever becomes of it.

The kernel kills a process when the thread that has started it ends (PR_SET_PDEATHSIG, prctl(2)).
So they are started by one thread, which lasts as long as the daemon.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread

_EXECUTOR = (
    "import ctypes, json, os, sys; "
    "ctypes.CDLL(None).prctl(1, int(sys.argv[1]), 0, 0, 0); "
    # One whose parent is gone by now is not told of it any more.
    "os.getppid() == int(sys.argv[2]) or sys.exit(1); "
    "words = json.loads(sys.argv[3]); os.execv(words[0], words)"
)
"""What the process is before it is the program: 1 is PR_SET_PDEATHSIG."""

_lock = Lock()
_starters: list[SimpleQueue[Callable[[], None]]] = []


def start_bound(
    command: Sequence[str], *, descriptors: Sequence[int], errors: int
) -> "subprocess.Popen[bytes]":
    """Start ``command``, whose first word is the path of a program, to end with this process.

    It inherits ``descriptors``, and ``errors`` as its stderr. Raises OSError where there is no
    process for it; a program that cannot be executed ends with status 1.
    """
    words = [sys.executable, "-I", "-S", "-c", _EXECUTOR]
    arguments = [str(int(signal.SIGKILL)), str(os.getpid()), json.dumps(list(command))]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*words, *arguments],
            pass_fds=tuple(descriptors),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            # The terminal's signals are the daemon's affair.
            start_new_session=True,
            cwd="/",
        )

    started: Future[subprocess.Popen[bytes]] = Future()

    def work() -> None:
        try:
            started.set_result(start())
        except BaseException as error:
            started.set_exception(error)

    _starter().put(work)
    return started.result()


def _starter() -> SimpleQueue[Callable[[], None]]:
    """Return what the thread that starts processes takes its work from."""
    with _lock:
        if not _starters:
            _starters.append(SimpleQueue())
            Thread(target=_run, args=_starters, name="kmodd-starter", daemon=True).start()
        return _starters[0]


def _run(work: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        work.get()()
