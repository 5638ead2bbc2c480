# SPDX-License-Identifier: Apache-2.0
"""What a guest that was taken over may say to the daemon: any bytes on its port.

The call under way ends with a value, an errno or the one error; the log and the events are read as
those of a machine are.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from kmodd.errors import KernelError
from kmodd.kernel.linux.devices import device_of_event, plugged_devices
from kmodd.kernel.linux.kmsg import parse_record
from kmodd.kernel.linux.sections import read_sections
from kmodd.kernel.vm.guest_system import GuestSystem
from kmodd.kernel.vm.wire import VERSION, Tell
from tests.fuzz.fuzzer import Format, Fuzzer, Target
from tests.fuzz.logged import unexpected
from tests.support.played_guest import PATIENCE, conversation

CALLS: tuple[Callable[[GuestSystem], object], ...] = (
    lambda system: system.read(Path("/x"), 10),
    lambda system: system.read_modules(Path("/proc/modules")),
    lambda system: system.list_directory("/sys"),
    lambda system: read_sections(system, Path("/sys/module/x/sections")),
    lambda system: system.delete_module("x", 0),
    lambda system: system.init_module(b"x", ""),
    lambda system: list(plugged_devices(system, Path("/sys"))),
)
"""The calls that are answered; an input's first byte says which."""

CALL_SECONDS = 2.0
"""Seconds that a call may take; the thread that reads the answer may be gone."""

EVENT_MAX = 8192
"""Bytes that are read of an event."""

RAW = 0xFF
"""The kind of a piece that is said as it is; any other is a frame's."""

_PIECE = struct.Struct(">BBH")
_FRAME = struct.Struct(">IIB")


class PlayedAgent:
    """Takes the place of the agent: says the pieces of an input once it was called, and goes."""

    def __init__(self, end: socket.socket, pieces: list[bytes]) -> None:
        self._end, self._pieces = end, pieces
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def join(self) -> None:
        """Wait until everything was said."""
        self._thread.join(PATIENCE)

    def _play(self) -> None:
        with suppress(OSError), self._end.makefile("rb") as requests:
            self._say(Tell.PART, greeting := _next(requests.read), _HELLO)
            self._say(Tell.END, greeting, bytes(5))
            number = _next(requests.read)
            for piece in self._pieces:
                if piece[0] == RAW:
                    self._end.sendall(piece[2:])
                else:
                    # The number of the call, or another one.
                    self._say(piece[0], number + piece[1], piece[2:])
            self._end.shutdown(socket.SHUT_WR)

    def _say(self, kind: int, number: int, body: bytes) -> None:
        self._end.sendall(_FRAME.pack(5 + len(body), number & 0xFFFFFFFF, kind) + body)


_HELLO = struct.pack(">I", VERSION) + b"6.1.0\0x86_64\0"


def _next(read: Callable[[int], bytes]) -> int:
    """Return the number of the next request."""
    size, number, _ = _FRAME.unpack(read(_FRAME.size))
    read(size - 5)
    return int(number)


@contextmanager
def opened() -> Iterator[Target]:
    """Have what is asked of a guest, and each input said by a guest of its own."""
    with unexpected() as logged:

        def target(data: bytes) -> None:
            call = CALLS[data[0] % len(CALLS)] if data else CALLS[0]
            ours, theirs = socket.socketpair()
            with theirs, conversation(ours, call_seconds=CALL_SECONDS) as (wire, system, *_):
                agent = PlayedAgent(theirs, split(data[1:]))
                wire.greet(PATIENCE)
                events = system.open_events()
                with suppress(OSError, KernelError):
                    call(system)
                theirs.shutdown(socket.SHUT_RDWR)
                agent.join()
            with closing(system.log.open(at_end=False)) as records:
                for record in records.fresh():
                    parse_record(record)
            with suppress(OSError):
                while True:
                    device_of_event(events.recvfrom(EVENT_MAX)[0])
            events.close()
            logged.check()

        yield target


def split(data: bytes) -> list[bytes]:
    """Return the pieces of an input: a kind, what is added to the call's number, a body."""
    pieces, at = [], 0
    while at + _PIECE.size <= len(data):
        kind, number, length = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        pieces.append(bytes([kind, number]) + data[at : at + length])
        at += length
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """Return the pieces with lengths that are right."""
    return b"".join(
        _PIECE.pack(each[0], each[1], len(each) - 2) + each[2:] for each in pieces if len(each) > 1
    )


def seeds() -> Iterator[bytes]:
    """Yield a good answer to each call, and the news that a guest has by itself."""
    file = struct.pack(">IIII", 0o644, 0, 5, 3) + b".text0x1"
    end = bytes([Tell.END, 0]) + bytes(5)
    for number in range(len(CALLS)):
        for part in (b"x 1 0 - Live 0x0\n", b"a\0b\0", file):
            yield bytes([number]) + joined([bytes([Tell.PART, 0]) + part, end])
        yield bytes([number]) + joined([bytes([Tell.END, 0]) + struct.pack(">IB", 2, 1)])
    news = (
        bytes([Tell.LOG, 0]) + b"6,339,5140900,-;NET: ready\n SUBSYSTEM=x\n",
        bytes([Tell.EVENT, 0]) + b"add@/devices/x\0ACTION=add\0MODALIAS=x:y\0",
        bytes([Tell.LOST, 0]),
        bytes([Tell.REQUEST, 1]) + b"net-pf-10",
        bytes([RAW, 0]) + _FRAME.pack(1 << 20, 0, Tell.LOG),
    )
    yield b"\0" + joined([*news, end])


FUZZER = Fuzzer(opened=opened, seeds=seeds, format=Format(split, joined))
