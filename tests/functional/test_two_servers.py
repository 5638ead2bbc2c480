# SPDX-License-Identifier: Apache-2.0
"""What the front's socket says is byte for byte what the admins' says, down to HTTP/2's frames.

No module is loaded meanwhile: where one lies in memory is told to admins alone.
"""

import struct
from collections.abc import Callable, Iterator

import pytest

from kmodd.v1 import module_service_pb2 as modules
from tests.functional.conftest import TWO_SERVERS, public
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.http2 import Flag, Kind, RawConnection, frame
from tests.support.modules import module_tree

MODULES = "/kmodd.v1.ModuleService/"
DATABASES = "/kmodd.v1.DatabaseService/"
LIST = MODULES + "ListModules"
GET = MODULES + "GetModule"
LOAD = MODULES + "LoadModules"
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def named(field: int, text: str) -> bytes:
    """Return a message of protobuf with a text in one field."""
    return bytes([field << 3 | 2, len(text)]) + text.encode()


HELLO = named(1, "hello")
GONE = named(1, "gone")
LOAD_GONE = modules.LoadModulesRequest(names=["gone"])

CANCEL = 0x8
"""Why a client ends a call (RFC 9113, 7)."""

Asked = Callable[[RawConnection], int]
"""Sends a call, and returns its stream."""


def call(method: str, message: bytes = b"", *more: tuple[str, str]) -> Asked:
    """Return what sends a whole call."""

    def send(raw: RawConnection) -> int:
        stream = raw.begin(method, *more)
        raw.message(stream, message)
        raw.end(stream)
        return stream

    return send


def streamed(method: str, *messages: bytes) -> Asked:
    """Return what sends a stream of requests."""

    def send(raw: RawConnection) -> int:
        stream = raw.begin(method)
        for message in messages:
            raw.message(stream, message)
        raw.end(stream)
        return stream

    return send


def without_request(raw: RawConnection) -> int:
    stream = raw.begin(LIST)
    raw.end(stream)
    return stream


def compressed(raw: RawConnection) -> int:
    stream = raw.begin(LIST, ("grpc-encoding", "snappy"))
    raw.message(stream, b"x", compressed=True)
    raw.end(stream)
    return stream


def cut_short(raw: RawConnection) -> int:
    stream = raw.begin(LIST)
    raw.message(stream, b"x", claimed=10)
    raw.end(stream)
    return stream


def as_something_else(raw: RawConnection) -> int:
    fields = raw.fields_of(LIST).replace(b"\x10application/grpc", b"\x10application/json")
    raw.send(frame(Kind.HEADERS, fields, 1, Flag.END_HEADERS | Flag.END_STREAM))
    return 1


ANSWERED = {
    "a list": call(LIST),
    "a page": call(LIST, modules.ListModulesRequest(page_size=1).SerializeToString()),
    "dependencies": call(DATABASES + "GetDependencies", named(1, "world")),
    "an alias": call(DATABASES + "ResolveAlias", HELLO),
    "modinfo": streamed(DATABASES + "GetModuleInfo", named(1, "world")),
    "the configuration": call(DATABASES + "GetConfiguration"),
    "trees": call(DATABASES + "ListTrees"),
    "nodes": call(DATABASES + "GetStaticNodes"),
    "a plan": call(
        LOAD, modules.LoadModulesRequest(names=["world"], dry_run=True).SerializeToString()
    ),
    "devices": call("/kmodd.v1.EmulationService/ListDevices"),
    "files": call("/kmodd.v1.EmulationService/ListFiles", named(1, "/dev")),
    "health": call(HEALTH + "Check", named(1, "kmodd.v1.ModuleService")),
    "reflection": streamed(REFLECTION, named(7, "*"), named(4, "kmodd.v1.ModuleService")),
    "reflection of nothing": streamed(REFLECTION, named(4, "x")),
    "two requests": streamed(LIST, b"", b""),
}

REFUSED = {
    "a module that is not loaded": call(GET, GONE),
    "a module that there is not": call(LOAD, GONE),
    "an alias of nothing": call(DATABASES + "ResolveAlias", GONE),
    "a request that is no protobuf": call(LIST, b"\xff\xff\xff"),
    "a request that cannot be right": call(LOAD, b""),
    "no request": without_request,
    "a method that there is not": call(MODULES + "NoSuch"),
    "a service that there is not": call("/kmodd.v2.NoSuch/Get"),
    "no path": call("nothing"),
    "health of nothing": call(HEALTH + "Check", GONE),
    "a deadline that is none": call(LIST, b"", ("grpc-timeout", "soon")),
    "an unknown encoding": compressed,
    "a message that is cut short": cut_short,
    "no call of gRPC": as_something_else,
    "an upload of nothing": streamed(DATABASES + "GetModuleInfo"),
    "a hold of nothing": call(
        MODULES + "HoldModules", modules.HoldModulesRequest(load=LOAD_GONE).SerializeToString()
    ),
}

