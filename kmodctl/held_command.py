# SPDX-License-Identifier: Apache-2.0
"""A command that is run while something is held for it, and gets the signals in our place."""

import signal
import socket
import subprocess
import sys
import threading
from typing import Self

from kmodctl.output import Output

HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
"""Signals that the command gets in our place. The terminal sends SIGINT and SIGQUIT to both of us,
so these we only outlive."""


def run_command(command: list[str], output: Output) -> int:
    """Run ``command`` and return its exit status as a shell has it.

    What cannot be run is told.
    """
    sys.stdout.flush()
    with _Relay() as relay:
        try:
            child = subprocess.Popen(command)
        except OSError as error:
            output.error(f"{command[0]}: {error.strerror}")
            return 127 if isinstance(error, FileNotFoundError) else 126
        relay.attach(child)
        status = child.wait()
    return 128 - status if status < 0 else status


class _Relay:
    """Hands signals on to a child while the context is open, which begins before the child does.

    A signal may reach any thread, and grpc's take what comes: a main thread that waits for the
    child then sleeps on. So they are read from the interpreter's wake-up descriptor, which each is
    written to. A terminal's signals reach the child by themselves. They are caught, not ignored:
    what is ignored here would be ignored there. For the main thread alone.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._inbox, self._outside = socket.socketpair()
        self._outside.setblocking(False)
        numbers = (*HANDED_ON, signal.SIGINT, signal.SIGQUIT)
        self._before = {each: signal.signal(each, lambda *_: None) for each in numbers}
        self._old = signal.set_wakeup_fd(self._outside.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._outside.close()
        if self._thread is not None:
            self._thread.join()
        self._inbox.close()

    def attach(self, child: "subprocess.Popen[bytes]") -> None:
        """Hand on to ``child`` what has come by now, and what comes."""
        self._thread = threading.Thread(target=self._hand_on, args=(child,), daemon=True)
        self._thread.start()

    def _hand_on(self, child: "subprocess.Popen[bytes]") -> None:
        while number := self._inbox.recv(1):
            if number[0] in HANDED_ON:
                child.send_signal(number[0])
