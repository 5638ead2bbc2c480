# SPDX-License-Identifier: Apache-2.0
"""Calls by our own HTTP/2 to grpcio's server, and to a daemon."""

import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from kmodctl.http2 import ConnectionLostError, Http2Connection, RpcError
from kmodctl.services import DaemonService, ModuleService
from kmodd.v1 import daemon_service_pb2
from kmodd.v1 import module_service_pb2 as modules
from tests.support.daemon import Daemon, wait_until
from tests.support.tree import ModuleTree

DETAILS = bytes(range(256))

CANCELLED, NOT_FOUND, DEADLINE_EXCEEDED, UNIMPLEMENTED = 1, 5, 4, 12

RESOURCE_EXHAUSTED = 8

MESSAGE_MAX = 4 << 20


class Methods:
    """What the methods of a server do; ``gone`` is set once a call was cancelled."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.metadata: tuple[tuple[str, str | bytes], ...] = ()

    def handler(self) -> Any:
        """Return the methods as grpc takes them."""
        methods = {
            "echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "fail": grpc.unary_unary_rpc_method_handler(fail),
            "hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "count": grpc.stream_unary_rpc_method_handler(count),
            "refuse": grpc.stream_unary_rpc_method_handler(fail),
            "repeat": grpc.unary_stream_rpc_method_handler(repeat),
            "answer": grpc.stream_stream_rpc_method_handler(answer),
            "endless": grpc.unary_stream_rpc_method_handler(self.endless),
        }
        return grpc.method_handlers_generic_handler("test", methods)

    def echo(self, request: bytes, context: Any) -> bytes:
        self.metadata = tuple((each.key, each.value) for each in context.invocation_metadata())
        return request

    def hang(self, _request: bytes, context: Any) -> bytes:
        context.add_callback(self.gone.set)
        self.gone.wait()
        return b""

    def endless(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.gone.set)
        while not self.gone.is_set():
            yield request


def fail(_request: object, context: Any) -> bytes:
    context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
    context.abort(grpc.StatusCode.NOT_FOUND, "Gerät fehlt: 100 % ☃\n")
    return b""


def count(requests: Iterator[bytes], _context: Any) -> bytes:
    return b"%d" % sum(map(len, requests))


def repeat(request: bytes, _context: Any) -> Iterator[bytes]:
    yield from [request] * 2000


def answer(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    yield from requests


class Server:
    """A server of grpcio's on a Unix socket, that can be stopped and started anew."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.start()

    def start(self) -> None:
        self.methods = Methods()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4),
            handlers=(self.methods.handler(),),
            options=(("grpc.max_receive_message_length", -1),),
        )
        self._server.add_insecure_port(f"unix:{self.path}")
        self._server.start()

    def stop(self, grace: float | None = None) -> threading.Event:
        ended: threading.Event = self._server.stop(grace)
        return ended

    def connect(self) -> Http2Connection:
        return Http2Connection(self.path)


@pytest.fixture(scope="module", name="shared")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that calls do nothing to."""
    server = Server(tmp_path_factory.mktemp("grpc") / "s")
    yield server
    server.stop().wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for the test."""
    own = Server(tmp_path / "s")
    yield own
    own.methods.gone.set()
    own.stop().wait()


def call(
    connection: Http2Connection, method: str, *requests: bytes, deadline: float | None = None
) -> list[bytes]:
    return list(connection.call(method, requests, deadline=deadline))


@pytest.mark.parametrize(
    "size", [0, 1, 16379, 16380, 65530, 65531, 100_000, MESSAGE_MAX - 1, MESSAGE_MAX]
)
def test_a_message_of_any_size_goes_and_comes_back(shared: Server, size: int) -> None:
    with shared.connect() as connection:
        assert call(connection, "/test/echo", b"x" * size) == [b"x" * size]


def test_a_message_larger_than_grpc_takes_is_refused(shared: Server) -> None:
    with shared.connect() as connection:
        with pytest.raises(RpcError, match="4194305 bytes") as error:
            call(connection, "/test/echo", b"x" * (MESSAGE_MAX + 1))
        assert call(connection, "/test/echo", b"x") == [b"x"]
    assert error.value.code == RESOURCE_EXHAUSTED


@given(st.lists(st.binary(max_size=100_000), max_size=10))
@examples(max_examples=20)
def test_messages_stay_apart(shared: Server, messages: list[bytes]) -> None:
    with shared.connect() as connection:
        assert call(connection, "/test/answer", *messages) == messages


def test_a_file_of_many_windows_is_uploaded(shared: Server) -> None:
    with shared.connect() as connection:
        chunks = [b"x" * (256 << 10)] * 200
        assert call(connection, "/test/count", *chunks) == [b"52428800"]
        assert call(connection, "/test/count") == [b"0"]


def test_an_upload_that_is_refused_ends_at_once(shared: Server) -> None:
    endless = iter(lambda: b"x" * 100_000, b"")
    with shared.connect() as connection:
        with pytest.raises(RpcError) as error:
            list(connection.call("/test/refuse", endless, deadline=None))
        assert call(connection, "/test/echo", b"x") == [b"x"]
    assert (error.value.code, error.value.details) == (NOT_FOUND, DETAILS)


def test_a_stream_of_many_windows_is_read(shared: Server) -> None:
    with shared.connect() as connection:
        assert call(connection, "/test/repeat", b"x" * 10_000) == [b"x" * 10_000] * 2000


