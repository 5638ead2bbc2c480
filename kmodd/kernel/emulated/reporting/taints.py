# SPDX-License-Identifier: Apache-2.0
"""What has made a kernel less trustworthy, or less worth a bug report (tainted-kernels.rst)."""

import threading

from kmodd.kernel.emulated.reporting.log import KernelLog, Level
from kmodd.kernel.taints import in_order

_UNRELIABLE_LOCKS = frozenset("PFR")


class KernelTaints:
    """The taints of one kernel since it booted. ``_lock`` guards them."""

    def __init__(self, log: KernelLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._letters: set[str] = set()
        self._locks_debugged = True

    def __contains__(self, letter: str) -> bool:
        return letter in self._letters

    def __str__(self) -> str:
        return in_order(self._letters)

    def add(self, letter: str, message: str = "", level: Level = Level.WARNING) -> None:
        """Take on a taint (add_taint); ``message`` is logged where the kernel had it not before."""
        with self._lock:
            new = letter not in self._letters
            self._letters.add(letter)
            unreliable = letter in _UNRELIABLE_LOCKS and self._locks_debugged
            if unreliable:
                self._locks_debugged = False
        if new and message:
            self._log.printk(level, message)
        if unreliable:
            self._log.printk(Level.WARNING, "Disabling lock debugging due to kernel taint")
