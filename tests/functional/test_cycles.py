# SPDX-License-Identifier: Apache-2.0
"""A dependency cycle, and what else no database can be made of, cost no more than they must."""

from pathlib import Path

import pytest

from kmodd.database import walk
from kmodd.database.database import OUTPUTS
from kmodd.errors import TreeError
from kmodd.trees import Trees
from tests.support.daemon import Daemon, running_daemon, wait_until
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

CYCLE = "in a dependency cycle: fb -> fbdev -> fb"


def add(tree: ModuleTree, name: str, other: str) -> Path:
    exports, imports = (Export(f"{name}_do"),), (Import(f"{other}_do"),)
    path = tree.directory / "extra" / f"{name}.ko"
    path.write_bytes(write_module(ModuleSpec(name=name, exports=exports, imports=imports)))
    return path


def add_cycle(tree: ModuleTree) -> list[Path]:
    """Add two modules that need each other, and one that needs them."""
    needs = {"fb": "fbdev", "fbdev": "fb", "screen": "fb"}
    return [add(tree, name, other) for name, other in needs.items()]


def said(daemon: Daemon, *words: str) -> tuple[int, str]:
    ran = daemon.kmodctl(*words)
    return ran.returncode, ran.stdout + ran.stderr


def check_cycle(daemon: Daemon) -> None:
    """The modules of the cycle are refused, each with the reason, and all others load."""
    assert said(daemon, "modprobe", "world") == (0, "")
    assert said(daemon, "modinfo", "-n", "greet")[0] == 0
    assert said(daemon, "modprobe", "fb") == (
        1,
        "modprobe: ERROR: could not insert 'fb': Too many levels of symbolic links\n",
    )
    assert daemon.kmodctl("modprobe", "screen").returncode == 1
    status = daemon.kmodctl("status").stdout
    left_out = [line for line in status.splitlines() if line.startswith("left out:")]
    assert [line.split(None, 2)[2] for line in left_out] == [
        f"fb ({CYCLE})",
        f"fbdev ({CYCLE})",
        "screen (of no use without fb)",
    ]
    assert "2 modules need each other in cycles: fb -> fbdev -> fb" in status


def test_a_daemon_that_starts_with_a_cycle_serves_all_other_modules(
    modules_root: ModuleTree,
) -> None:
    cycle = add_cycle(modules_root)
    with running_daemon(modules_root.root) as daemon:
        check_cycle(daemon)
        status, words = said(daemon, "depmod")
        assert status == 1
        assert "depmod: ERROR: Found 2 modules in dependency cycles!\n" in words
        assert not any((modules_root.directory / name).exists() for name in OUTPUTS)
        for path in cycle:
            path.unlink()
        wait_until(lambda: all((modules_root.directory / name).exists() for name in OUTPUTS))
        assert "left out" not in daemon.kmodctl("status").stdout


def test_a_cycle_that_comes_leaves_the_files_on_disk_as_they_are(
    modules_root: ModuleTree,
) -> None:
    with running_daemon(modules_root.root) as daemon:
        before = {name: (modules_root.directory / name).read_bytes() for name in OUTPUTS}
        add_cycle(modules_root)
        wait_until(lambda: "left out" in daemon.kmodctl("status").stdout)
        check_cycle(daemon)
        assert before == {name: (modules_root.directory / name).read_bytes() for name in OUTPUTS}


def test_where_no_database_can_be_built_the_files_on_disk_are_served(
    modules_root: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Trees(modules_root.root, modules_root.release)
    assert first.current().publication is not None
    monkeypatch.setattr(walk, "MAX_DIRECTORIES", 1)
    trees = Trees(modules_root.root, modules_root.release)
    generation = trees.current()
    assert [each.name for each in generation.database.dependencies("world")] == ["greet"]
    assert "more than 1 directories" in generation.problem
    assert trees.confirm(generation) is generation
    monkeypatch.undo()
    assert trees.rebuild().problem == ""
    monkeypatch.setattr(walk, "MAX_DIRECTORIES", 1)
    (modules_root.directory / "modules.dep.bin").unlink()
    with pytest.raises(TreeError, match="more than 1 directories"):
        Trees(modules_root.root, modules_root.release).current()
