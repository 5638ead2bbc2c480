# SPDX-License-Identifier: Apache-2.0
"""A command at a terminal of its own, as a person has it."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

from tests.support.daemon import START


def run_at_terminal(
    words: Sequence[str],
    environment: dict[str, str],
    *,
    lines: int = 24,
    typed: bytes = b"",
    awaited: bytes = b"",
) -> tuple[str, int]:
    """Run ``python -m kmodctl`` with all streams at a terminal of ``lines`` lines of 80 columns.

    ``typed`` is on the keyboard before it starts, or once the screen was sent ``awaited``. Returns
    what the screen was sent, with line ends as programs write them, and the exit status. Variables
    that choose colours or a pager are only those of ``environment``.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    chosen = ("NO_COLOR", "TERM", "PAGER", "KMODCTL_PAGER", "LESS", "LINES", "COLUMNS")
    inherited = {name: each for name, each in os.environ.items() if name not in chosen}
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "kmodctl", *words],
        env={**inherited, "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        if typed and awaited in seen:
            os.write(ours, typed)
            typed = b""
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            break
        seen += part
    os.close(ours)
    return seen.decode().replace("\r\n", "\n"), process.wait(START)
