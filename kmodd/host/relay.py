# SPDX-License-Identifier: Apache-2.0
"""Takes connections, and carries the bytes between each of them and the server that answers it.

A server of grpc's takes no connection that somebody else has accepted, and does not tell who made
one. So the daemon accepts them all itself, and connects each to the server by a socket whose name
stands for it. One thread does that for all of them; it reads no byte's meaning.
"""

import ctypes
import errno
import heapq
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from kmodd.host.allowance import Allowance
from kmodd.host.carried import Carried, CarriedEnd, Of, Watched
from kmodd.host.shortcut import Shortcut

CHUNK = 64 << 10
"""Bytes that are carried at a time."""

TAKEN_AT_ONCE = 32
"""Connections that are taken before those there are get their turn."""

PAUSE = 0.1
"""Seconds until connections are taken again once there was no descriptor for one."""

PROMPT = 5.0
"""Seconds after which a server's first bytes are too late for the shortcut: whatever held it up, it
may be about to give the connection up."""

LINGER = 2.0
"""Seconds that a server has for its last words on a connection that is to end."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_READABLE = select.EPOLLIN

_AT_ONCE = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

# The library's recv and send let another of Python's threads in each time, and then wait until that
# one lets go: with eight clients that was a third of a call's time. These take some microseconds,
# and wait for nothing.
_libc = ctypes.PyDLL(None, use_errno=True)
_recv, _send = _libc.recv, _libc.send
for _each in (_recv, _send):
    _each.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    _each.restype = ctypes.c_ssize_t

log = logging.getLogger(__name__)

Accepted = Callable[[socket.socket], None]
"""Is given a connection that has been taken, which does not block; owns it from then on."""


class Relay:
    """The thread that takes connections and carries bytes, from ``start`` to ``stop``.

    Its tables are its own: others leave what they want of it in ``_wanted``, and wake it.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wanted: deque[Callable[[], None]] = deque()
        self._sources: dict[int, tuple[socket.socket, Callable[[], None]]] = {}
        self._ends: dict[int, CarriedEnd | Watched[Any]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._stopped = False
        self._buffer = ctypes.create_string_buffer(CHUNK)
        self._place = ctypes.addressof(self._buffer)
        self._poll.register(self._wake, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="kmodd-relay", daemon=True)

    def start(self) -> None:
        """Begin to take and to carry."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection, and take no more."""
        if self._stopped:
            return
        self._stopped = True
        self._awake()
        if self._thread.ident is not None:
            self._thread.join()
        self._do_what_is_wanted()
        for end in list(self._ends.values()):
            self._end(end if isinstance(end, Watched) else end.carried)
        for source, _ in self._sources.values():
            source.close()
        self._poll.close()
        os.close(self._wake)

    def listen(self, listener: socket.socket, accepted: Accepted) -> None:
        """Take the connections of ``listener``, which is the relay's to close from now on."""
        listener.setblocking(False)
        self._want(lambda: self._add(listener, lambda: self._take(listener, accepted)))

    def attend(self, source: socket.socket, ready: Callable[[], None]) -> None:
        """Call ``ready`` whenever there is something to be received at ``source``, which is the
        relay's to close from now on."""
        self._want(lambda: self._add(source, ready))

    def listen_no_more(self, listener: socket.socket) -> None:
        """Close ``listener``; what it has not given yet is refused."""
        self._want(lambda: self._close_listener(listener))

    def end(self, connection: Carried | Watched[Any]) -> None:
        """End a connection in good order: the server is told so, and has its last words sent.

        One that has not ended by itself after ``LINGER`` is cut.
        """
        self._want(lambda: self._part(connection))

    def cut(self, connection: Carried | Watched[Any]) -> None:
        """End a connection at once, whatever is still to be sent."""
        self._want(lambda: self._end(connection))

    def carry(
        self,
        near: socket.socket,
        far: socket.socket,
        over: Callable[[], None],
        allowance: Allowance | None = None,
        shortcut: Shortcut | None = None,
    ) -> Carried:
        """Carry bytes between a client's connection and a server's; for ``accepted`` alone.

        ``over`` is called when that ends, before the server's end is closed. What the client may
        send is bounded by ``allowance``. With a ``shortcut`` the server, which speaks first, is to
        have the client's connection itself as soon as it has spoken.
        """
        carried = Carried(near, far, over, allowance, shortcut)
        carried.near.stopped = shortcut is not None
        for end in (carried.near, carried.far):
            self._ends[end.fd] = end
            self._arm(end)
        return carried

    def watch(
        self,
        near: socket.socket,
        over: Callable[[Of], None],
        part: Callable[[Of], bool],
        of: Of,
    ) -> Watched[Of]:
        """Call ``over`` with ``of`` when a connection has ended that another process serves.

        This is for ``accepted`` alone. Nothing is read from it here. ``part`` is to have whoever
        serves it end it in good order, and tells whether somebody does; to cut it cuts it for
        them, too.
        """
        watched = Watched(near, over, part, of)
        self._ends[watched.fd] = watched
        self._poll.register(watched.fd, select.EPOLLRDHUP)
        return watched

    def _want(self, what: Callable[[], None]) -> None:
        self._wanted.append(what)
        self._awake()

    def _awake(self) -> None:
        with suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._turn()
            except Exception:
                log.exception("a connection")

    def _turn(self) -> None:
        """Do what there is to do now, or wait for it."""
        taking = []
        ready = self._poll.poll(self._patience() if self._later else -1)
        # All are looked up first: a new connection may get the number of one that ends meanwhile.
        ends = [self._ends.get(fd) for fd, _ in ready]
        for end, (fd, events) in zip(ends, ready, strict=True):
            if isinstance(end, CarriedEnd):
                if not end.carried.is_over:
                    self._serve(end, events)
            elif end is not None:
                self._end(end)
            elif fd == self._wake:
                self._do_what_is_wanted()
            else:
                taking.append(fd)
        for fd in taking:
            if source := self._sources.get(fd):
                source[1]()
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()

    def _patience(self) -> float:
        """Return in how many seconds something is due."""
        return max(0.0, self._later[0][0] - time.monotonic())

    def _do_what_is_wanted(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._wanted:
            self._wanted.popleft()()

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), what))

    def _add(self, source: socket.socket, ready: Callable[[], None]) -> None:
        self._sources[source.fileno()] = source, ready
        self._poll.register(source, select.EPOLLIN)

    def _close_listener(self, listener: socket.socket) -> None:
        self._sources.pop(listener.fileno(), None)
        listener.close()

    def _take(self, listener: socket.socket, accepted: Accepted) -> None:
        """Take connections of a listener."""
        for _ in range(TAKEN_AT_ONCE):
            try:
                taken, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._poll.unregister(listener)
                    self._after(PAUSE, lambda: self._take_again(listener))
                    return
                continue  # that one has gone (accept(2))
            taken.setblocking(False)
            try:
                accepted(taken)
            except OSError as error:
                taken.close()
                log.debug("a connection is dropped: %s", error.strerror)
            except Exception:
                taken.close()
                log.exception("a connection is dropped")

    def _take_again(self, listener: socket.socket) -> None:
        if listener.fileno() in self._sources:
            self._poll.register(listener, select.EPOLLIN)

    def _serve(self, end: CarriedEnd, events: int) -> None:
        """Do what an end is ready for."""
        try:
            if events == _READABLE and not end.stopped:  # as it nearly always is
                if not self._receive(end):
                    self._finish(end)
                if end.carried.is_new:
                    self._take_shortcut(end.carried)
                return
            if end.carried.is_direct:
                self._end(end.carried)
                return
            if events & select.EPOLLOUT:
                self._send_rest(end)
            if end.carried.is_over:
                return
            if end.stopped:
                if events & (select.EPOLLHUP | select.EPOLLERR):
                    self._end(end.carried)
            elif events & ~select.EPOLLOUT and not self._receive(end):
                self._finish(end, is_gone=bool(events & select.EPOLLHUP))
        except BlockingIOError:
            return
        except OSError:
            self._end(end.carried)

    def _receive(self, end: CarriedEnd) -> bool:
        """Carry what has come at an end; tells whether more may come. Raises OSError."""
        count = _recv(end.fd, self._place, CHUNK, _AT_ONCE)
        if count <= 0:
            if count < 0:
                _raise()
            return False
        other = end.other
        sent = _send(other.fd, self._place, count, _AT_ONCE)
        if sent < count:
            if sent < 0:
                if ctypes.get_errno() != errno.EAGAIN:
                    _raise()
                sent = 0
            other.unsent = memoryview(bytes(memoryview(self._buffer)[sent:count]))
            end.stopped = True
            self._arm(other)
            self._arm(end)
        allowance = end.carried.allowance
        if allowance is not None and end is end.carried.near:
            seconds = allowance.take(count)
            if seconds > 0:
                end.rests_until = time.monotonic() + seconds
                end.stopped = True
                self._arm(end)
                self._after(seconds, lambda: self._go_on(end))
        return True

    def _take_shortcut(self, carried: Carried) -> None:
        """Let the server have the client's connection, now that it has spoken; raises OSError."""
        carried.is_new = False
        near, far = carried.near, carried.far
        if carried.is_over or far.ends_with_it:
            return
        carried.is_direct = (
            carried.shortcut is not None
            and not near.unsent
            and time.monotonic() - carried.began < PROMPT
            and carried.shortcut.replace(far.socket, near.socket)
        )
        if not carried.is_direct:
            self._go_on(near)
            return
        del self._ends[far.fd]
        near.events = select.EPOLLRDHUP
        self._poll.register(near.fd, near.events)

    def _send_rest(self, end: CarriedEnd) -> None:
        """Send what an end would not take before, and then go on reading for it."""
        if end.unsent:
            end.unsent = end.unsent[end.socket.send(end.unsent) :]
        if end.unsent:
            return
        if end.ends_with_it:
            self._say_the_last(end)
            return
        self._arm(end)
        self._go_on(end.other)

    def _go_on(self, end: CarriedEnd) -> None:
        """Read from an end again, unless there is still a reason not to."""
        carried = end.carried
        rests = end.rests_until > time.monotonic()
        is_finished = end.other.ends_with_it or carried.near.ends_with_it
        if not (carried.is_over or is_finished or end.other.unsent or rests):
            end.stopped = False
            self._arm(end)

    def _part(self, connection: Carried | Watched[Any]) -> None:
        """Have the server say its last words, and no more come in by the client."""
        if connection.is_over:
            return
        self._after(LINGER, lambda: self._end(connection))
        if isinstance(connection, Watched):
            if not connection.part(connection.of):
                self._end(connection)
            return
        near = connection.near
        try:
            if not connection.is_direct:
                self._finish(near)
                return
            near.socket.shutdown(socket.SHUT_RD)
            near.events = 0  # that the server has shut it down, too, shows by EPOLLHUP
            self._poll.modify(near.fd, near.events)
        except OSError:
            self._end(connection)

    def _finish(self, ended: CarriedEnd, *, is_gone: bool = False) -> None:
        """Take no more from an end, and say so at the other once all has been sent there.

        With the server's end the connection is over, and with that of a client who ``is_gone``; one
        who has said his last may still wait for what the server says. Raises OSError.
        """
        carried, other = ended.carried, ended.other
        other.ends_with_it = True
        for end in (ended, other) if ended is carried.far else (ended,):
            end.stopped = True
            self._arm(end)
        if other.unsent:
            return
        if is_gone:
            self._end(carried)
        else:
            self._say_the_last(other)

    def _say_the_last(self, end: CarriedEnd) -> None:
        """Let who is at an end know that no more will come; raises OSError."""
        if end is end.carried.near:
            self._end(end.carried)
            return
        self._arm(end)
        end.socket.shutdown(socket.SHUT_WR)

    def _end(self, carried: Carried | Watched[Any]) -> None:
        if carried.is_over:
            return
        carried.is_over = True
        if isinstance(carried, Watched):
            ends = [(carried.fd, carried.near)]
        elif carried.is_direct and carried.shortcut:
            carried.shortcut.forget(carried.near.socket)
            ends = [(carried.near.fd, carried.near.socket)]
        else:
            ends = [(end.fd, end.socket) for end in (carried.near, carried.far)]
        try:
            if isinstance(carried, Watched):
                carried.over(carried.of)
            else:
                carried.over()
        finally:
            for fd, end in ends:
                del self._ends[fd]
                # Closing it leaves it in the poll where another process has it, too.
                with suppress(OSError):
                    self._poll.unregister(fd)
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _arm(self, end: CarriedEnd) -> None:
        """Wait for what an end is wanted for; one that is wanted for nothing is left out.

        Otherwise one whose other side has gone would be ready all the time.
        """
        wanted = (0 if end.stopped else select.EPOLLIN) | (select.EPOLLOUT if end.unsent else 0)
        if wanted == end.events:
            return
        if not end.events:
            self._poll.register(end.fd, wanted)
        elif not wanted:
            self._poll.unregister(end.fd)
        else:
            self._poll.modify(end.fd, wanted)
        end.events = wanted


def _raise() -> NoReturn:
    """Raise the OSError of the last call."""
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
