# SPDX-License-Identifier: Apache-2.0
"""A hold that outlives the daemon: it is taken again when that has been started anew."""

import threading
from collections.abc import Callable

from kmodctl.errors import CallError, KmodctlError, NoDaemonError
from kmodctl.holding import HeldModules

PAUSE = 0.5
"""Seconds between two looks for the daemon."""

OF_THE_DAEMON = ("SHUTTING_DOWN", "UNAVAILABLE", "CANCELLED")
"""The reasons of failures that are the daemon's end, or that it has not begun yet."""


class LastingHold:
    """A hold until ``close``, over the ends of daemons.

    ``_lock`` guards which hold it is by now, and that none is taken once it is closed.
    """

    def __init__(self, take: Callable[[], HeldModules], warn: Callable[[str], None]) -> None:
        """``take`` begins a hold, ``warn`` is told of each loss once; raises as ``take`` does."""
        self._take = take
        self._warn = warn
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._hold = take()
        threading.Thread(target=self._follow, name="kmodctl-lasting", daemon=True).start()

    def close(self) -> None:
        """End the hold, or the wait for the daemon."""
        with self._lock:
            self._closed.set()
            self._hold.close()

    def _follow(self) -> None:
        while True:
            self._hold.lost.wait()
            failure = self._hold.failure
            if not is_of_the_daemon(failure):
                self._warn(f"the hold is lost: {failure}")
                return
            self._warn(f"the hold is lost until the daemon is there again: {failure}")
            if not self._take_again():
                return

    def _take_again(self) -> bool:
        """Wait for a daemon and take the hold; False where it is closed or refused before."""
        while not self._closed.wait(PAUSE):
            try:
                hold = self._take()
            except KmodctlError as error:
                if is_of_the_daemon(error):
                    continue
                self._warn(f"the hold cannot be taken again: {error}")
                return False
            with self._lock:
                self._hold = hold
                if self._closed.is_set():
                    hold.close()
            return not self._closed.is_set()
        return False


def is_of_the_daemon(failure: KmodctlError | None) -> bool:
    """Tell whether there is only no daemon."""
    if isinstance(failure, CallError):
        return failure.reason in OF_THE_DAEMON
    return isinstance(failure, NoDaemonError)
