# SPDX-License-Identifier: Apache-2.0
"""Puts a client's connection in the place of the one by which a server was told who calls.

A server of grpc's takes no connection that somebody else has accepted. But it is in this process,
and knows a connection by the number of a descriptor; dup2(2) has that number stand for another one.
What it was told of the peer it keeps. From then on nobody carries bytes between the two.

The server waits by epoll(7) for what the descriptor stood for, so epoll has to be told of the new
one. What the server wants to be given for it, proc_pid_fdinfo(5) shows; nothing else of the
server's is touched. Where anything is not as it is expected, the connection stays as it is, and
its bytes are carried.
"""

import ctypes
import logging
import os
import platform
import re
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from kmodd.records import record

MOST = 256
"""Connections that are put in place at a time; to find one takes a look at all of them."""

PATIENCE = 3.0
"""Seconds that a server has to answer when it is tried whether this works."""

LAST_BYTES = 0.1
"""Seconds that another thread or a starting child may still have what was replaced."""

FIRST_BYTES = 4096
"""More than a server says before it has been asked anything."""

_ADD, _DELETE = 1, 2

_ENTRY = re.compile(
    rb"^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)\s+pos:\S+\s+ino:([0-9a-f]+)", re.M
)

_POLL = "anon_inode:[eventpoll]"

_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_QUESTION = b"kmodd-ok"
_PING = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + _QUESTION
_PONG = bytes((0, 0, 8, 6, 1, 0, 0, 0, 0)) + _QUESTION
_TRIAL = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS + _PING
"""What a client begins with, and a question that any server answers (RFC 9113, 3.4 and 6.7)."""

log = logging.getLogger(__name__)


class _Event(ctypes.Structure):
    """What epoll_ctl(2) takes; on x86_64 alone nothing is between the two."""

    _pack_ = 1 if platform.machine() == "x86_64" else 8
    _fields_ = (("events", ctypes.c_uint32), ("data", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_epoll_ctl = _libc.epoll_ctl
_epoll_ctl.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Event))


@record
class _Entry:
    """A descriptor that an epoll(7) watches: the number of its file, and for what."""

    fd: int
    inode: int
    event: _Event

    def peer(self) -> object:
        """Return the address of what it is connected to; raises OSError."""
        looked_at = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self.fd)
        try:
            return looked_at.getpeername()
        finally:
            looked_at.detach()

    def is_of(self, name: object) -> bool:
        """Tell whether it is still connected to what has this name."""
        try:
            return os.fstat(self.fd).st_ino == self.inode and self.peer() == name
        except OSError:
            return False


class Shortcut:
    """The connections of one server that were put in its place. ``_lock`` guards them all.

    It works from a successful ``try_out`` to ``close``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = -1
        self._taken: set[int] = set()
        self._found: dict[object, _Entry] = {}

    def try_out(self, far: socket.socket) -> bool:
        """Put something in place of a new connection to the server, and tell whether that answers.

        ``far`` is the connection, which has a name and is closed here.
        """
        ours, near = socket.socketpair()
        with far, ours, near:
            ours.settimeout(PATIENCE)
            far.settimeout(PATIENCE)
            try:
                works = self._answers(far, ours, near)
            except OSError:
                works = False
            self.forget(near)
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
        if not works:
            self.close()
        return works

    def is_open(self) -> bool:
        """Tell whether there is a place for another connection."""
        return self._poll >= 0 and len(self._taken) < MOST

    def close(self) -> None:
        """Put no more in place: the server is about to close what it has."""
        with self._lock:
            self._poll = -1

    def replace(self, far: socket.socket, near: socket.socket) -> bool:
        """Have the server speak with ``near`` rather than with what ``far`` is connected to.

        The server must have said by itself what it does at first, and must have been sent nothing,
        so that it is silent, and closes nothing before its patience for a handshake ends. What it
        said after what was read at ``far`` is sent on here. Tells whether that is done, and then
        closes ``far``; otherwise nothing has changed. Raises OSError where both are lost.
        """
        with self._lock:
            found = self._entry_of(far) if self.is_open() else None
            if found is None:
                return False
            fd, event = found.fd, found.event
            near.setblocking(False)
            if _epoll_ctl(self._poll, _DELETE, fd, None) < 0:
                return False
            try:
                os.dup2(near.fileno(), fd, inheritable=False)
            except OSError:
                _epoll_ctl(self._poll, _ADD, fd, event)
                return False
            with far:
                _carry_rest(far, near)
            if _epoll_ctl(self._poll, _ADD, fd, event) < 0:
                raise OSError(ctypes.get_errno(), "epoll_ctl")
            self._taken.add(_inode(near))
            return True

    def forget(self, near: socket.socket) -> None:
        """Note that a connection has ended."""
        with self._lock:
            self._taken.discard(_inode(near))

    def _answers(self, far: socket.socket, ours: socket.socket, near: socket.socket) -> bool:
        """Tell whether the server answers by ``near``, whose other end is ``ours``."""
        if not far.recv(FIRST_BYTES):
            return False
        far.setblocking(False)
        if not self._look_for_poll(far) or not self.replace(far, near):
            return False
        ours.sendall(_TRIAL)
        heard = b""
        while _PONG not in heard and len(heard) < FIRST_BYTES:
            heard += ours.recv(FIRST_BYTES) or bytes(FIRST_BYTES)
        return _PONG in heard

    def _look_for_poll(self, far: socket.socket) -> bool:
        """Find by which epoll(7) the server waits, and tell whether it was found."""
        for each in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if os.readlink(each) == _POLL:
                    with self._lock:
                        self._poll = int(each.name)
                        self._found = self._look()
                        if far.getsockname() in self._found:
                            return True
                        self._poll = -1
        return False

    def _entry_of(self, far: socket.socket) -> _Entry | None:
        """Return the server's end of ``far``, None where there is none that can be replaced.

        A look finds all that have come since the last one: many may connect at the same time.
        """
        name = far.getsockname()
        if name not in self._found:
            self._found = self._look()
        found = self._found.pop(name, None)
        return found if found is not None and found.is_of(name) else None

    def _look(self) -> dict[object, _Entry]:
        """Return what the server waits for and has not been replaced, by what is at its far end."""
        try:
            with open(f"/proc/self/fdinfo/{self._poll}", "rb", buffering=0) as file:
                text = file.readall() or b""
        except OSError:
            return {}
        entries = {}
        for line in _ENTRY.finditer(text):
            inode = int(line[4], 16)
            if inode not in self._taken:
                event = _Event(int(line[2], 16), int(line[3], 16))
                entry = _Entry(int(line[1]), inode, event)
                with suppress(OSError):
                    entries[entry.peer()] = entry
        return entries


def _inode(end: socket.socket) -> int:
    return os.fstat(end.fileno()).st_ino


def _carry_rest(far: socket.socket, near: socket.socket) -> None:
    """Send on what is still to be read at ``far``, whose other end has been closed."""
    ready = select.poll()
    ready.register(far, select.POLLIN)
    deadline = time.monotonic() + LAST_BYTES
    while ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = far.recv(FIRST_BYTES)
        if not piece:
            return
        near.send(piece)
