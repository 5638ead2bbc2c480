# SPDX-License-Identifier: Apache-2.0
"""What commands say of modules that an upgrade has made old."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kmodctl import CallError
from kmodd.v1 import module_service_pb2 as pb
from tests.support.daemon import Daemon, kmodctl, running_daemon
from tests.support.elf_writer import Export, Import, ModuleSpec, build_note, write_module
from tests.support.param_writer import Param
from tests.support.small_tree import empty_tree
from tests.support.terminal import run_at_terminal
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    return empty_tree(tmp_path)


@pytest.fixture
def upgraded(tree: ModuleTree) -> Iterator[Daemon]:
    """A daemon with four modules loaded, of which three files have been replaced since."""
    for name in ("changed", "gone", "broken", "same"):
        put(tree, name, "01")
    with running_daemon(tree.root) as daemon:
        assert daemon.kmodctl("modprobe", "-a", "changed", "gone", "broken", "same").returncode == 0
        put(tree, "changed", "02")
        (tree.directory / "gone.ko").unlink()
        (tree.directory / "broken.ko").write_bytes(b"nothing")
        yield daemon


def put(tree: ModuleTree, name: str, build: str, **changes: Any) -> None:
    """Put a build of a module in the place of another, as dpkg does."""
    spec = ModuleSpec(name=name, versions=(), sections=(build_note(build),), **changes)
    fresh = tree.directory / f"{name}.dpkg-new"
    fresh.write_bytes(write_module(spec))
    fresh.rename(tree.directory / f"{name}.ko")


def test_what_is_outdated_is_listed_and_what_cannot_be_told_is_said(
    upgraded: Daemon, tree: ModuleTree
) -> None:
    answer = upgraded.kmodctl("outdated")
    path = f"{tree.directory}/changed.ko"
    assert answer.stdout == f"changed 01 -> 02 {path}\ngone has no file in the tree\n"
    said = f"kmodctl outdated: WARNING: broken: {tree.directory}/broken.ko: "
    assert answer.stderr.startswith(said)
    assert answer.returncode == 0
    told = json.loads(upgraded.kmodctl("--json", "outdated").stdout)
    assert {each["module"]: each["staleness"] for each in told} == {
        "broken": "STALENESS_UNREADABLE",
        "changed": "STALENESS_CHANGED",
        "gone": "STALENESS_GONE",
    }
    assert told[1]["path"] == path


SETTINGS = """\
audit_file = "@/audit"

[[socket]]
path = "@/run/kmodd.sock"

[[socket]]
path = "@/loader/kmodd.sock"
role = "loader"
allow = ["used", "user"]
"""

SECRET = Param("secret", "charp", 0o600)


def put_pair(tree: ModuleTree, build: str, crc: int | None = None) -> None:
    """Put a build of a module and of its user; with ``crc`` the kernel refuses the user."""
    put(tree, "used", build, exports=(Export("used_do"),), parameters=(SECRET,))
    put(tree, "user", build, imports=(Import("used_do", crc=crc),))


def test_a_terminal_is_shown_how_far_a_reload_is(upgraded: Daemon) -> None:
    place = {"KMODD_SOCKET": str(upgraded.socket)}
    screen, status = run_at_terminal(("reload", "--outdated"), place, lines=1000)
    bars, end, rest = screen.rpartition("\r\x1b[K")
    assert (status, bool(end)) == (0, True)
    assert "] 0/2 steps" in bars
    assert "steps" not in rest
    assert upgraded.kmodctl("outdated").stdout == "gone has no file in the tree\n"


def test_what_is_outdated_is_reloaded_and_each_step_is_shown(tree: ModuleTree) -> None:
    put_pair(tree, "01")
    with running_daemon(tree.root, settings=SETTINGS) as daemon:
        assert daemon.kmodctl("modprobe", "used", "secret=a b").returncode == 0
        assert daemon.kmodctl("modprobe", "user").returncode == 0
        put_pair(tree, "02")
        planned = daemon.kmodctl("reload", "-n", "--outdated")
        assert planned.stdout.splitlines() == [
            "rmmod user",
            "rmmod used",
            f'insmod {tree.directory}/used.ko secret="a b"',
            f"insmod {tree.directory}/user.ko",
        ]
        assert (planned.stderr, planned.returncode) == ("", 0)
        assert len(daemon.kmodctl("outdated").stdout.splitlines()) == 2
        done = daemon.kmodctl("reload", "--outdated")
        assert (done.stdout, done.stderr, done.returncode) == (planned.stdout, "", 0)
        assert daemon.kmodctl("outdated").stdout == ""
        assert daemon.kmodctl("param", "used", "secret").stdout == "a b\n"
        events = daemon.kmodctl("events").stdout
        assert ": reload --outdated, for admin " in events
        assert "loaded used user, unloaded user used" in events
        trail = [
            json.loads(line) for line in (daemon.log.parent / "audit").read_text().splitlines()
        ]
        assert [line["action"] for line in trail] == ["load", "load", "reload"]
        put_pair(tree, "03", 0x999)
        refused = daemon.kmodctl("reload", "--outdated")
        assert refused.returncode == 1
        assert refused.stdout.splitlines() == planned.stdout.splitlines()[:3]
        assert refused.stderr.splitlines() == [
            "kmodctl reload: ERROR: user is not loaded any more: user: Unknown symbol used_do",
            "kmodctl reload: user: the build that it was has no file in the tree any more",
            "kmodctl reload: kernel: user: disagrees about version of symbol used_do",
            "kmodctl reload: kernel: user: Unknown symbol used_do (err -22)",
        ]
        listed = daemon.kmodctl("lsmod").stdout.splitlines()[1:]
        assert [line.split()[0] for line in listed] == ["used"]
        nothing = daemon.kmodctl("reload")
        assert nothing.stderr == "kmodctl reload: ERROR: name a module, or give --outdated\n"
        as_loader = {"KMODD_SOCKET": str(daemon.log.parent / "loader/kmodd.sock")}
        forced = kmodctl("reload", "--force-holders", "used", environment=as_loader)
        assert "the field force_holders of a request takes the role admin" in forced.stderr


def test_a_loader_is_not_told_what_an_admin_gave(tree: ModuleTree) -> None:
    put_pair(tree, "01")
    with running_daemon(tree.root, settings=SETTINGS) as daemon:
        with daemon.client() as client:
            client.load("used", parameters="secret=hush")
        as_loader = {"KMODD_SOCKET": str(daemon.log.parent / "loader/kmodd.sock")}
        asked = kmodctl("--json", "reload", "-n", "used", environment=as_loader)
        assert "an admin has asked for used, which stays" in asked.stdout
        with daemon.client() as client:
            client.unload("used")
        told = kmodctl("modprobe", "used", environment=as_loader)
        assert told.returncode == 0
        with daemon.client() as client:
            client.set_parameter("used", "secret", "hush")
            with pytest.raises(CallError, match="a request names 1 to"):
                client.reload()
            (module,) = client.reload("used", dry_run=True).modules
            assert (module.fate, module.parameters[0].value) == (pb.RELOAD_FATE_PLANNED, "hush")
        done = kmodctl("--json", "reload", "used", environment=as_loader)
        assert "hush" not in done.stdout
        (shown,) = json.loads(done.stdout)["modules"]
        assert (shown["fate"], shown["parameters"]) == (
            "RELOAD_FATE_RELOADED",
            [{"name": "secret"}],
        )
        assert daemon.kmodctl("param", "used", "secret").stdout == "hush\n"
