# SPDX-License-Identifier: Apache-2.0
"""What an input may cost: time of the processor, and memory."""

import resource
import signal
from pathlib import Path
from types import FrameType

from tests.fuzz.fuzzer import Fuzzer, Target


class CostError(BaseException):
    """An input costs more time than it may; no handler of errors takes it for its own."""


def guarded(fuzzer: Fuzzer, target: Target) -> Target:
    """Return ``target`` with bounds, which hold for this process from now on.

    What takes more time raises CostError where it is, and what takes more memory MemoryError.
    """
    signal.signal(signal.SIGVTALRM, _too_slow)
    most = _data() + fuzzer.memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))

    def bounded(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, fuzzer.seconds)
        try:
            target(data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    return bounded


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise CostError("more time than an input may take")


def _data() -> int:
    """Return the bytes of this process's data, as RLIMIT_DATA counts them (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmData:"))
    return int(size) * 1024
