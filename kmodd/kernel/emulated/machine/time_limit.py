# SPDX-License-Identifier: Apache-2.0
"""What time a system call has in which modules' code runs."""

import time

PROCESSOR_SECONDS = 20.0
"""Seconds of the machine's processor that one call may take, whatever it does. Of Debian's modules
test_user_copy takes the most, 2."""

WALL_SECONDS = 55.0
"""Seconds of the world's time that it may take, on a machine that is busy with other things. With
the wait for the init of another module that is less than a call of the kernel may take."""


class TimeLimit:
    """What time a system call has, in the thread that makes it."""

    __slots__ = ("_processor", "_wall")

    def __init__(self, processor: float = PROCESSOR_SECONDS) -> None:
        """``processor`` is how many seconds of the processor there are."""
        self._processor = time.thread_time() + processor
        self._wall = time.monotonic() + WALL_SECONDS

    def is_spent(self) -> bool:
        """Tell whether there is none left."""
        return time.thread_time() > self._processor or time.monotonic() > self._wall

    def pause(self, seconds: float) -> None:
        """Have seconds of the world's time not count, in which it waited for another call."""
        self._wall += seconds
