# SPDX-License-Identifier: Apache-2.0
"""Modules that code asks for while it runs (request_module, kernel/kmod.c)."""

import errno
import time
from threading import Lock

from kmodd.kernel.emulated.machine.calls import SystemCall, SystemCalls
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.machine.time_limit import TimeLimit
from kmodd.kernel.emulated.reporting.log import Level

CONCURRENT_MAX = 50
"""Modules that may be asked for at once (max_modprobes, kernel/kmod.c)."""

_BUSY_SECONDS = 5
"""Seconds that a request waits while there are so many; here it is told at once."""


class ModuleRequests:
    """The requests under way; for who holds the machine, which is to have ``lock``."""

    def __init__(self, lock: Lock, calls: SystemCalls, services: Services, log: LogLines) -> None:
        self._lock = lock
        self._calls = calls
        self._services = services
        self._log = log
        self._count = 0

    def request(self, name: str, *, wait: bool) -> int:
        """Have a module loaded; return what the kernel's function request_module does.

        The machine is others' meanwhile: the module that is asked for has an init, too.
        """
        if self._count >= CONCURRENT_MAX:
            why = (
                f"request_module: modprobe {name} cannot be processed, kmod busy with "
                f"{CONCURRENT_MAX} threads for more than {_BUSY_SECONDS} seconds now"
            )
            self._log.write(Level.WARNING, why + "\n")
            return -errno.ETIME
        self._log.flush()
        mine, began = self._calls.swap(SystemCall("", TimeLimit())), time.monotonic()
        self._count += 1
        self._lock.release()
        try:
            requested = self._services.request(name, wait)
        finally:
            self._lock.acquire()
            self._count -= 1
            self._calls.swap(mine)
            mine.time_limit.pause(time.monotonic() - began)
        if requested.why:
            why = f"request_module: modprobe {name}: {requested.why}"
            self._log.write(Level.WARNING, why + "\n")
        return requested.status
