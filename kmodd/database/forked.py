# SPDX-License-Identifier: Apache-2.0
"""A second process for a rebuild that is a fork of this one, which has imported all there is to.

That takes a tenth of what a fresh interpreter takes (see ``kmodd.database.assistant``), and is for
a process that was started for one rebuild: a thread would be missing in the fork, and what it had
locked would stay so.
"""

from __future__ import annotations

import os
import signal

from kmodd.database.serving import serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, NoReturn


class Forked:
    """The fork, as its parent sees it: the same that an assistant wants of a ``Popen``."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout

    def kill(self) -> None:
        """End it; it is there until somebody waits for it."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; returns its wait status."""
        return os.waitpid(self.pid, 0)[1]


def fork() -> Forked:
    """Return a fork of this process that serves (see ``kmodd.database.serving``).

    The process must have no other thread. Raises OSError.
    """
    asked, asking = os.pipe2(os.O_CLOEXEC)
    answered, answering = os.pipe2(os.O_CLOEXEC)
    ends = asked, asking, answered, answering
    try:
        pid = os.fork()
    except OSError:
        for end in ends:
            os.close(end)
        raise
    if not pid:
        _serve_until_the_end(*ends)
    os.close(asked)
    os.close(answering)
    return Forked(pid, open(asking, "wb", buffering=0), open(answered, "rb", buffering=0))


def _serve_until_the_end(asked: int, asking: int, answered: int, answering: int) -> NoReturn:
    """Serve, and end without a word, and without what this process was to do at its own end."""
    try:
        os.close(asking)  # or else its own end would keep the requests from ending
        os.close(answered)
        os.setsid()  # the terminal's signals are the parent's affair
        with open(asked, "rb") as requests, open(answering, "wb") as results:
            serve(requests, results)
    finally:
        os._exit(0)
