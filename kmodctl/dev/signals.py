# SPDX-License-Identifier: Apache-2.0
"""Signals that end a loop which waits for descriptors."""

import signal
import socket
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndingSignals:
    """Makes a descriptor readable once a signal that ends the program has come; a context manager.

    A signal may reach any thread, so it is read from the interpreter's wake-up descriptor. After
    the first, signals do again what they did before: another one ends what hangs. For the main
    thread alone.
    """

    def __init__(self) -> None:
        self.has_come = False

    def __enter__(self) -> Self:
        self._inbox, self._outside = socket.socketpair()
        for end in (self._inbox, self._outside):
            end.setblocking(False)
        self._before = {each: signal.signal(each, self._note) for each in ENDING}
        self._old = signal.set_wakeup_fd(self._outside.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old)
        self._restore()
        self._outside.close()
        self._inbox.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._inbox.fileno()

    def _note(self, *_: object) -> None:
        self.has_come = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
