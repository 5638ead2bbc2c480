# SPDX-License-Identifier: Apache-2.0
"""What is longer than the screen goes through a pager, as journalctl(1) has it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

DEFAULTS = ("less", "more")
"""What is tried where no variable names a pager."""

LESS = "FRSXMK"
"""What less is told: end where it fits, keep colours, chop lines, no clearing, end on ^C."""


class Pager:
    """Takes text; starts a pager once there is more than the terminal has lines.

    Where none can be started the text is printed as it is. A pager that the reader has ended takes
    no more, which is no failure.
    """

    def __init__(self) -> None:
        self._room = shutil.get_terminal_size().lines - 1
        self._waiting: list[str] = []
        self._lines = 0
        self._process: subprocess.Popen[str] | None = None

    def write(self, text: str) -> None:
        """Take text with its line ends."""
        if self._process is not None:
            self._pass_on(text)
            return
        self._waiting.append(text)
        self._lines += text.count("\n")
        if self._lines > self._room:
            self._start()

    def finish(self) -> None:
        """Print what has waited, or wait until the reader is done."""
        if self._process is None:
            sys.stdout.write("".join(self._waiting))
            sys.stdout.flush()
            self._waiting.clear()
            return
        assert self._process.stdin is not None
        # ^C is for the pager; one that ended with us would leave the terminal as less has it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        signal.signal(signal.SIGINT, before)

    def _start(self) -> None:
        """Start the pager and give it what has waited."""
        for words in _candidates():
            try:
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    errors="surrogateescape",
                    env=_environment(),
                )
            except OSError:
                continue
            self._pass_on("".join(self._waiting))
            self._waiting.clear()
            return
        self._room = sys.maxsize

    def _pass_on(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(text)
            self._process.stdin.flush()


def is_wanted() -> bool:
    """Tell whether the environment wants a pager: "cat", none or a dumb terminal does not."""
    return os.environ.get("TERM") != "dumb" and _named() not in ("", "cat")


def _named() -> str | None:
    """Return what the environment names, the nearer variable first; None where it does not."""
    for variable in ("KMODCTL_PAGER", "PAGER"):
        value = os.environ.get(variable)
        if value is not None:
            return value.strip()
    return None


def _candidates() -> list[list[str]]:
    """Return the command lines to try, without a shell."""
    named = _named()
    try:
        return [shlex.split(named)] if named else [[each] for each in DEFAULTS]
    except ValueError:
        return []


def _environment() -> dict[str, str]:
    """Return the pager's environment: less shows bytes that are UTF-8, and runs nothing for root.

    LESSSECURE keeps it from starting a shell or an editor, which who may use kmodctl by sudo need
    not be allowed to.
    """
    return {"LESS": LESS, "LESSCHARSET": "utf-8", **os.environ, "LESSSECURE": "1"}
