# SPDX-License-Identifier: Apache-2.0
"""A server of grpc's that is there only while somebody is connected."""

import os
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from kmodd.errors import StateError
from kmodd.service import resting
from kmodd.service.resting import RestingServer
from tests.support.daemon import wait_until


def threads() -> list[str]:
    """Return the names of this process's threads."""
    return [(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir()]


def name() -> bytes:
    return b"\0kmodd-test-" + secrets.token_hex(8).encode()


@pytest.fixture
def server() -> Iterator[RestingServer]:
    with ThreadPoolExecutor(1) as pool:
        server = RestingServer(lambda: grpc.server(pool))
        server.start()
        yield server
        server.stop(0.0)


def connected(server: RestingServer) -> socket.socket:
    connection, _ = server.connect(name())
    return connection


def is_answered(connection: socket.socket) -> bool:
    """Tell whether a server speaks HTTP/2 there: it says its settings first."""
    connection.setblocking(True)
    connection.settimeout(30.0)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    return connection.recv(9)[3:4] == b"\4"


def test_a_server_rests_once_nobody_is_connected(
    server: RestingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(server) as connection:
        assert is_answered(connection)
        monkeypatch.setattr(resting, "REST", 0.0)
        server.rest()
        assert server.is_awake()
    server.leave()
    server.rest()
    assert not server.is_awake()
    wait_until(lambda: "event_engine" not in threads())


def test_a_server_that_was_used_just_now_does_not_rest(server: RestingServer) -> None:
    connected(server).close()
    server.leave()
    server.rest()
    assert server.is_awake()


def test_who_connects_wakes_a_server_that_rests(
    server: RestingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resting, "REST", 0.0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        server.rest()
        assert not server.is_awake()
        with connected(server) as connection:
            assert is_answered(connection)
        server.leave()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_nobody_wakes_a_server_that_was_stopped(server: RestingServer) -> None:
    server.stop(0.0)
    with pytest.raises(ConnectionRefusedError):
        connected(server)
    assert not server.is_awake()


def test_without_a_place_for_its_socket_a_server_is_had_when_there_is_one(
    server: RestingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resting, "REST", 0.0)
    server.rest()
    with monkeypatch.context() as patch:
        patch.setattr("kmodd.host.nameless.lock_directory", lambda: str(tmp_path / "missing"))
        with pytest.raises(ConnectionRefusedError, match="no server can be had"):
            connected(server)
        with pytest.raises(StateError, match="no server can be had"):
            server.start()
    with connected(server) as connection:
        assert is_answered(connection)
    server.leave()
