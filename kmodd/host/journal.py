# SPDX-License-Identifier: Apache-2.0
"""The journal's own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): a message with fields.

An entry is one datagram. One that is too large for that goes as a memory file, which is sealed so
that the journal may map it.
"""

import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from kmodd.host.systemd import JournalFormatter, LineFormatter, priority_of
from kmodd.log_kinds import Fact, LogKind

SOCKET = Path("/run/systemd/journal/socket")
"""Where the journal takes entries."""

IDENTIFIER = "kmodd"
"""What the entries are shown under, as SyslogIdentifier= has it for what goes to stderr."""

VALUES_MAX = 256
"""Values of one fact that are told; the journal drops an entry of more than 1024 fields."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class JournalHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of text
    """Sends each record to the journal with its kind and its facts, see ``kmodd.log_kinds``.

    Where the journal does not take it, it is written to stderr, which is a stream of the journal's.
    """

    def __init__(self, place: Path = SOCKET) -> None:
        """``place`` is the journal's socket."""
        super().__init__()
        self._place = str(place)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._message = LineFormatter("%(message)s")
        self.setFormatter(JournalFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        try:
            self._send(b"".join(self._fields(record)))
        except OSError:
            super().emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Log no more."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterator[bytes]:
        yield field("MESSAGE", self._message.format(record))
        yield field("PRIORITY", str(priority_of(record)))
        yield field("SYSLOG_IDENTIFIER", IDENTIFIER)
        kind: LogKind | None = getattr(record, "kind", None)
        if kind is not None:
            yield field("MESSAGE_ID", kind.value)
        facts: dict[str, Fact] = getattr(record, "facts", {})
        for name, fact in facts.items():
            for value in _values(fact):
                yield field(f"KMODD_{name.upper()}", value)

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._place)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(entry)

    def _send_file(self, entry: bytes) -> None:
        fd = os.memfd_create("kmodd-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(fd, "wb", buffering=0) as file:
            left = memoryview(entry)
            while left:
                left = left[file.write(left) :]
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd)
            self._socket.sendmsg([b""], [rights], 0, self._place)


_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)


def field(name: str, value: str) -> bytes:
    """Return a field with its length, so that no value ends it or begins another."""
    data = value.encode("utf-8", "surrogateescape")
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)


def _values(fact: Fact) -> Iterable[str]:
    """Return the values of a fact that there are to tell."""
    values = [str(fact)] if isinstance(fact, str | int) else fact
    return islice(filter(None, values), VALUES_MAX)
