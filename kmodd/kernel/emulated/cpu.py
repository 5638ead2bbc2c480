# SPDX-License-Identifier: Apache-2.0
"""Who runs the modules' own code: nobody yet."""

from typing import Protocol

from kmodd.kernel.emulated.param_table import Parameter
from kmodd.kernel.emulated.params import Remark, store_parameter
from kmodd.kernel.emulated.resident import Resident


class Cpu(Protocol):
    """Runs a module's functions. Called without any lock, from the thread of the system call."""

    runs_code: bool
    """Whether the functions are really run."""

    def init(self, resident: Resident) -> int:
        """Run the module's init and return what it returned: 0, or an errno below zero."""

    def exit(self, resident: Resident) -> None:
        """Run the module's exit."""

    def show_parameter(self, resident: Resident, parameter: Parameter) -> str | None:
        """Return the value that a parameter has now, None where that cannot be known.

        Called, like ``store_parameter``, with the lock of the module's parameters held.
        """

    def store_parameter(
        self, resident: Resident, parameter: Parameter, value: str
    ) -> tuple[int, list[Remark]]:
        """Set a parameter of a module in the kernel; return 0 or an errno, and what is logged."""


class IdleCpu:
    """A processor that runs nothing: every init succeeds."""

    runs_code = False

    def init(self, resident: Resident) -> int:  # noqa: ARG002
        """Return success."""
        return 0

    def exit(self, resident: Resident) -> None:
        """Do nothing."""

    def show_parameter(self, _resident: Resident, parameter: Parameter) -> str | None:
        """Return the value as it was given, or as the file has it."""
        return parameter.value

    def store_parameter(
        self, resident: Resident, parameter: Parameter, value: str
    ) -> tuple[int, list[Remark]]:
        """Keep the value, as far as the kernel's own types can tell it."""
        return store_parameter(parameter, value, resident.parameters.bits)