def test_an_error_has_its_message_and_details(shared: Server) -> None:
    with shared.connect() as connection:
        for _ in range(3):
            with pytest.raises(RpcError) as error:
                call(connection, "/test/fail", b"")
            assert error.value.code == NOT_FOUND
            assert error.value.message == "Gerät fehlt: 100 % ☃\n"
            assert error.value.details == DETAILS


def test_a_method_that_there_is_not_is_unimplemented(shared: Server) -> None:
    with shared.connect() as connection, pytest.raises(RpcError) as error:
        call(connection, "/test/nothing", b"")
    assert error.value.code == UNIMPLEMENTED


def test_metadata_comes_as_it_was_given(shared: Server) -> None:
    given = (("key", "a value"), ("raw-bin", DETAILS), ("none-bin", b""), ("long", "x" * 4000))
    with shared.connect() as connection:
        list(connection.call("/test/echo", [b""], deadline=None, metadata=given))
    assert set(given) <= set(shared.methods.metadata)


def test_a_call_that_takes_too_long_ends_at_both_ends(server: Server) -> None:
    with server.connect() as connection:
        with pytest.raises(RpcError) as error:
            call(connection, "/test/hang", b"", deadline=0.05)
        assert server.methods.gone.wait(60)
        assert call(connection, "/test/echo", b"x") == [b"x"]
    assert error.value.code == DEADLINE_EXCEEDED


def test_a_call_that_is_closed_ends_at_the_other_end(server: Server) -> None:
    with server.connect() as connection:
        endless = connection.call("/test/endless", [b"x"], deadline=None)
        assert next(endless) == b"x"
        endless.close()
        assert server.methods.gone.wait(60)
        assert call(connection, "/test/echo", b"y") == [b"y"]


def test_a_connection_that_is_closed_ends_its_call(server: Server) -> None:
    with server.connect() as connection:
        endless = connection.call("/test/endless", [b"x"], deadline=None)
        assert next(endless) == b"x"
    assert server.methods.gone.wait(60)
    with pytest.raises(ConnectionLostError, match="the connection is closed"):
        list(endless)


def test_a_server_that_stops_lets_a_call_end_and_takes_no_other(server: Server) -> None:
    with server.connect() as connection:
        endless = connection.call("/test/endless", [b"x"], deadline=None)
        assert next(endless) == b"x"
        ended = server.stop(60)
        server.methods.gone.set()
        assert set(endless) <= {b"x"}
        ended.wait()
        with pytest.raises(ConnectionLostError):
            call(connection, "/test/echo", b"x")


def test_a_server_that_ends_its_calls_is_lost_or_says_so(server: Server) -> None:
    with server.connect() as connection:
        endless = connection.call("/test/endless", [b"x"], deadline=None)
        assert next(endless) == b"x"
        server.stop()
        with pytest.raises((ConnectionLostError, RpcError)):
            list(endless)


def test_a_server_that_is_started_anew_takes_a_new_connection(server: Server) -> None:
    with server.connect() as connection:
        assert call(connection, "/test/echo", b"x") == [b"x"]
        server.stop().wait()
        server.start()
        with pytest.raises(ConnectionLostError):
            call(connection, "/test/echo", b"x")
    with server.connect() as connection:
        assert call(connection, "/test/echo", b"x") == [b"x"]


def test_a_daemon_answers_and_says_why_it_does_not(daemon: Daemon) -> None:
    unknown = modules.GetModuleRequest(name="nothing").SerializeToString()
    with Http2Connection(str(daemon.socket)) as connection:
        (answered,) = call(connection, DaemonService.GetStatus.path, b"")
        assert daemon_service_pb2.GetStatusResponse.FromString(answered).release
        with pytest.raises(RpcError) as error:
            call(connection, ModuleService.GetModule.path, unknown)
    assert status_pb2.Status.FromString(error.value.details).message == error.value.message


def test_a_daemon_ends_the_hold_of_a_call_that_is_closed(daemon: Daemon) -> None:
    load = modules.LoadModulesRequest(names=["hello"])
    request = modules.HoldModulesRequest(load=load, unload=True).SerializeToString()
    with Http2Connection(str(daemon.socket)) as connection, daemon.client() as client:
        hold = connection.call(ModuleService.HoldModules.path, [request], deadline=None)
        next(hold)
        assert [module.name for module in client.list_modules()] == ["hello"]
        hold.close()
        wait_until(lambda: not list(client.list_modules()))
        (listed,) = call(connection, ModuleService.ListModules.path, b"")
    assert not modules.ListModulesResponse.FromString(listed).modules


def test_a_daemon_takes_the_file_of_a_module(daemon: Daemon, modules_root: ModuleTree) -> None:
    file = next(modules_root.root.rglob("hello.ko")).read_bytes()
    requests = [
        modules.InsertModuleRequest(header=modules.InsertModuleHeader()),
        *(
            modules.InsertModuleRequest(chunk=file[at : at + 1000])
            for at in range(0, len(file), 1000)
        ),
    ]
    with Http2Connection(str(daemon.socket)) as connection, daemon.client() as client:
        sent = (each.SerializeToString() for each in requests)
        assert len(list(connection.call(ModuleService.InsertModule.path, sent, deadline=60))) == 1
        assert [module.name for module in client.list_modules()] == ["hello"]
