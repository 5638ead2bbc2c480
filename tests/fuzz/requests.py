# SPDX-License-Identifier: Apache-2.0
"""Requests as bytes, of every method and every role, by the way that those of a front come.

A call ends with a status that is a client's fault or the daemon's word, never with an exception
that was not to come. An observer changes nothing, and the admin is answered whatever came before.
"""

import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor

from kmodd.access.caller import Caller, Role
from kmodd.errors import KernelError
from kmodd.front.wire import FrameKind, Status
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.v1 import module_service_pb2 as pb
from tests.fuzz.fuzzer import Format, Fuzzer, Target
from tests.fuzz.logged import unexpected
from tests.support.methods import METHODS
from tests.support.modules import SOURCES, module_tree
from tests.support.played_front import PlayedFront, ServedCore

LIST = "/kmodd.v1.ModuleService/ListModules"

CALLERS = (
    Caller("/admin", Role.ADMIN),
    Caller("/observer", Role.OBSERVER),
    Caller("/loader", Role.LOADER, allow=("hello", "greet", "world"), parameters=True),
)

STREAMS = {
    "/grpc.health.v1.Health/Watch",
    *(method.path for method in METHODS if method.streams_responses),
}
"""Methods whose answer may have no end."""

PATIENCE = 60.0
"""Seconds that the daemon has for a frame, on a busy machine."""

LONG = 0.05
"""Seconds after which a client goes that has no answer yet."""

GOES_ON = 0x80
"""In a method's number: the request is another one of the call before."""

BUGS = {grpc.StatusCode.UNKNOWN.value[0], grpc.StatusCode.INTERNAL.value[0]}

LATE = 4
"""Calls that may be ending while others are made: they take places of those."""

DEPTH = 3
"""Messages within messages in the seeds."""

_HEAD = struct.Struct("<BH")


@contextmanager
def opened() -> Iterator[Target]:
    """Have a daemon, and a front for each role, with one connection."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        core = ServedCore(module_tree(root / "root"), EmulatedKernel)
        stack.callback(core.close)
        fronts = [PlayedFront(core, caller) for caller in CALLERS]
        for front in fronts:
            front.end.settimeout(PATIENCE)
            stack.callback(front.close)
        methods = sorted(core.methods.handlers)
        logged = stack.enter_context(unexpected())
        clients = [Asking(front) for front in fronts]

        def target(data: bytes) -> None:
            client = clients[data[0] % len(clients)] if data else clients[0]
            before = core.kernel.modules()
            for method, requests in calls(data[1:], methods):
                client.call(method, requests)
                logged.check()
            if client is clients[1]:
                assert core.kernel.modules() == before, "an observer has changed something"
            client.settle(LATE)
            assert clients[0].call(LIST, [b""], goes=False) == 0
            tidy(core)

        yield target


def split(data: bytes) -> list[bytes]:
    """Return the requests of an input, each behind the number of its method."""
    pieces, at = [], 0
    while at + _HEAD.size <= len(data):
        number, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        pieces.append(bytes([number]) + data[at : at + length])
        at += length
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """Return the requests as an input has them."""
    return b"".join(
        _HEAD.pack(piece[0], len(piece) - 1) + piece[1:]
        for piece in pieces
        if 0 < len(piece) < 65536
    )


def calls(data: bytes, methods: list[str]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the calls that an input stands for: a method with its requests."""
    last: tuple[str, list[bytes]] | None = None
    for piece in split(data):
        number, request = piece[0], piece[1:]
        if last and number & GOES_ON:
            last[1].append(request)
            continue
        if last:
            yield last
        last = methods[(number & ~GOES_ON) % len(methods)], [request]
    if last:
        yield last


