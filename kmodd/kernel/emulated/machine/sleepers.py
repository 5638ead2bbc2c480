# SPDX-License-Identifier: Apache-2.0
"""System calls of users that wait while the machine is others': a read that another call wakes."""

import time
from dataclasses import dataclass, field
from threading import Event, Lock

from kmodd.kernel.emulated.machine.calls import SystemCall, SystemCalls
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.machine.scheduler import Ready
from kmodd.kernel.emulated.machine.time_limit import TimeLimit


@dataclass(slots=True, eq=False)
class _Sleeper:
    """One that waits: ``result`` is what it has waited for, once it is ``woken``."""

    ready: Ready
    result: int = 0
    woken: Event = field(default_factory=Event)


class Sleepers:
    """Those that wait, each in the thread that makes the call; for who holds the machine, which is
    to have ``lock``.
    """

    def __init__(self, lock: Lock, calls: SystemCalls, log: LogLines) -> None:
        self._lock = lock
        self._calls = calls
        self._log = log
        self._asleep: list[_Sleeper] = []

    def sleep(self, ready: Ready, seconds: float | None = None) -> int | None:
        """Have the machine be others' until something is ``ready``, and return that.

        None where it takes more than so many seconds of the world's time.
        """
        sleeper, began = _Sleeper(ready), time.monotonic()
        self._log.flush()
        self.wake()
        self._asleep.append(sleeper)
        mine = self._calls.swap(SystemCall("", TimeLimit()))
        self._lock.release()
        try:
            sleeper.woken.wait(seconds)
        finally:
            self._lock.acquire()
            self._calls.swap(mine)
            mine.time_limit.pause(time.monotonic() - began)
        if sleeper in self._asleep:
            self._asleep.remove(sleeper)
            return None
        return sleeper.result

    def __bool__(self) -> bool:
        """Tell whether anybody waits."""
        return bool(self._asleep)

    def wake(self) -> None:
        """Let those go on that can, once the machine is let go of."""
        for sleeper in tuple(self._asleep):
            try:
                result = sleeper.ready()
            except Exception:
                # What it waits for is gone, and it comes upon that by itself.
                result = 0
            if result is not None:
                self._asleep.remove(sleeper)
                sleeper.result = result
                sleeper.woken.set()
