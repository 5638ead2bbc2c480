# SPDX-License-Identifier: Apache-2.0
"""Connections on their way to a front."""

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_Handed = tuple[int, int, socket.socket]
"""A connection: its number, its user's, and a socket of our own."""


class HandingOver:
    """Hands connections to the front there is, in their order; those that come too early wait.

    One that a front has not taken over by its end, of which it has read nothing, is the next one's.
    ``_changed`` guards who waits and for which front. ``_sending`` is held while something is sent
    to one, so that its socket is not closed meanwhile.
    """

    def __init__(self, is_wanted: Callable[[int], bool]) -> None:
        """``is_wanted`` tells of a connection's number whether it is still there."""
        self._is_wanted = is_wanted
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._waiting: deque[_Handed] = deque()
        self._given: dict[int, _Handed] = {}
        self._parting: deque[int] = deque()
        self._front: socket.socket | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="kmodd-front-hand", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def add(self, number: int, uid: int, taken: socket.socket) -> None:
        """Have a connection handed over, with its number and its user's; raises OSError.

        ``taken`` stays the caller's, who may close it.
        """
        own = taken.dup()
        with self._changed:
            if self._is_over:
                own.close()
                raise ConnectionRefusedError("no more connections are served")
            self._waiting.append((number, uid, own))
            self._changed.notify()

    def part(self, number: int) -> bool:
        """Have the front end a connection in good order, if it has it; False without a front."""
        with self._changed:
            if self._front is None:
                return False
            self._parting.append(number)
            self._changed.notify()
            return True

    def begin(self, front: socket.socket) -> None:
        """Hand those that wait, and those that come, to another front."""
        with self._changed:
            if self._is_over:
                front.close()
                return
            self._front = front
            self._changed.notify()

    def taken(self, number: int) -> None:
        """Note that the front has taken a connection over."""
        with self._changed:
            given = self._given.pop(number, None)
        if given is not None:
            given[2].close()

    def pause(self) -> set[int]:
        """Have those that come wait for the next front; returns who waits now.

        The front's socket is closed.
        """
        with self._changed:
            front, self._front = self._front, None
            self._parting.clear()
        if front is not None:
            with suppress(OSError):
                front.shutdown(socket.SHUT_RDWR)  # so that nothing is being sent for long
            with self._sending:
                front.close()
        with self._changed:
            self._waiting.extendleft(reversed(self._given.values()))
            self._given.clear()
            return {number for number, _, _ in self._waiting}

    def stop(self) -> None:
        """Hand nothing over any more."""
        self.pause()
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()
        for _, _, taken in self._waiting:
            taken.close()
        self._waiting.clear()

    def _has_work(self) -> bool:
        has_words = bool(self._waiting or self._parting)
        return self._is_over or (self._front is not None and has_words)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                front = self._front
                if self._is_over or front is None:
                    return
                parting = self._parting.popleft() if self._parting else None
                first = self._waiting[0] if self._waiting else None
            if parting is not None:
                with self._sending:
                    self._send(front, str(parting))
                continue
            if first is None:
                continue
            if self._is_wanted(first[0]):
                with self._sending:
                    self._give(front, first)
                continue
            with self._changed:
                if self._waiting[0] is first:  # and no other has come before it
                    self._waiting.popleft()
                    first[2].close()

    def _give(self, front: socket.socket, first: _Handed) -> None:
        """Send the first of those that wait to a front, unless that has ended."""
        number, uid, taken = first
        with self._changed:
            if self._front is not front or self._waiting[0] is not first:
                return
            # It may be told of as taken before it is said to have been sent.
            self._given[number] = self._waiting.popleft()
        self._send(front, f"{number} {uid}", taken.fileno())

    def _send(self, front: socket.socket, words: str, *descriptors: int) -> None:
        """Send a message to a front, which is none any more where it takes it not."""
        try:
            socket.send_fds(front, [words.encode()], descriptors)
        except OSError:
            with self._changed:
                if self._front is front:
                    self._front = None
