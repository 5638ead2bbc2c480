# SPDX-License-Identifier: Apache-2.0
"""Who may listen on a socket's path."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.errors import RequestError, StateError
from kmodd.host.sockets import PATH_MAX, SocketPlace
from kmodd.settings import SocketSettings


@contextmanager
def taken(path: Path) -> Iterator[SocketPlace]:
    place = SocketPlace(SocketSettings(path=path)).take()
    try:
        yield place
    finally:
        place.leave()


def bind(place: SocketPlace) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(place.staged))
    server.listen()
    place.reveal()
    return server


def test_the_socket_has_its_mode_and_goes_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "run" / "kmodd.sock"
    with taken(path) as place, bind(place):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    assert [each.name for each in path.parent.iterdir()] == ["kmodd.sock.lock"]


def test_the_staging_directory_lets_nobody_in(tmp_path: Path) -> None:
    with taken(tmp_path / "kmodd.sock") as place:
        assert stat.S_IMODE(place.staged.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mask", [0o077, 0])
def test_the_directories_that_are_made_for_it_can_be_entered(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "run" / "net" / "kmodd.sock"
    before = os.umask(mask)
    try:
        with taken(path):
            made = (path.parent, path.parent.parent)
            assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o755, 0o755]
    finally:
        os.umask(before)


def test_a_second_owner_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "kmodd.sock"
    with taken(path) as place, bind(place):
        with pytest.raises(StateError, match=rf"another kmodd \(pid {os.getpid()}\)"):
            SocketPlace(SocketSettings(path=path)).take()
        assert path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kmodd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with (
        taken(path) as place,
        bind(place),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        client.connect(str(path))


def test_a_path_that_no_socket_can_have_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / ("x" * PATH_MAX)
    with pytest.raises(RequestError, match="at most 107 bytes"):
        SocketPlace(SocketSettings(path=path))
