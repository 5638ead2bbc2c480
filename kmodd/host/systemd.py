# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, and how: sd_notify(3), priorities in the journal.

Without systemd every function here does nothing.
"""

import contextlib
import logging
import os
import socket
from typing import Any

from kmodd.escapes import escaped

_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)
"""The syslog level for each logging level and those above it."""


_FIRST_LENT = 3
"""The descriptor of the first socket that is handed over (sd_listen_fds(3))."""


def notify(*assignments: str) -> None:
    """Send a notification ("READY=1") to the service manager, if there is one that listens.

    A manager that does not answer is no reason to fail, so errors are dropped.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(map(escaped, assignments)).encode("utf-8", "surrogateescape")
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.sendto(message, address)


def lent_sockets() -> dict[str, socket.socket]:
    """Return the sockets that the service manager has made and hands over (sd_listen_fds(3)).

    They are known by their names and by their paths. No program that is started later is told of
    them, and a second call returns none.
    """
    given = {name: os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS")}
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if given["LISTEN_PID"] != str(os.getpid()) or not given["LISTEN_FDS"].isdecimal():
        return {}
    found: dict[str, socket.socket] = {}
    for at in range(int(given["LISTEN_FDS"])):
        try:
            os.set_inheritable(_FIRST_LENT + at, False)
            lent = socket.socket(fileno=_FIRST_LENT + at)
        except OSError:
            continue  # not a socket, or not there
        if lent.family != socket.AF_UNIX or not isinstance(lent.getsockname(), str):
            lent.close()
            continue
        found[lent.getsockname()] = lent
        if at < len(names) and names[at]:
            found[names[at]] = lent
    return found


def is_journal(fd: int) -> bool:
    """Tell whether what is written to ``fd`` goes to the journal ($JOURNAL_STREAM)."""
    status = os.fstat(fd)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class LineFormatter(logging.Formatter):
    """Makes one line of a message, whatever names it has; only a traceback has lines below it.

    These are set in, so that none can pass for a message.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the record's message, escaped."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """Return the traceback, its lines escaped and set in."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {escaped(line)}" for line in lines)


class JournalFormatter(LineFormatter):
    """Begins each line with its priority, as the journal reads it from a stream (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        priority = priority_of(record)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).split("\n"))


def priority_of(record: logging.LogRecord) -> int:
    """Return the priority that a record has in the journal (syslog(3))."""
    return next(number for level, number in _PRIORITIES if record.levelno >= level)
