# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment of a rebuild: every file is whole, and the next kmodd heals the rest."""

import os
import random
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from kmodctl import CallError, NoDaemonError
from kmodd.config.depmod import DepmodConfig
from kmodd.database.publish import is_temporary
from kmodd.database.rebuild import rebuild
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

KILLS = int(os.environ.get("KMODD_KILLS", "20"))
"""Daemons that are killed; each takes most of a second to start."""

LONGEST = 0.1
"""Seconds of rebuilding after which a daemon is killed at the latest: some ten rebuilds."""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = ModuleTree(root=tmp_path / "root", release="6.1")
    (tree.directory / "kernel").mkdir(parents=True)
    for number in range(20):
        spec = ModuleSpec(
            name=f"m{number}",
            modinfo=(("alias", f"pci:v{number:08}*"), ("softdep", "pre: m0")),
            exports=(Export(f"m{number}_do"),),
            imports=(Import("turned_do"),),
        )
        (tree.directory / "kernel" / f"m{number}.ko").write_bytes(write_module(spec))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (tree.directory / name).touch()
    return tree


@pytest.fixture
def states(tmp_path: Path) -> list[Path]:
    """Two files to take turns as one module, so that nearly every database changes with it."""
    found = []
    for state in ("one", "other"):
        spec = ModuleSpec(
            name="turned",
            modinfo=(("alias", f"{state}:*"), ("softdep", f"pre: {state}")),
            exports=(Export("turned_do" if state == "one" else "turned_elsewhere"),),
        )
        found.append(tmp_path / f"{state}.ko")
        found[-1].write_bytes(write_module(spec))
    return found


def databases(tree: ModuleTree) -> dict[str, bytes]:
    """What a rebuild from nothing makes of the tree as it is."""
    return dict(rebuild(str(tree.directory), tree.release, config=DepmodConfig()).files)


def test_whenever_kmodd_is_killed_files_are_whole_and_the_next_one_heals(
    tree: ModuleTree, states: list[Path], tmp_path: Path
) -> None:
    possible = []
    for state in states:
        turn(tree, state)
        possible.append(databases(tree))
    randomness = random.Random(1)
    torn = 0
    for number in range(KILLS):
        with running_daemon(tree.root, "--state", str(tmp_path / "state")) as daemon:
            wait_until(lambda: found(tree) == databases(tree) and not leftovers(tree))
            after = randomness.uniform(0, LONGEST)
            kill_while_rebuilding(daemon, tree, states, after, in_writing=bool(number % 2))
        for name, content in found(tree).items():
            assert content in [files[name] for files in possible], name
        torn += found(tree) not in possible or bool(leftovers(tree))
    # Some were hit in the middle of it, or this would be no test.
    assert torn > KILLS // 20


def kill_while_rebuilding(
    daemon: Daemon, tree: ModuleTree, states: Sequence[Path], after: float, *, in_writing: bool
) -> None:
    """Turn a module to and fro, rebuilding every time, and kill the daemon in the midst of it.

    That is ``after`` so many seconds, and ``in_writing`` not before a file is being written.
    """
    begun, killed = threading.Event(), threading.Event()

    def rebuilding() -> None:
        with daemon.client() as client, suppress(CallError, NoDaemonError):
            while not killed.is_set():
                for state in states:
                    turn(tree, state)
                    client.rebuild_database(tree.release)
                    begun.set()

    thread = threading.Thread(target=rebuilding)
    thread.start()
    try:
        assert begun.wait(30)
        time.sleep(after)
        if in_writing:
            wait_until(lambda: bool(leftovers(tree)), pause=0)
    finally:
        daemon.process.kill()
        daemon.process.wait()
        killed.set()
        thread.join()


def turn(tree: ModuleTree, state: Path) -> None:
    """Have the module that is turned to and fro in one of its states."""
    fresh = tree.directory / "kernel" / "next"
    shutil.copyfile(state, fresh)
    fresh.replace(tree.directory / "kernel" / "turned.ko")


def found(tree: ModuleTree) -> dict[str, bytes]:
    """Return the databases that are there."""
    names = databases(tree)
    places = ((name, tree.directory / name) for name in names)
    return {name: place.read_bytes() for name, place in places if place.exists()}


def leftovers(tree: ModuleTree) -> list[str]:
    return [path.name for path in tree.directory.iterdir() if is_temporary(path.name)]
