# SPDX-License-Identifier: Apache-2.0
"""Install and remove commands of modprobe.d: how they are run, and what they are told.

A command is the configuration's own text, given to ``/bin/sh -c`` as it stands. What a caller
said reaches it only as the environment variable CMDLINE_OPTS, which a shell expands without
evaluating it. What it finds as ``modprobe`` and its kin, by these names and by their usual paths,
is kmodctl, and what that asks of the daemon belongs to the operation that runs the command.

The paths lead to kmodctl in mounts of the command's own. Where these cannot be had, a command that
names such a path is refused: it would change the machine's kernel, whichever the daemon serves.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from kmodd.errors import Reason, StateError
from kmodd.namespace.command_process import (
    Ended,
    NoMountsError,
    run_plainly,
    run_with_own_mounts,
)
from kmodd.namespace.tool_paths import TOOLS_DIRECTORY, way_to_others
from kmodd.plan import CommandStep
from kmodd.records import record

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a command finds all but kmod's tools, unless the daemon itself was told."""


@record
class CommandOutput:
    """What a command wrote, the first bytes of each, and why it failed if it did.

    ``status`` is -N for a command that signal N ended, and 0 for one that took too long.
    """

    output: bytes = b""
    error_output: bytes = b""
    status: int = 0
    failure: StateError | None = None


class Commands:
    """Runs commands; what it is told is replaced as a whole, and counts for those run from then."""

    def __init__(self, socket: Path, *, allowed: bool, limit: float) -> None:
        """``socket`` is where nested calls go. ``limit`` is a command's time in seconds."""
        self.set_policy(socket, allowed=allowed)
        self._limit = limit

    def set_policy(self, socket: Path, *, allowed: bool) -> None:
        """Take this over for the commands that are run from now on."""
        self._socket = socket
        self._allowed = allowed

    def check_allowed(self, step: CommandStep) -> None:
        """Raise StateError (COMMAND_REFUSED) where this daemon runs no commands."""
        if not self._allowed:
            raise _refusal(step, "is not run on this kernel")

    def run(self, step: CommandStep, token: str, nested_options: str) -> CommandOutput:
        """Run a step's command to its end, or until its time is over.

        ``token`` is what its own calls show, ``nested_options`` the options that modprobe is to
        take in these. What the command leaves running in the background is left alone, unless its
        time is over: then all of it is killed.
        """
        environment = {
            **os.environ,
            "PATH": f"{TOOLS_DIRECTORY}:{os.environ.get('PATH', PATH)}",
            "KMODD_PYTHON": sys.executable,
            "KMODD_SOCKET": str(self._socket),
            "KMODD_TOKEN": token,
            "MODPROBE_MODULE": step.module,
            "CMDLINE_OPTS": step.options,
            "MODPROBE_OPTIONS": nested_options,
        }
        try:
            ended = self._run(step, environment)
        except StateError as refusal:
            return CommandOutput(failure=refusal)
        except OSError as error:
            return CommandOutput(failure=_failure(step, f"could not be run: {error.strerror}"))
        failure = None if ended.status == 0 else self._failure_of(step, ended.status)
        return CommandOutput(ended.output, ended.error_output, ended.status or 0, failure)

    def _run(self, step: CommandStep, environment: Mapping[str, str]) -> Ended:
        """Run a command where nothing leads it to the machine's own tools; else StateError."""
        if not os.access(TOOLS_DIRECTORY / "kmod", os.X_OK):
            raise _refusal(step, f"is not run: {TOOLS_DIRECTORY} has no program")
        try:
            return run_with_own_mounts(step.command, environment, self._limit)
        except NoMountsError as error:
            way = way_to_others(step.command)
            if way:
                why = f"is not run: it has '{way}', and can have no mounts of its own ({error})"
                raise _refusal(step, why) from None
        return run_plainly(step.command, environment, self._limit)

    def _failure_of(self, step: CommandStep, status: int | None) -> StateError:
        if status is None:
            how = f"took more than {self._limit:g} seconds"
            return _failure(step, how, Reason.COMMAND_TIMED_OUT)
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        return _failure(step, how)


def loop_failure(step: CommandStep) -> StateError:
    """Return the error for a command that came back to its own module."""
    return _failure(step, "calls for itself again", Reason.COMMAND_LOOP)


def _failure(step: CommandStep, how: str, reason: Reason = Reason.COMMAND_FAILED) -> StateError:
    what = f"the {step.event} command of {step.module} {how}"
    return StateError(reason, what, module=step.module, detail=step.command)


def _refusal(step: CommandStep, why: str) -> StateError:
    return _failure(step, why, Reason.COMMAND_REFUSED)
