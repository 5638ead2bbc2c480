# SPDX-License-Identifier: Apache-2.0
"""Where the daemon has a front from: a unit of the service manager's, or a process of its own.

A unit's is started when the daemon connects to a socket that root alone can open. The daemon looks
who greets it there, as the kernel has it, before it says a word.
"""

import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import kmodd
from kmodd.access.peer import Peer
from kmodd.front.settings import FrontSettings
from kmodd.front.wire import GREETING, REQUEST_MAX, Wire
from kmodd.host.peers import own_unit, received_from, tell_senders, uid_of
from kmodd.host.transport import transport_environment

UNIT = "kmodd-public.service"
"""The unit that a front is in; its socket is another's, kmodd-front.socket."""

CONNECT = 5.0
"""Seconds that it may take to connect."""

LOOK = 0.2
"""Seconds between two looks whether a front is still wanted."""

log = logging.getLogger(__name__)


class NoFrontError(Exception):
    """There is no front, for a reason that is its message."""


class Front:
    """A front that has been told its settings: what is handed over by ``given``, and its wire."""

    def __init__(self, given: socket.socket, wire: Wire, process: "_Process | None") -> None:
        self.given = given
        self.wire = wire
        self._process = process

    def end(self) -> str:
        """Have it end, and return how it did, as far as that is known here."""
        self.wire.close()
        if self._process is None:
            return f"{UNIT} has gone"
        self._process.kill()
        self._process.wait()
        return f"exit status {self._process.returncode}"


_Process = subprocess.Popen[bytes]


def have_front(settings: FrontSettings, place: Path | None, stopping: Callable[[], bool]) -> Front:
    """Return the front whose unit's socket is at ``place``, else one that is started here.

    That is also what comes where nobody listens. It is waited for until ``stopping`` says that it
    is wanted no more. Raises NoFrontError.
    """
    try:
        given = _reached(place, stopping) if place else None
        process = None
        if given is None:
            given, process = _started()
    except OSError as error:
        raise NoFrontError(f"it cannot be had: {error.strerror or error}") from error
    ours, its = socket.socketpair()
    wire = Wire(ours, REQUEST_MAX)
    front = Front(given, wire, process)
    try:
        with its:
            socket.send_fds(given, [settings.words().encode()], [its.fileno()])
    except OSError as error:
        given.close()
        raise NoFrontError(f"{error.strerror}; {front.end()}") from error
    return front


def _reached(place: Path, stopping: Callable[[], bool]) -> socket.socket | None:
    """Return a connection to the unit's front; None where nobody listens.

    Raises NoFrontError where somebody else is there, and OSError.
    """
    given = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        tell_senders(given)
        given.settimeout(CONNECT)
        try:
            given.connect(str(place))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            log.warning("%s: %s: kmodd starts the front itself", place, error.strerror)
            given.close()
            return None
        if uid_of(given) not in (0, os.geteuid()):
            raise NoFrontError(f"{place} is not spoken to: uid {uid_of(given)} listens there")
        given.settimeout(None)
        while not select.select([given], [], [], LOOK)[0]:
            if stopping():
                raise NoFrontError("it is wanted no more")
        word, sender = received_from(given, len(GREETING) + 1)
        if why := _objection(word, sender):
            raise NoFrontError(f"{place} is not spoken to: {why}")
        tell_senders(given, wanted=False)
    except (OSError, NoFrontError):
        given.close()
        raise
    log.info("what is sent by others than admins is read by %s (%s)", UNIT, sender)
    return given


def _objection(word: bytes, sender: Peer) -> str:
    """Return why a front is none of ours, "" for one that is: the unit's, or one of our own's."""
    if word != GREETING:
        return "it was no front that spoke" if word else "it has gone"
    if sender.unit == UNIT:
        return ""
    if sender.pid and (sender.uid, sender.unit) == (os.geteuid(), own_unit()):
        return ""
    unit = f"the unit {sender.unit}" if sender.unit else "no unit"
    return f"{sender} is in {unit}, not in {UNIT}"


def _started() -> tuple[socket.socket, _Process]:
    """Start a front, and return the socket by which it is handed connections; raises OSError."""
    given, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        try:
            process = subprocess.Popen(
                _command(its.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                env=transport_environment(),
            )
        except OSError:
            given.close()
            raise
    return given, process


_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from kmodd.front.process import run_as_child; run_as_child(int(sys.argv[2]))"
)


def _command(given: int) -> list[str]:
    """Return the command that a front is started with: neither environment nor directory count."""
    paths = [str(Path(kmodd.__file__).parents[1]), *map(os.path.abspath, sys.path)]
    python = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOTSTRAP]
    return [*python, json.dumps(paths), str(given)]
