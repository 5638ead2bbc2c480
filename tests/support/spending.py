# SPDX-License-Identifier: Apache-2.0
"""What a command takes: the processor's time of all its processes, and the clock's."""

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_CPUCLOCK_SCHED = 2
"""The kernel's clock of the time that a process was on a processor, to the nanosecond."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds: the processor's for a command and all that it waited for, and for its daemon's
    processes meanwhile; and the clock's.
    """

    command: float
    daemon: float
    clock: float

    @property
    def processor(self) -> float:
        """All seconds of the processor together."""
        return self.command + self.daemon


def run_and_count(
    words: Sequence[str],
    environment: Mapping[str, str],
    daemon: Iterable[int] = (),
    status: int = 0,
) -> Spent:
    """Run a command, and return what it took; ``daemon`` are the processes that it asks.

    What it prints is thrown away. Raises CalledProcessError where its exit status is another.
    """
    processes = [*daemon]
    before = sum(map(processor_seconds, processes))
    started = time.perf_counter()
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, ended, usage = os.wait4(process.pid, 0)
    clock = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise subprocess.CalledProcessError(process.returncode, words)
    meanwhile = sum(map(processor_seconds, processes)) - before
    return Spent(usage.ru_utime + usage.ru_stime, meanwhile, clock)


def processor_seconds(pid: int) -> float:
    """Return the seconds that processors have spent on a process, all threads that it had.

    As clock_getcpuclockid(3) has it: /proc/PID/stat counts in hundredths. Raises OSError where
    there is no such process.
    """
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
