# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl dev`` tells as it goes: lines for people, or objects with --json."""

import sys
from typing import Any

from kmodctl.commands.check import tell
from kmodctl.commands.dmesg import line_of
from kmodctl.errors import CallError, KmodctlError
from kmodctl.output import Output
from kmodd.messages.as_json import as_json
from kmodd.messages.emulation_service import CheckReport
from kmodd.messages.kernel_log_service import LogRecord


class Told:
    """The voice of one run; ``has_failed`` once something was told that is a failure.

    What the kernel logs is data. All else is said, or an object with ``event`` where JSON is asked
    for.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.has_failed = False

    def event(self, event: str, line: str, **facts: Any) -> None:
        """Tell that something is done, or is about to be; for people by a ``line``, if any."""
        if self._output.json:
            self._output.line({"event": event, **facts})
        elif line:
            self._output.say(line)
        sys.stdout.flush()

    def record(self, record: LogRecord) -> None:
        """Tell what the kernel has logged."""
        if self._output.json:
            self._output.line({"event": "log", "record": as_json(record)})
        else:
            self._output.data(line_of(record))
        sys.stdout.flush()

    def failed(self, what: str, error: KmodctlError, module: str = "") -> None:
        """Tell that something failed, and why."""
        self.has_failed = True
        why = error.cause if isinstance(error, CallError) else str(error)
        self._output.error(f"{what}: {why}" if what else why)
        if self._output.json:
            named = {"module": module} if module else {}
            self._output.line({"event": "failed", **named, **self._output.failed(error)})
        sys.stdout.flush()

    def report(self, report: CheckReport) -> None:
        """Tell what a check has found."""
        self.has_failed |= bool(report.findings)
        if self._output.json:
            self._output.line({"event": "check", "report": as_json(report)})
        else:
            tell(report, self._output)
        sys.stdout.flush()

    def leaks(self, module: str, leaks: list[str]) -> None:
        """Tell what a module's code never gave back."""
        self.has_failed |= bool(leaks)
        self._output.leaks(module, leaks)

    def warning(self, line: str) -> None:
        """Tell of something odd."""
        self._output.warning(line)
