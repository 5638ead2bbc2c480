# SPDX-License-Identifier: Apache-2.0
"""What kmodd and the agent in a guest say to each other, and kmodd's end of it.

A frame is its size in four bytes, which do not count, a number in four, its kind in one, and a
body. All numbers are big-endian, paths and texts are bytes; only the last text of a body has no NUL
behind it. To the guest a frame has 64 KiB at most, whole; from it, as much.

To the guest:

=========== ===============================================================================
HELLO       begins a conversation, and ends what was left of another. Answered with the
            protocol's version (4 bytes), the release and the machine, a NUL behind each. The
            log comes from its beginning, and then events
SYNC        answered once the log and the events of until now were sent. It may come before
            HELLO, when the guest says nothing by itself
READ        bytes to read at most (4), path
LIST        path. Answered with names, a NUL behind each
FILES       bytes to read of each at most (4), directory. Answered for each file with its
            mode, the errno of reading it, the size of its name and of its contents (4 each),
            then these
LINK        path. Answered with what the link says
STAT        path. Answered with the mode (4)
WRITE       size of the data (4), a directory, names that lead to the file from there, a NUL
            behind each of them, data
UPLOAD      more of the bytes that ``number`` stands for. Is not answered
INSERT      number of an upload (4), flags (4), whether it is a file (1), parameters: makes
            finit_module(2), or init_module(2), and forgets the upload
DELETE      flags (4), name: delete_module(2)
DROP        forgets the upload ``number``. Is not answered
REPLY       the exit status (1) of the modprobe whose REQUEST had this number. Is not answered
=========== ===============================================================================

From the guest, with the number of what is answered:

=========== ===============================================================================
PART        a part of the answer
END         its end: an errno or 0 (4), and 1 (1) where a file to write to was not opened
LOG         a record of the log, as a read of /dev/kmsg gives it
EVENT       an event of the kernel's, as netlink has it
LOST        events were lost
REQUEST     the kernel wants the module of this name; ``number`` is for the REPLY
=========== ===============================================================================

The log and the events of a call come before its END. EOWNERDEAD says that the kernel has ended the
process that made the call, as it does after an oops.
"""

import errno
import itertools
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from queue import Empty, SimpleQueue

from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.linux.system import UnopenedFileError
from kmodd.records import record

VERSION = 1
"""The protocol's."""

FRAME_MAX = 64 << 10
"""Bytes of a frame, its size left out."""

CHUNK = 32 << 10
"""Bytes of an upload that a frame has."""

ANSWER_MAX = 64 << 20
"""Bytes of the longest answer."""

SEND_SECONDS = 30
"""Seconds that the guest has to take in what is sent to it."""

END_SECONDS = 10.0
"""Seconds that it may take to find out how a guest has ended."""

QUIET_SECONDS = 5.0
"""After so many without an answer the agent is asked whether it is there."""

SIGN_SECONDS = 30.0
"""Seconds that it has to say so."""

UPLOADS_MAX = 32
"""Modules that are being sent at a time; the agent has room for twice as many."""

GONE = "the guest is gone"
"""What has become of a guest that has closed its end."""

_HEAD = struct.Struct(">IIB")
_END = struct.Struct(">IB")
_NUMBERS = (1 << 32) - 1


class Ask(IntEnum):
    """What is said to the guest."""

    HELLO = 1
    SYNC = 2
    READ = 3
    LIST = 4
    FILES = 5
    LINK = 6
    STAT = 7
    WRITE = 8
    UPLOAD = 9
    INSERT = 10
    DELETE = 11
    DROP = 12
    REPLY = 13


class Tell(IntEnum):
    """What the guest says."""

    PART = 1
    END = 2
    LOG = 3
    EVENT = 4
    LOST = 5
    REQUEST = 6


class GuestNonsenseError(Exception):
    """The guest said something that makes no sense."""


@record
class Greeting:
    """What a guest says of itself: the release of its kernel, and its machine's name."""

    release: str
    machine: str


