# SPDX-License-Identifier: Apache-2.0
"""Install and remove commands of modprobe.d: how they are run, and what they are told.

A command is the configuration's own text, given to ``/bin/sh -c`` as it stands. What a caller
said reaches it only as the environment variable CMDLINE_OPTS, which a shell expands without
evaluating it. The commands ``modprobe`` and its kin that it finds first are kmodctl's, and what
they ask of the daemon belongs to the operation that runs the command.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kmodd.errors import Reason, StateError
from kmodd.plan import CommandStep

SHELL = "/bin/sh"

OUTPUT_MAX = 64 << 10
"""Bytes of each output of a command that its caller is told."""

TOOLS = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod")
"""The programs that a command finds as kmodctl's."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a command finds everything else, unless the daemon itself was told."""


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """What a command wrote, each cut to OUTPUT_MAX bytes, and why it failed if it did.

    ``status`` is -N for a command that signal N ended, and 0 for one that took too long.
    """

    output: bytes = b""
    error_output: bytes = b""
    status: int = 0
    failure: StateError | None = None


class Commands:
    """Runs commands. ``_lock`` guards the directory of tools, made when it is first needed."""

    def __init__(self, socket: Path, *, allowed: bool, limit: float) -> None:
        """``socket`` is where nested calls go. ``limit`` is a command's time in seconds."""
        self.set_policy(socket, allowed=allowed)
        self._limit = limit
        self._lock = threading.Lock()
        self._tools: Path | None = None

    def set_policy(self, socket: Path, *, allowed: bool) -> None:
        """Take this over for the commands that are run from now on."""
        self._socket = socket
        self._allowed = allowed

    def close(self) -> None:
        """Take the tools away."""
        with self._lock:
            tools, self._tools = self._tools, None
        if tools is not None:
            shutil.rmtree(tools, ignore_errors=True)

    def check_allowed(self, step: CommandStep) -> None:
        """Raise StateError (COMMAND_REFUSED) where this daemon runs no commands."""
        if not self._allowed:
            raise StateError(
                Reason.COMMAND_REFUSED,
                f"the {step.event} command of {step.module} is not run on this kernel",
                module=step.module,
                detail=step.command,
            )

    def run(self, step: CommandStep, token: str, nested_options: str) -> CommandOutput:
        """Run a step's command to its end, or until its time is over.

        ``token`` is what its own calls show, ``nested_options`` the options that modprobe is to
        take in these. What the command leaves running in the background is left alone, unless its
        time is over: then all of it is killed.
        """
        environment = {
            **os.environ,
            "PATH": f"{self._tools_directory()}:{os.environ.get('PATH', PATH)}",
            "KMODD_SOCKET": str(self._socket),
            "KMODD_TOKEN": token,
            "MODPROBE_MODULE": step.module,
            "CMDLINE_OPTS": step.options,
            "MODPROBE_OPTIONS": nested_options,
        }
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            try:
                status = _run(step.command, environment, output, errors, self._limit)
            except OSError as error:
                how = f"could not be run: {error.strerror}"
                return CommandOutput(failure=_failure(step, how))
            failure = None if status == 0 else self._failure_of(step, status)
            return CommandOutput(_head(output), _head(errors), status or 0, failure)

    def _failure_of(self, step: CommandStep, status: int | None) -> StateError:
        if status is None:
            how = f"took more than {self._limit:g} seconds"
            return _failure(step, how, Reason.COMMAND_TIMED_OUT)
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        return _failure(step, how)

    def _tools_directory(self) -> Path:
        with self._lock:
            if self._tools is None:
                self._tools = Path(tempfile.mkdtemp(prefix="kmodd-tools-"))
                for tool in TOOLS:
                    _write_tool(self._tools / tool, tool)
            return self._tools


def loop_failure(step: CommandStep) -> StateError:
    """Return the error for a command that came back to its own module."""
    return _failure(step, "calls for itself again", Reason.COMMAND_LOOP)


def _failure(step: CommandStep, how: str, reason: Reason = Reason.COMMAND_FAILED) -> StateError:
    what = f"the {step.event} command of {step.module} {how}"
    return StateError(reason, what, module=step.module, detail=step.command)


def _run(
    command: str,
    environment: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes],
    limit: float,
) -> int | None:
    """Run ``command`` in a session of its own; None where its time was over."""
    shell = subprocess.Popen(
        [SHELL, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    try:
        return shell.wait(limit)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        return None


def _head(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(OUTPUT_MAX)


def _write_tool(path: Path, tool: str) -> None:
    """Write a program that is kmodctl's command ``tool``, run by this very Python."""
    words = shlex.join((sys.executable, "-P", "-m", "kmodctl", tool))
    path.write_text(f'#!{SHELL}\nexec {words} "$@"\n')
    path.chmod(0o755)