STREAMS = {
    "modules": (call(MODULES + "WatchModules"), 1),
    "databases": (call(DATABASES + "WatchDatabase"), 1),
    "health": (call(HEALTH + "Watch"), 1),
    "a log": (call("/kmodd.v1.KernelLogService/ReadLog"), 1),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    root = module_tree(tmp_path_factory.mktemp("two") / "root").root
    with running_daemon(root, settings=TWO_SERVERS) as daemon:
        wait_until(public(daemon).socket.exists)
        yield daemon


def said(daemon: Daemon, asked: Asked, messages: int = -1) -> list[tuple[int, int, bytes]]:
    """Return the frames of a call's answer on a new connection: kind, flags, payload.

    All of them, or those that come until so many have come with data. What the connection itself
    is told is left out, and the frames with a message are taken together: how a transport cuts
    them is its own affair, and it is different from one run to the next.
    """
    found: list[tuple[int, int, bytes]] = []
    with RawConnection(daemon.socket) as raw:
        stream = asked(raw)
        for kind, flags, of, payload in raw.whole_frames():
            if of != stream or kind == Kind.WINDOW_UPDATE:
                continue
            if kind == Kind.DATA and found and found[-1][0] == Kind.DATA:
                _, before, data = found.pop()
                found.append((kind, before | flags, data + payload))
            else:
                found.append((kind, flags, payload))
            ended = bool(flags & Flag.END_STREAM) and kind in (Kind.HEADERS, Kind.DATA)
            if ended or kind == Kind.RST_STREAM:
                break
            if kind == Kind.DATA and whole_messages(found[-1][2]) == messages:
                break
    return found


def whole_messages(data: bytes) -> int:
    """Return how many messages there are in the data of a call, behind five bytes each."""
    count = 0
    while len(data) >= 5:
        length = struct.unpack_from(">I", data, 1)[0]
        if len(data) < 5 + length:
            break
        data, count = data[5 + length :], count + 1
    return count


def code_of(frames: list[tuple[int, int, bytes]]) -> bytes:
    """Return the digits of the status in an answer's trailers."""
    _, _, trailers = next(each for each in reversed(frames) if b"grpc-status" in each[2])
    at = trailers.index(b"grpc-status") + len(b"grpc-status")
    return trailers[at + 1 : at + 1 + trailers[at]]


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_is_the_same_at_both(served: Daemon, name: str) -> None:
    frames = said(served, ANSWERED[name])
    assert code_of(frames) == b"0"
    assert said(public(served), ANSWERED[name]) == frames


@pytest.mark.parametrize("name", REFUSED)
def test_a_failure_is_the_same_at_both(served: Daemon, name: str) -> None:
    frames = said(served, REFUSED[name])
    assert not any(kind == Kind.HEADERS and b"grpc-status\x010" in data for kind, _, data in frames)
    assert said(public(served), REFUSED[name]) == frames


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_begins_the_same_at_both(served: Daemon, name: str) -> None:
    asked, messages = STREAMS[name]
    assert said(public(served), asked, messages) == said(served, asked, messages)


def test_a_hold_begins_the_same_at_both_but_for_its_number(admins: Daemon) -> None:
    request = modules.HoldModulesRequest(
        load=modules.LoadModulesRequest(names=["hello"]), unload=True
    )
    asked = call(MODULES + "HoldModules", request.SerializeToString())
    answers = []
    for daemon in (admins, public(admins)):
        head, (kind, flags, data) = said(daemon, asked, 1)
        answer = modules.HoldModulesResponse.FromString(data[5:])
        answer.ClearField("hold")
        answers.append((head, kind, flags, data[:5], answer))
        with admins.client() as client:
            wait_until(lambda client=client: not client.list_modules())  # type: ignore[misc]
    assert answers[0] == answers[1]


def test_a_deadline_ends_a_call_with_the_same_words_at_both(served: Daemon) -> None:
    asked = call(MODULES + "WatchModules", b"", ("grpc-timeout", "1n"))
    ends = []
    for daemon in (served, public(served)):
        with RawConnection(daemon.socket) as raw:
            trailers = raw.end_of(asked(raw))
            ends.append(trailers[trailers.index(b"grpc-status") :])
    assert ends[0] == ends[1]
    assert b"Deadline Exceeded" in ends[0]


def test_a_call_that_its_client_ends_is_over_at_both_and_the_connection_is_not(
    served: Daemon,
) -> None:
    for daemon in (served, public(served)):
        with RawConnection(daemon.socket) as raw, served.client() as admin:
            watch = raw.call(MODULES + "WatchModules")
            raw.await_answer(watch)
            wait_until(lambda admin=admin: admin.status().watch_count == 1)  # type: ignore[misc]
            raw.send(frame(Kind.RST_STREAM, struct.pack(">I", CANCEL), watch))
            wait_until(lambda admin=admin: admin.status().watch_count == 0)  # type: ignore[misc]
            assert b"grpc-status\x010" in raw.end_of(raw.call(LIST))


def test_an_upload_that_is_not_allowed_is_refused_before_it_has_been_sent(served: Daemon) -> None:
    with RawConnection(public(served).socket) as raw:
        upload = raw.begin(MODULES + "InsertModule")
        raw.message(upload, modules.InsertModuleRequest(chunk=b"x").SerializeToString())
        trailers = raw.end_of(upload)
    assert b"grpc-status\x017" in trailers
    assert b"grpc-status-details-bin" in trailers