class Asking:
    """A client that goes when it has an answer without end, or has waited for long.

    ``_lock`` guards for which call it waits.
    """

    def __init__(self, front: PlayedFront) -> None:
        self._front = front
        self._last = 0
        self._late: set[int] = set()
        self._lock = threading.Lock()
        self._waiting = 0
        self._tick = threading.Event()
        threading.Thread(target=self._watch, name="fuzz-goes", daemon=True).start()

    def call(self, method: str, requests: list[bytes], *, goes: bool = True) -> int | None:
        """Make a call, and return the code of its status; None where it went before.

        What it left ends later, with the frames of another call.
        """
        self._last += 1
        stream, wire = self._last, self._front.front
        self._front.open(stream, method)
        wire.send(FrameKind.MESSAGE, stream, requests[0])
        more = iter(requests[1:])
        if len(requests) == 1:
            wire.send(FrameKind.HALF_CLOSE, stream)
        with self._lock:
            self._waiting = stream if goes else 0
        for frame in self._front.frames:
            if frame.kind in (FrameKind.STATUS, FrameKind.CUT):
                code = Status.unpacked(frame.payload).code
                assert code not in BUGS, f"{method}: {code}"
                if frame.stream == stream:
                    wire.send(FrameKind.OVER, stream)
                    return code
                self._late.discard(frame.stream)
            elif frame.stream != stream:
                continue
            elif frame.kind is FrameKind.CREDIT:  # a request has been taken
                request = next(more, None)
                if request is not None:
                    wire.send(FrameKind.MESSAGE, stream, request)
                elif len(requests) > 1:
                    wire.send(FrameKind.HALF_CLOSE, stream)
            elif frame.kind is FrameKind.INITIAL or method in STREAMS:
                self._late.add(stream)
                self._go(stream)
                return None
        raise AssertionError(f"{method}: the daemon has gone")

    def settle(self, most: int) -> None:
        """Where more than ``most`` calls have not ended that it went from, wait for all of them."""
        if len(self._late) > most:
            while self._late:
                self.call(LIST, [b""])

    def _go(self, stream: int) -> None:
        with self._lock:
            if self._waiting != stream:
                return
            self._waiting = 0
        self._front.front.send(FrameKind.OVER, stream)

    def _watch(self) -> None:
        last = 0
        while not self._tick.wait(LONG):
            with self._lock:
                waiting = self._waiting
            if waiting and waiting == last:
                with suppress(OSError):
                    self._go(waiting)
            last = waiting


def tidy(core: ServedCore) -> None:
    """Take away what an input has left."""
    for module in core.kernel.modules():
        with suppress(KernelError):
            core.kernel.delete_module(module.name, force=True)
    for device in core.kernel.devices():
        core.kernel.remove_device(device.name)


def seeds() -> Iterator[bytes]:
    """Yield a good request of each method by each role."""
    known = {method.path: method for method in METHODS}
    with tempfile.TemporaryDirectory() as directory:
        core = ServedCore(module_tree(Path(directory, "root")), EmulatedKernel)
        paths = sorted(core.methods.handlers)
        core.close()
    for number, path in enumerate(paths):
        for role in range(len(CALLERS)):
            request = filled(known[path].request()) if path in known else b"\x0a\x05hello"
            yield bytes([role]) + joined([bytes([number]) + request])
    insert = paths.index("/kmodd.v1.ModuleService/InsertModule")
    hello = (SOURCES / "hello.ko").read_bytes()
    header = pb.InsertModuleRequest(header=pb.InsertModuleHeader(parameters="x=1"))
    chunk = pb.InsertModuleRequest(chunk=hello[:3000])
    yield bytes([0]) + joined(
        [
            bytes([insert]) + header.SerializeToString(),
            bytes([insert | GOES_ON]) + chunk.SerializeToString(),
        ]
    )


def filled(message: Any, depth: int = DEPTH) -> bytes:
    """Return a message with something in each field; of those that exclude each other, the last."""
    for each in message.DESCRIPTOR.fields:
        value: Any = 1
        if each.message_type is not None:
            if depth == 0:
                continue
            value = message_factory.GetMessageClass(each.message_type)()
            filled(value, depth - 1)
        elif each.enum_type is not None:
            value = each.enum_type.values[-1].number
        elif each.type == FieldDescriptor.TYPE_STRING:
            value = "hello"
        elif each.type == FieldDescriptor.TYPE_BYTES:
            value = b"hello"
        elif each.type == FieldDescriptor.TYPE_BOOL:
            value = True
        message.MergeFrom(type(message)(**{each.name: [value] if is_list(each) else value}))
    data: bytes = message.SerializeToString()
    return data


def is_list(field: FieldDescriptor) -> bool:
    """Tell whether a field is repeated."""
    return bool(field.is_repeated)


FUZZER = Fuzzer(
    opened=opened,
    seeds=seeds,
    longest=8192,
    words=("hello", "greet", "world", "who=x", "6.1.0", "pci:v00001AF4d*", "/dev", "/sys/module"),
    format=Format(
        lambda data: [data[:1], *split(data[1:])],
        lambda pieces: (pieces[0][:1] if pieces else b"") + joined(pieces[1:]),
    ),
)
