# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 at a public socket: what strangers send after the preface, to a real front.

The front survives what is as short as that, others are served meanwhile, the admin too, and the
daemon's memory does not grow.
"""

import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kmodctl import Client
from tests.fuzz.fuzzer import Format, Fuzzer, Target
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import PREFACE, Flag, Kind, RawConnection, frame
from tests.support.methods import METHODS
from tests.support.modules import module_tree

SETTINGS = """
[[socket]]
path = "@/observer/s"
role = "observer"
mode = 0o600

[[socket]]
path = "@/admin/s"
"""

LIST = "/kmodd.v1.ModuleService/ListModules"

GROWTH = 20 << 20
"""Bytes that the daemon's memory may grow by, whatever strangers send."""

WARM_UP = 100
"""Calls after which the daemon has what it needs to answer."""

SLOW = 60.0
"""Seconds that the daemon has to answer, on a busy machine."""

PATIENCE = 0.05
"""Seconds that are waited for an answer to the last PING, where none may come."""

MARK = b"fuzz-end"

_HEAD_BYTES = 9


class Front:
    """A daemon with a front, and how it is seen to be as it was; it is one thread's."""

    def __init__(self, daemon: Daemon, stack: ExitStack) -> None:
        self.public = daemon.socket.parents[1] / "observer" / "s"
        wait_until(self.public.exists)
        self._daemon = daemon
        self._front = daemon.front_pid()
        self._clients = [
            stack.enter_context(Client(str(path), timeout=SLOW))
            for path in (daemon.socket, self.public)
        ]
        for _ in range(WARM_UP):
            self.check_calls()
        self._memory = self._resident()

    def check(self) -> None:
        """See that all of it is as it was."""
        self.check_calls()
        assert Path(f"/proc/{self._front}").exists(), "the front has ended"
        grown = self._resident() - self._memory
        assert grown < GROWTH, f"the daemon has grown by {grown} bytes"
        log = self._daemon.log.read_text()
        assert "Traceback" not in log, log[-4000:]
        assert "the front has ended" not in log, log[-4000:]

    def check_calls(self) -> None:
        """See that the admin and another stranger are answered."""
        for client in self._clients:
            client.list_modules()

    def _resident(self) -> int:
        words = Path(f"/proc/{self._daemon.process.pid}/statm").read_text().split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def opened() -> Iterator[Target]:
    """Have a daemon whose observers are read by a front."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        daemon = stack.enter_context(
            running_daemon(
                module_tree(root / "root").root,
                *("--log-level", "warning"),
                place="admin/s",
                settings=SETTINGS,
            )
        )
        front = Front(daemon, stack)

        def target(data: bytes) -> None:
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(front.public))
                stranger.settimeout(PATIENCE)
                with suppress(OSError):  # it has closed the connection, or says nothing
                    stranger.sendall(PREFACE + frame(Kind.SETTINGS, b"") + data)
                    stranger.sendall(frame(Kind.PING, MARK))
                    last = b""
                    while (piece := stranger.recv(65536)) and MARK not in last + piece:
                        last = piece
            front.check()

        yield target


def split(data: bytes) -> list[bytes]:
    """Return the frames of an input: type, flags, the last byte of the stream, the payload."""
    frames, at = [], 0
    while at + _HEAD_BYTES <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        at += _HEAD_BYTES
        frames.append(bytes([data[at - 6], data[at - 5], data[at - 1]]) + data[at : at + length])
        at += length
    return frames


def joined(frames: list[bytes]) -> bytes:
    """Return the frames with lengths that are right."""
    return b"".join(frame(each[0], each[3:], each[2], each[1]) for each in frames if len(each) >= 3)


def seeds() -> Iterator[bytes]:
    """Yield a call of each method, and each kind of frame."""
    for method in METHODS:
        yield call(method.path)
    begun = frame(Kind.HEADERS, RawConnection.fields_of(LIST), 1)
    message = frame(Kind.DATA, struct.pack(">BI", 0, 0), 1)
    yield begun + frame(Kind.CONTINUATION, b"\x40\x01a\x01b", 1, Flag.END_HEADERS) + message
    yield call(LIST) + frame(Kind.RST_STREAM, struct.pack(">I", 8), 1)
    yield frame(Kind.SETTINGS, struct.pack(">HIHI", 1, 0, 4, 1)) + call(LIST)
    yield frame(Kind.WINDOW_UPDATE, struct.pack(">I", 1 << 16)) + call(LIST)
    yield frame(Kind.PRIORITY, bytes(5), 1) + frame(Kind.PING, bytes(8)) + call(LIST)
    yield frame(Kind.GOAWAY, bytes(8)) + call(LIST)
    yield frame(Kind.PUSH_PROMISE, bytes(8), 1)
    padded = b"\x04" + RawConnection.fields_of(LIST) + bytes(4)
    yield frame(Kind.HEADERS, padded, 1, Flag.END_HEADERS | Flag.PADDED) + message
    yield call(LIST, ("grpc-timeout", "1n")) + call(LIST, ("kmodd-token", "x"), stream=3)
    yield frame(Kind.HEADERS, b"\x83\x86\x44\x02/x\x3f\xe1\x1f\xbe", 1, Flag.END_HEADERS)


def call(method: str, *more: tuple[str, str], stream: int = 1) -> bytes:
    """Return a whole call with an empty message."""
    fields = RawConnection.fields_of(method, *more)
    message = struct.pack(">BI", 0, 0)
    return frame(Kind.HEADERS, fields, stream, Flag.END_HEADERS) + frame(
        Kind.DATA, message, stream, Flag.END_STREAM
    )


FUZZER = Fuzzer(
    opened=opened,
    seeds=seeds,
    words=(
        *("grpc-timeout", "1S", "99999999H", "grpc-encoding", "gzip", "te", "trailers", ":path"),
        *(":method", "POST", "content-type", "application/grpc", "grpc-accept-encoding", "-bin"),
    ),
    format=Format(split, joined),
)
