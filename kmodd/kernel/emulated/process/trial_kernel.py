# SPDX-License-Identifier: Apache-2.0
"""A kernel in which modules are tried, in a process of its own beside that of any other."""

import os
from collections.abc import Callable, Sequence

from kmodd.kernel.emulated.process.isolated import IsolatedKernel
from kmodd.kernel.emulated.process.trial_messages import (
    pack_place,
    unpack_lines,
    unpack_observation,
)
from kmodd.kernel.emulated.process.wire import memory_file
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.kernel.trials import Attempt, CodePlace, Observation
from kmodd.modulefile.source_lines import SourceLine

RUN_SECONDS = 30.0
"""Seconds that a run may take before its process is ended and another one is started."""


class TrialKernel:
    """Runs modules' code, each run in a kernel that has just booted; for one thread at a time.

    A run that its process does not survive is a panic, and the next has a process of its own.
    """

    def __init__(
        self, release: str, vmlinux: Callable[[], Vmlinux], *, command_line: str, run_code: bool
    ) -> None:
        """Start the process; the arguments are those of IsolatedKernel."""
        self._kernel = IsolatedKernel(
            release,
            vmlinux,
            command_line=command_line,
            run_code=run_code,
            call_seconds=RUN_SECONDS,
            tries=True,
        )
        self.why_not_run = self._kernel.why_not_run

    def attempt(self, images: Sequence[bytes], parameters: str, attempt: Attempt) -> Observation:
        """Load ``images``, plain module files, one after the other, and try the last of them."""
        message = {
            "do": "attempt",
            "sizes": [len(image) for image in images],
            "parameters": parameters,
            "fail": list(attempt.fail),
            "devices": list(attempt.devices),
            "follow": attempt.follow,
        }
        fd = memory_file(b"".join(images))
        try:
            seen: Observation = self._kernel.ask({**message, "fd": True}, unpack_observation, fd)
        finally:
            os.close(fd)
        return seen

    def source_lines(
        self, image: bytes, places: Sequence[CodePlace]
    ) -> tuple[SourceLine | None, ...]:
        """Return the source line of each place, None where that is not known."""
        message = {
            "do": "lines",
            "sizes": [len(image)],
            "places": [pack_place(each) for each in places],
        }
        fd = memory_file(image)
        try:
            lines: tuple[SourceLine | None, ...] = self._kernel.ask(
                {**message, "fd": True}, unpack_lines, fd
            )
        finally:
            os.close(fd)
        return lines if len(lines) == len(places) else (None,) * len(places)

    def close(self) -> None:
        """End the process; a run that is under way fails."""
        self._kernel.close()
