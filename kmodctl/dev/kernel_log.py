# SPDX-License-Identifier: Apache-2.0
"""The kernel's log as it comes, for a loop that waits for other things, too."""

import os
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from kmodctl.api import Api
from kmodctl.direct import DirectChannel
from kmodctl.errors import KmodctlError
from kmodd.messages.kernel_log_service import LogRecord, ReadLogRequest

LATE = 2.0
"""Seconds after which a record that should have come is not waited for any more."""


class FollowedLog:
    """Follows the log on a thread of its own and a connection of its own.

    The descriptor can be read once something has come. ``_come`` has what the thread has got and
    nobody has taken, in order; None is its end, and ``why_ended`` tells why.
    """

    def __init__(self, api: Api, channel: DirectChannel) -> None:
        """Follow what is logged from now on; ``api`` answers what is asked between.

        Raises KmodctlError where the log cannot be read.
        """
        self._api = api
        self._channel = channel
        self._come: SimpleQueue[LogRecord | None] = SimpleQueue()
        self._taken = 0
        self._taken = self._newest()
        self.why_ended: KmodctlError | None = None
        self._inbox, self._outbox = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._follow, name="kmodctl-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and its connection."""
        while self._thread.is_alive():
            self._channel.shut_down()
            self._thread.join(0.1)
        self._channel.close()
        os.close(self._inbox)
        os.close(self._outbox)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._inbox

    def come(self) -> list[LogRecord]:
        """Return what has come since it was last asked, in order."""
        with suppress(BlockingIOError):
            os.read(self._inbox, 4096)
        return self._until(0)

    def caught_up(self) -> list[LogRecord]:
        """Return the same, and wait for what the kernel has logged by now.

        Raises KmodctlError where the log cannot be read any more.
        """
        return self._until(self._newest())

    def _until(self, sequence: int) -> list[LogRecord]:
        found: list[LogRecord] = []
        with suppress(Empty):
            while True:
                late = LATE if self._taken < sequence and self.why_ended is None else None
                record = self._come.get(late is not None, late)
                if record is not None:
                    found.append(record)
                    self._taken = record.sequence
        return found

    def _newest(self) -> int:
        """Return the sequence of the newest record; of a kernel that has booted anew none is."""
        request = ReadLogRequest(after_sequence=self._taken)
        answers = self._api.kernel_log.read_log(request)
        sequences = (record.sequence for each in answers for record in each.records)
        return max(sequences, default=self._taken)

    def _follow(self) -> None:
        request = ReadLogRequest(follow=True, after_sequence=self._taken)
        try:
            for answer in Api(lambda: self._channel).kernel_log.read_log(request):
                for record in answer.records:
                    self._come.put(record)
                self._wake()
            self.why_ended = KmodctlError("the log has ended")
        except KmodctlError as error:
            self.why_ended = error
        self._come.put(None)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is readable
            os.write(self._outbox, b"!")
