# SPDX-License-Identifier: Apache-2.0
"""Who runs the modules' own code: nobody yet."""

from typing import Protocol

from kmodd.kernel.emulated.resident import Resident


class Cpu(Protocol):
    """Runs a module's functions. Called without any lock, from the thread of the system call."""

    runs_code: bool
    """Whether the functions are really run."""

    def init(self, resident: Resident) -> int:
        """Run the module's init and return what it returned: 0, or an errno below zero."""

    def exit(self, resident: Resident) -> None:
        """Run the module's exit."""


class IdleCpu:
    """A processor that runs nothing: every init succeeds."""

    runs_code = False

    def init(self, _resident: Resident) -> int:
        """Return success."""
        return 0

    def exit(self, resident: Resident) -> None:
        """Do nothing."""
