# SPDX-License-Identifier: Apache-2.0
"""What commands say of modules that an upgrade has made old."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.elf_writer import ModuleSpec, build_note, write_module
from tests.support.small_tree import empty_tree
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


def put(tree: ModuleTree, name: str, build: str) -> None:
    """Put a build of a module in the place of another, as dpkg does."""
    spec = ModuleSpec(name=name, versions=(), sections=(build_note(build),))
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