class _Call:
    """A call under way, for the thread that makes it and the one that receives.

    ``failure`` and ``answer`` are written before ``ended`` has anything.
    """

    def __init__(self) -> None:
        self.answer = bytearray()
        self.failure: Exception | None = None
        self.ended: SimpleQueue[None] = SimpleQueue()

    def end(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.ended.put(None)


class GuestWire:
    """One conversation with a guest. Any thread may call.

    ``_lock`` guards the calls and whether it is over, ``_sending`` the order of what is sent.
    """

    def __init__(
        self,
        end: socket.socket,
        told: Callable[[Tell, int, bytes], None],
        gone: Callable[["GuestWire", str], None],
    ) -> None:
        """``told`` is called with the log, events and requests, and is not to block.

        ``gone`` is called, perhaps more than once, with what has become of the guest when it is not
        there any more; it calls ``fail``, the first time.
        """
        self._end, self._told, self._gone = end, told, gone
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._calls: dict[int, _Call] = {}
        # A guest whose state was kept may have more to say to an earlier end.
        self._numbers = itertools.count(secrets.randbelow(_NUMBERS))
        self._over: KernelError | None = None
        self._ended_event = threading.Event()
        self._greeting = 0
        self._is_greeted = False
        self._uploads = threading.BoundedSemaphore(UPLOADS_MAX)
        end.setblocking(True)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_SECONDS, 0))
        self._receiver = threading.Thread(target=self._receive, name="kmodd-guest", daemon=True)
        self._receiver.start()

    def greet(self, seconds: float) -> Greeting:
        """Begin the conversation; what the guest says before is passed over."""
        answer = self.call(Ask.HELLO, struct.pack(">I", VERSION), seconds)
        (version,) = struct.unpack_from(">I", answer) if len(answer) > 4 else (0,)
        names = answer[4:].split(b"\0")
        if version != VERSION or len(names) != 3:
            why = f"its agent speaks version {version} of the protocol, not {VERSION}"
            self._gone(self, why)
            raise self._ended()
        release, machine, _ = (name.decode("utf-8", "replace") for name in names)
        return Greeting(release, machine)

    def call(self, kind: Ask, body: bytes, seconds: float) -> bytes:
        """Return the answer to a request.

        Raises OSError with the errno that the guest has met with, UnopenedFileError among them, and
        KernelError once the guest is gone. One that does not answer within ``seconds`` is.
        """
        number, call = self._begin(kind == Ask.HELLO)
        self._send(kind, number, body)
        self._wait(call, kind, seconds)
        return bytes(call.answer)

    def insert(
        self,
        parts: Callable[[], bytes],
        parameters: bytes,
        flags: int,
        seconds: float,
        *,
        file: bool,
    ) -> None:
        """Send a module, of which ``parts`` gives the next bytes, and have it loaded.

        Raises what ``call`` and ``parts`` do.
        """
        with self._uploads:
            upload = self._number()
            self._send(Ask.UPLOAD, upload, b"")
            try:
                while chunk := parts():
                    self._send(Ask.UPLOAD, upload, chunk)
            except OSError:
                self._send(Ask.DROP, upload, b"")
                raise
            body = struct.pack(">IIB", upload, flags, file) + parameters
            number, call = self._begin()
            self._send(Ask.INSERT, number, body)
        self._wait(call, Ask.INSERT, seconds)

    def reply(self, number: int, status: int) -> None:
        """Answer a request for a module with modprobe's exit status."""
        # Where the guest is gone, so is who has asked.
        with suppress(KernelError):
            self._send(Ask.REPLY, number, bytes([status]))

    @property
    def is_over(self) -> bool:
        """Whether ``fail`` was called."""
        return self._ended_event.is_set()

    def fail(self, error: KernelError) -> None:
        """End the conversation: the calls under way, and all to come, fail with ``error``."""
        with self._lock:
            if self._over is None:
                self._over = error
            calls, self._calls = self._calls, {}
        self._ended_event.set()
        for call in calls.values():
            call.end(error)
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back, after ``fail``; not for the thread that receives."""
        self._receiver.join()
        self._end.close()

    def _number(self) -> int:
        return next(self._numbers) & _NUMBERS or self._number()

    def _begin(self, is_greeting: bool = False) -> tuple[int, _Call]:
        call = _Call()
        number = self._number()
        with self._lock:
            if self._over is not None:
                raise self._over.copy()
            self._calls[number] = call
            if is_greeting:
                self._greeting = number
        return number, call

    def _ended(self) -> KmoddError:
        """Return what the conversation has ended with; somebody else may be finding that out."""
        self._ended_event.wait(END_SECONDS)
        with self._lock:
            over = self._over
        return over.copy() if over else KernelError(Reason.KERNEL_PANIC, GONE)

    def _send(self, kind: Ask, number: int, body: bytes) -> None:
        if len(body) + 5 > FRAME_MAX:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        try:
            with self._sending:
                self._end.sendall(_HEAD.pack(len(body) + 5, number, kind) + body)
        except OSError as error:
            self._gone(self, f"the guest cannot be reached: {error.strerror}")
            raise self._ended() from error

    def _wait(self, call: _Call, kind: Ask, seconds: float) -> None:
        """Wait for a call's end; a guest that gives no sign of life meanwhile is gone."""
        deadline = time.monotonic() + seconds
        sign: _Call | None = None
        sign_due = 0.0
        while True:
            try:
                call.ended.get(timeout=max(min(QUIET_SECONDS, deadline - time.monotonic()), 0.0))
            except Empty:
                pass
            else:
                return _raise(call.failure)
            now = time.monotonic()
            if now >= deadline:
                self._gone(self, f"hung_task: a system call took more than {seconds:g} seconds")
                deadline = float("inf")
            elif sign is None or not sign.ended.empty():
                if kind != Ask.HELLO and self._is_begun():
                    number, sign = self._begin()
                    sign_due = now + SIGN_SECONDS
                    self._send(Ask.SYNC, number, b"")
            elif now >= sign_due:
                self._gone(self, f"the guest gives no sign of life for {SIGN_SECONDS:g} seconds")
                deadline = float("inf")

    def _is_begun(self) -> bool:
        with self._lock:
            return self._over is None

    def _receive(self) -> None:
        try:
            why = self._take_in_all()
        except GuestNonsenseError as error:
            why = f"the guest talks nonsense: {error}"
        except OSError as error:
            why = f"the guest cannot be reached: {error.strerror}"
        self._gone(self, why)

    def _take_in_all(self) -> str:
        buffer = bytearray()
        while chunk := self._end.recv(256 << 10):
            buffer += chunk
            at = 0
            while len(buffer) - at >= _HEAD.size:
                size, number, kind = _HEAD.unpack_from(buffer, at)
                if not 5 <= size <= FRAME_MAX:
                    raise GuestNonsenseError(f"a frame of {size} bytes")
                if len(buffer) - at < 4 + size:
                    break
                self._take_in(kind, number, bytes(buffer[at + _HEAD.size : at + 4 + size]))
                at += 4 + size
            del buffer[:at]
        return GONE

    def _take_in(self, kind: int, number: int, body: bytes) -> None:
        if not self._is_greeted:
            # What comes before the greeting's answer is meant for an earlier conversation.
            if number != self._greeting or kind not in _ANSWERS:
                return
            self._is_greeted = True
        if kind in _NEWS:
            self._told(Tell(kind), number, body)
            return
        if kind not in _ANSWERS:
            raise GuestNonsenseError("a frame of an unknown kind")
        failure = _failure(body) if kind == Tell.END else None
        with self._lock:
            call = self._calls.get(number)
            if kind == Tell.END:
                self._calls.pop(number, None)
            is_over = self._over is not None
        if call is None:
            if is_over:
                return
            raise GuestNonsenseError("an answer that nobody asked for")
        if kind == Tell.END:
            call.end(failure)
            return
        call.answer += body
        if len(call.answer) > ANSWER_MAX:
            raise GuestNonsenseError(f"an answer of more than {ANSWER_MAX} bytes")


