# SPDX-License-Identifier: Apache-2.0
"""What a front that was taken over may say to the daemon: any bytes on its wire.

The front ends of it at most, by the one error of the wire, and leaves no call behind.
"""

import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.front.wire import FrameKind, Opening, WireError
from kmodd.kernel.emulated import EmulatedKernel
from tests.fuzz.fuzzer import Format, Fuzzer, Target
from tests.fuzz.logged import unexpected
from tests.support.daemon import wait_until
from tests.support.methods import METHODS
from tests.support.modules import module_tree
from tests.support.played_front import PlayedFront, ServedCore

LIST = "/kmodd.v1.ModuleService/ListModules"

PATIENCE = 60.0
"""Seconds that the daemon has to end a front, on a busy machine."""

_HEAD = struct.Struct("<BIQ")


@contextmanager
def opened() -> Iterator[Target]:
    """Have a daemon, and a good front beside those that are played with the inputs."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        core = ServedCore(module_tree(root / "root"), EmulatedKernel)
        stack.callback(core.close)
        good = PlayedFront(core, DAEMON)
        stack.callback(good.close)
        good.end.settimeout(PATIENCE)
        logged = stack.enter_context(unexpected())
        streams = iter(range(1, 1 << 62))

        def target(data: bytes) -> None:
            played = PlayedFront(core, Caller("/observer", Role.OBSERVER))
            try:
                with suppress(OSError):  # it has been ended
                    played.end.sendall(data)
                    played.end.shutdown(socket.SHUT_WR)
                played.thread.join(PATIENCE)
                assert not played.thread.is_alive(), "the front is not ended"
            finally:
                played.close()
            for error in played.raised:
                if not isinstance(error, WireError):
                    raise error
            logged.check()
            stream = next(streams)
            good.ask(stream, LIST)
            assert good.status_of(stream).code == 0
            good.front.send(FrameKind.OVER, stream)
            wait_until(lambda: not core.calls.under_way(), seconds=PATIENCE, pause=0.001)

        yield target


def split(data: bytes) -> list[bytes]:
    """Return the frames of an input: its kind, the last byte of its stream, its payload."""
    frames, at = [], 0
    while at + _HEAD.size <= len(data):
        kind, length, stream = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        frames.append(bytes([kind, stream & 0xFF]) + data[at : at + length])
        at += length
    return frames


def joined(frames: list[bytes]) -> bytes:
    """Return the frames with lengths that are right."""
    return b"".join(
        _HEAD.pack(each[0], len(each) - 2, each[1]) + each[2:] for each in frames if len(each) > 1
    )


def seeds() -> Iterator[bytes]:
    """Yield a whole call of each method, a stream of requests, and what a front says by itself."""
    for method in METHODS:
        opening = bytes([FrameKind.OPEN, 1]) + Opening(1, method.path, "").packed()
        ask = bytes([FrameKind.MESSAGE, 1])
        yield joined([opening, ask, bytes([FrameKind.HALF_CLOSE, 1]), bytes([FrameKind.OVER, 1])])
        if method.streams_requests:
            yield joined([opening, ask, ask, ask, bytes([FrameKind.CREDIT, 1])])
    yield joined([bytes([FrameKind.READY, 0]) + b"no capabilities: x\nno files: y"])


FUZZER = Fuzzer(
    opened=opened,
    seeds=seeds,
    words=tuple(method.path for method in METHODS),
    format=Format(split, joined),
)
