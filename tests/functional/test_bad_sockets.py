# SPDX-License-Identifier: Apache-2.0
"""A socket that cannot be had costs itself, and nobody else."""

import subprocess
import sys
from pathlib import Path

import pytest

from kmodctl import Client
from tests.support.daemon import START, running_daemon
from tests.support.tree import ModuleTree

ADMIN = '[[socket]]\npath = "@/admin/s"\n'
BAD = (
    '[[socket]]\npath = "@/bad/s"\nrole = "observer"\ngroup = "no-such-group"\n',
    '[[socket]]\npath = "@/bad/s"\nrole = "observer"\nowner = "no-such-user"\n',
    '[[socket]]\npath = "@/kmodd.toml/s"\nrole = "observer"\n',
    '[[socket]]\npath = "/proc/none/s"\nrole = "observer"\n',
)


def kmodd(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kmodd", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=START,
    )


@pytest.mark.parametrize("bad", BAD)
def test_a_daemon_starts_without_a_socket_that_cannot_be_had_and_says_so(
    modules_root: ModuleTree, bad: str
) -> None:
    with running_daemon(modules_root.root, settings=bad + ADMIN, place="admin/s") as daemon:
        with daemon.client() as client:
            client.load("hello")
        assert daemon.log.read_text().count("; the socket is left out\n") == 1


def test_a_daemon_that_has_no_socket_for_admins_serves_the_others(
    modules_root: ModuleTree,
) -> None:
    settings = BAD[0].replace("observer", "admin") + ADMIN + 'role = "observer"\n'
    with (
        running_daemon(modules_root.root, settings=settings, place="admin/s") as daemon,
        Client(str(daemon.socket)) as client,
    ):
        assert client.status().role == 1


def test_a_daemon_without_any_socket_does_not_start_and_says_why(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    config = tmp_path / "kmodd.toml"
    config.write_text(BAD[0].replace("@", str(tmp_path)).replace("observer", "admin"))
    place = ("--config", str(config), "--state", str(tmp_path / "state"))
    tried = kmodd("serve", "--root", str(modules_root.root), *place)
    assert tried.returncode == 1
    assert tried.stderr.endswith("the group 'no-such-group' is not known here\n")


def test_a_second_daemon_is_refused_for_one_socket_of_another(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    with running_daemon(modules_root.root) as daemon:
        own = f'[[socket]]\npath = "{tmp_path}/own/s"\n'
        config = tmp_path / "kmodd.toml"
        config.write_text(f'{own}[[socket]]\npath = "{daemon.socket}"\n')
        place = ("--config", str(config), "--state", str(tmp_path / "state"))
        tried = kmodd("serve", "--root", str(modules_root.root), *place)
        assert tried.returncode == 1
        assert f"another kmodd (pid {daemon.process.pid}) listens there" in tried.stderr


@pytest.mark.parametrize("bad", BAD[:3])
def test_check_config_names_the_line_of_a_socket_that_cannot_be_had(
    tmp_path: Path, bad: str
) -> None:
    config = tmp_path / "kmodd.toml"
    config.write_text((ADMIN + bad).replace("@", str(tmp_path)))
    checked = kmodd("check-config", "--config", str(config))
    assert checked.returncode == 1
    assert checked.stderr.startswith(f"kmodd: {config}:3: ")
    assert not checked.stdout


def test_check_config_finds_nothing_wrong_with_sockets_that_can_be_had(tmp_path: Path) -> None:
    config = tmp_path / "kmodd.toml"
    config.write_text((ADMIN + 'group = "root"\nowner = 0\n').replace("@", str(tmp_path)))
    checked = kmodd("check-config", "--config", str(config))
    assert (checked.returncode, checked.stderr) == (0, "")