def await_agent(end: socket.socket, seconds: float) -> None:
    """Wait until the agent at the other end answers; no conversation has begun yet.

    Raises TimeoutError where it does not within ``seconds``, OSError where there is none any more
    or it talks nonsense.
    """
    number = secrets.randbelow(_NUMBERS) + 1
    due = _HEAD.pack(5 + _END.size, number, Tell.END) + _END.pack(0, 0)
    deadline, got = time.monotonic() + seconds, b""
    end.settimeout(seconds)
    try:
        end.sendall(_HEAD.pack(5, number, Ask.SYNC))
        while len(got) < len(due):
            end.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = end.recv(len(due) - len(got))
            if not piece:
                raise ConnectionError(errno.ECONNRESET, GONE)
            got += piece
    finally:
        end.settimeout(None)
    if got != due:
        raise OSError(errno.EPROTO, "the guest talks nonsense")


_NEWS = (Tell.LOG, Tell.EVENT, Tell.LOST, Tell.REQUEST)
_ANSWERS = (Tell.PART, Tell.END)


def _raise(failure: Exception | None) -> None:
    """Raise what a call has failed with, for the thread that has made it."""
    if isinstance(failure, KernelError):
        raise failure.copy()
    if failure is not None:
        raise failure


def _failure(body: bytes) -> Exception | None:
    """Return the failure that an END tells of, None for a success."""
    if len(body) != _END.size:
        raise GuestNonsenseError("the end of an answer without an outcome")
    code, unopened = _END.unpack(body)
    if not code:
        return None
    if code > 4095:
        raise GuestNonsenseError(f"errno {code}")
    return (UnopenedFileError if unopened else OSError)(code, os.strerror(code))
