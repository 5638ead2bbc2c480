# SPDX-License-Identifier: Apache-2.0
"""Who may listen on a socket's path."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.errors import RequestError, StateError
from kmodd.host.socket_lock import lock_directory, lock_file
from kmodd.host.sockets import PATH_MAX, SocketPlace, access_of
from kmodd.settings import SocketSettings
from tests.support.require import require


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
    place.reveal(access_of(SocketSettings(path=place.path)))
    return server


def test_the_socket_has_its_mode_and_goes_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "run" / "kmodd.sock"
    with taken(path) as place, bind(place):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    assert list(path.parent.iterdir()) == []
    assert list(tmp_path.iterdir()) == [path.parent]


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


@pytest.mark.parametrize("find", [lambda path: path, lock_file])
def test_a_place_whose_socket_or_lock_was_removed_is_not_whole(
    tmp_path: Path, find: Callable[[Path], Path]
) -> None:
    path = tmp_path / "kmodd.sock"
    with taken(path) as place, bind(place):
        assert place.is_whole()
        find(path).unlink()
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


def test_links_that_others_made_in_the_directory_lead_nowhere(tmp_path: Path) -> None:
    admin, path = tmp_path / "admin", tmp_path / "net" / "kmodd.sock"
    admin.mkdir(mode=0o755)
    path.parent.mkdir()
    for name in (".b", f"{path.name}.lock"):
        (path.parent / name).symlink_to(admin)
    with taken(path) as place, bind(place):
        assert list(admin.iterdir()) == []
        assert stat.S_IMODE(admin.stat().st_mode) == 0o755


def test_what_comes_to_a_sockets_place_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "net" / "kmodd.sock"
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    with taken(path) as place, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(place.stage()))
        path.symlink_to(secret)
        with pytest.raises(StateError, match=f"{path}.*there is a symbolic link of others"):
            place.reveal(access_of(SocketSettings(path=path, mode=0o666)))
        assert path.is_symlink()
    assert path.is_symlink()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_socket_that_somebody_else_listens_on_is_left_to_him(tmp_path: Path) -> None:
    path = tmp_path / "kmodd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with (
            taken(path) as place,
            pytest.raises(StateError, match=rf"a socket \(process {os.getpid()}\) of others"),
        ):
            place.stage()
    assert path.is_socket()


def test_a_change_of_access_goes_to_the_socket_and_not_to_what_has_taken_its_place(
    tmp_path: Path,
) -> None:
    path, secret = tmp_path / "kmodd.sock", tmp_path / "secret"
    secret.touch(mode=0o600)
    narrow, wide = (access_of(SocketSettings(path=path, mode=mode)) for mode in (0o600, 0o666))
    with taken(path) as place, bind(place):
        path.unlink()
        path.symlink_to(secret)
        place.change(narrow, wide)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert path.is_symlink()


def test_one_socket_has_one_lock_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with (
        taken(tmp_path / "real" / "s"),
        pytest.raises(StateError, match=f"another kmodd .pid {os.getpid()}"),
    ):
        SocketPlace(tmp_path / "link" / "s").take()


def test_the_file_of_a_lock_goes_with_its_owner_and_only_its_owner_can_open_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "kmodd.sock"
    with taken(path):
        assert stat.S_IMODE(lock_file(path).stat().st_mode) == 0o600
        assert stat.S_IMODE(lock_directory().stat().st_mode) == 0o700
    assert not lock_file(path).exists()


SHOW = """
import socket, sys
from pathlib import Path
from kmodd.host.sockets import SocketPlace, access_of
from kmodd.settings import SocketSettings
from tests.support.require import require

path = Path(sys.argv[1])
place = SocketPlace(path).take()
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    server.bind(str(place.stage()))
except Exception as error:
    sys.exit(str(error))
server.listen()
place.reveal(access_of(SocketSettings(path=path)))
print(*sorted(each.name for each in path.parent.iterdir()))
place.leave()
"""


@pytest.mark.parametrize(
    ("mode", "shown", "said"),
    [("0755", "kmodd.sock\n", ""), ("0777", "", "others may write there")],
)
def test_a_directory_that_is_a_mount_by_itself_will_do_where_only_we_may_write(
    tmp_path: Path, mode: str, shown: str, said: str
) -> None:
    bwrap = require("bwrap", "a mount of one's own needs the package bubblewrap")
    own = tmp_path / "own"
    own.mkdir()
    mounts = ["--dev-bind", "/", "/", "--perms", mode, "--tmpfs", str(own)]
    command = [bwrap, *mounts, sys.executable, "-c", SHOW, str(own / "kmodd.sock")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout == shown
    assert said in ran.stderr
