# SPDX-License-Identifier: Apache-2.0
"""A container that may write the directory of its socket while the daemon starts."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodctl import Client
from tests.support.daemon import running_daemon, wait_until
from tests.support.require import require
from tests.support.tree import ModuleTree

ROUNDS = int(os.environ.get("KMODD_ROUNDS", "20"))
"""How many daemons start beside each attacker; more are for an hour in which there is time."""

SETTINGS = """
[[socket]]
path = "%/admin/s"

[[socket]]
path = "%/net/s"
role = "loader"
mode = 0o666
allow = ["hello"]

[[socket]]
path = "%/look/s"
role = "observer"

[[socket]]
path = "@/run/kmodd.sock"
"""
"""``%`` stands for a directory that stays; the last socket is there once all were tried."""

ATTACK = """
import os, shutil, sys
from contextlib import suppress

victims = sys.argv[1:]
os.makedirs("evil", exist_ok=True)
for number in range(256):
    with suppress(FileExistsError):
        os.symlink(victims[number % len(victims)], f"evil/{number:02x}")
turn = 0
while True:
    turn += 1
    for name in {".b", "s", "s.lock", *os.listdir(".")} - {"evil", "away", "link"}:
        with suppress(OSError):
            os.rename(name, "away")
        with suppress(OSError):
            os.rename("evil", name) if turn % 2 else os.symlink(victims[turn % 3], name)
        with suppress(OSError):
            os.rename(name, "evil" if turn % 2 else "link")
        with suppress(OSError):
            os.rename("away", name)
"""
"""Puts links, and directories full of them, in the place of all that appears in the directory."""

OWN_USERS = ["--unshare-user", "--uid", "0", "--gid", "0"]


@contextmanager
def attacker(place: Path, victims: list[Path], words: list[str]) -> Iterator[None]:
    """Have ``ATTACK`` run as uid 0 in a container that has ``place`` to write, and no more."""
    bwrap = require("bwrap", "a container needs the package bubblewrap")
    command = [bwrap, "--die-with-parent", *words, "--ro-bind", "/", "/", "--dev", "/dev"]
    command += ["--bind", str(place), str(place), "--chdir", str(place)]
    running = subprocess.Popen([*command, sys.executable, "-Ic", ATTACK, *map(str, victims)])
    try:
        wait_until(lambda: (place / "evil" / "ff").is_symlink() or running.poll() is not None)
        assert running.poll() is None
        yield
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("admin", "net", "look"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


def state(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, owner and group of what is in a directory, and of the directory itself."""
    found = {each.name: each.lstat() for each in directory.iterdir()}
    found["."] = directory.stat()
    return {name: (at.st_mode, at.st_uid, at.st_gid) for name, at in found.items()}


@pytest.mark.parametrize("words", [OWN_USERS, ["--cap-add", "ALL"]], ids=["apart", "root"])
def test_who_may_write_a_sockets_directory_gains_nothing_and_stops_no_other_socket(
    modules_root: ModuleTree, places: Path, words: list[str]
) -> None:
    if words != OWN_USERS:
        require(os.geteuid() == 0, "only root can be root in a container without a namespace")
    own = os.geteuid(), os.getegid()
    victims = [places / "admin" / "s", places / "secret", places / "admin"]
    settings = SETTINGS.replace("%", str(places))
    with attacker(places / "net", victims, words):
        for _ in range(ROUNDS):
            with running_daemon(modules_root.root, "--no-publish", settings=settings) as daemon:
                for name in ("admin", "look"):
                    with Client(str(places / name / "s")) as client:
                        client.list_modules()
                    assert state(places / name) == {
                        "s": (stat.S_IFSOCK | 0o600, *own),
                        ".": (stat.S_IFDIR | 0o755, *own),
                    }
                assert daemon.stop() == 0
            assert state(places)["secret"] == (stat.S_IFREG | 0o600, *own)
            assert list((places / "admin").iterdir()) == []
    assert (places / "secret").read_text() == "kept"


@pytest.mark.parametrize("kind", ["link", "directory", "file"])
def test_what_a_stranger_put_in_a_sockets_place_is_named_and_stays_and_costs_that_socket(
    modules_root: ModuleTree, places: Path, kind: str
) -> None:
    place = places / "net" / "s"
    if kind == "link":
        place.symlink_to(places / "secret")
    elif kind == "directory":
        place.mkdir()
    else:
        place.write_text("mine")
    before = place.lstat()
    with running_daemon(modules_root.root, settings=SETTINGS.replace("%", str(places))) as daemon:
        said = daemon.log.read_text()
        for name in ("admin", "look"):
            with Client(str(places / name / "s")) as client:
                client.list_modules()
    (line,) = (line for line in said.splitlines() if "left out" in line)
    assert f"{place}: cannot listen there: there is a " in line
    assert kind in line
    assert place.lstat() == before or place.lstat().st_ino == before.st_ino
    assert state(places)["secret"][0] == stat.S_IFREG | 0o600
