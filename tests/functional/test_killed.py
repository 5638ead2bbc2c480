# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment of a rebuild: every file is whole, and the next rebuild heals the rest."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database.publish import is_temporary, publish
from kmodd.database.rebuild import rebuild
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

KILLS = int(os.environ.get("KMODD_KILLS", "200"))

LONGEST = 0.03
"""Seconds that a rebuilder may live: a few rebuilds of the small tree."""

REBUILDERS = """
import os, shutil, sys
from kmodd.config.depmod import DepmodConfig
from kmodd.database.publish import publish
from kmodd.database.rebuild import rebuild

directory, *states = sys.argv[1:]

def turned(state):
    shutil.copyfile(state, directory + "/kernel/next")
    os.replace(directory + "/kernel/next", directory + "/kernel/turned.ko")
    return rebuild(directory, "6.1", config=DepmodConfig()).files

made = list(map(turned, states))
for _ in sys.stdin:
    process = os.fork()
    while not process:
        for state in states:
            publish(turned(state), directory)
            for files in made * 5:
                publish(files, directory)
    print(process, flush=True)
    os.waitpid(process, 0)
    print("gone", flush=True)
"""
"""Forks a process for each line of its input, which turns a module to and fro, rebuilds,
and publishes this way and that."""


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


@pytest.fixture
def rebuilders(tree: ModuleTree, states: list[Path]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", REBUILDERS, str(tree.directory), *map(str, states)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


def databases(tree: ModuleTree) -> dict[str, bytes]:
    """What a rebuild from nothing makes of the tree as it is."""
    return dict(rebuild(str(tree.directory), tree.release, config=DepmodConfig()).files)


def test_whenever_a_rebuild_is_killed_files_are_whole_and_the_next_one_heals(
    tree: ModuleTree, states: list[Path], rebuilders: "subprocess.Popen[str]"
) -> None:
    possible = []
    for state in states:
        shutil.copyfile(state, tree.directory / "kernel" / "turned.ko")
        possible.append(databases(tree))
    publish(possible[0], str(tree.directory))
    randomness = random.Random(1)
    torn = 0
    for _ in range(KILLS):
        kill_one(rebuilders, randomness.uniform(0, LONGEST))
        found = {name: (tree.directory / name).read_bytes() for name in possible[0]}
        for name, content in found.items():
            assert content in [files[name] for files in possible], name
        torn += found not in possible or bool(leftovers(tree))
        whole = databases(tree)
        publish(whole, str(tree.directory))
        assert whole in possible
        assert {name: (tree.directory / name).read_bytes() for name in whole} == whole
        assert leftovers(tree) == []
    # Many of them were hit in the middle of it, or this would be no test.
    assert torn > KILLS / 10


def kill_one(rebuilders: "subprocess.Popen[str]", after: float) -> None:
    """Have a rebuilder started, and kill it ``after`` that many seconds."""
    assert rebuilders.stdin is not None
    assert rebuilders.stdout is not None
    rebuilders.stdin.write("go\n")
    rebuilders.stdin.flush()
    process = int(rebuilders.stdout.readline())
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    assert rebuilders.stdout.readline() == "gone\n"


def leftovers(tree: ModuleTree) -> list[str]:
    return [path.name for path in tree.directory.iterdir() if is_temporary(path.name)]
