# SPDX-License-Identifier: Apache-2.0
"""Signals as messages.

A signal may reach any thread, and grpc's threads take what comes; a main thread that waits on a
lock then sleeps on. The interpreter's wake-up descriptor is written to whichever thread it hits.
"""

import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SignalInbox:
    """The signals that have come and are not taken out yet; any one thread may wait for them."""

    def __init__(self, inbox: socket.socket) -> None:
        self._inbox = inbox

    def wait(self, timeout: float | None = None) -> signal.Signals | None:
        """Return the next signal, None once the inbox is closed.

        Raises TimeoutError where none comes within ``timeout`` seconds.
        """
        try:
            self._inbox.settimeout(timeout)
            number = self._inbox.recv(1)
        except TimeoutError:
            raise
        except OSError:  # closed under a thread that was about to wait
            return None
        return signal.Signals(number[0]) if number else None


@contextmanager
def caught(numbers: Iterable[signal.Signals]) -> Iterator[SignalInbox]:
    """Put the signals ``numbers`` into an inbox while the context is open; for the main thread."""
    inbox, outside = socket.socketpair()
    outside.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    old_descriptor = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    try:
        yield SignalInbox(inbox)
    finally:
        signal.set_wakeup_fd(old_descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        outside.close()
        inbox.close()
