# SPDX-License-Identifier: Apache-2.0
"""Who may listen on a socket's path."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.errors import RequestError, StateError
from kmodd.host.sockets import PATH_MAX, SocketPlace, access_of
from kmodd.settings import SocketSettings


@contextmanager
def taken(path: Path) -> Iterator[SocketPlace]:
    place = SocketPlace(path).take()
    try:
        yield place
    finally:
        place.leave()


def bind(place: SocketPlace) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    staged = place.stage()
    server.bind(str(staged))
    server.listen()
    place.reveal(staged, access_of(SocketSettings(path=place.path)))
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
        assert stat.S_IMODE(place.stage().parent.stat().st_mode) == 0o700


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
            SocketPlace(path).take()
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
        SocketPlace(path)


@pytest.mark.parametrize("removed", ["kmodd.sock", "kmodd.sock.lock"])
def test_a_place_whose_socket_or_lock_was_removed_is_not_whole(
    tmp_path: Path, removed: str
) -> None:
    with taken(tmp_path / "kmodd.sock") as place, bind(place):
        assert place.is_whole()
        (tmp_path / removed).unlink()
        assert not place.is_whole()


def test_a_lock_whose_directory_was_removed_is_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "kmodd.sock"
    with taken(path) as place, bind(place):
        shutil.rmtree(path.parent)
        place.take()
        with pytest.raises(StateError, match="another kmodd"):
            SocketPlace(path).take()


def test_who_has_lost_a_place_leaves_the_socket_of_the_next_owner(tmp_path: Path) -> None:
    path = tmp_path / "run" / "kmodd.sock"
    with taken(path) as first, bind(first):
        shutil.rmtree(path.parent)
        with taken(path) as second, bind(second):
            with pytest.raises(StateError, match="another kmodd"):
                first.take()
            first.leave()
            assert second.is_whole()
            assert path.is_socket()


def test_a_directory_that_cannot_be_had_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"file.*Not a directory"):
        SocketPlace(tmp_path / "file" / "kmodd.sock").take()
