# SPDX-License-Identifier: Apache-2.0
"""What is left of a kernel that was removed, in memory and in the state directory."""

import gc
import shutil
import weakref
from pathlib import Path

import pytest

from kmodd.errors import TreeError
from kmodd.state import RecordStore
from kmodd.trees import Trees
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree

OLD = "6.9.9-old"


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    found = module_tree(tmp_path / "root")
    shutil.copytree(found.directory, found.directory.with_name(OLD))
    return found


@pytest.fixture
def trees(tree: ModuleTree, tmp_path: Path) -> Trees:
    store = RecordStore(tmp_path / "state")
    return Trees(tree.root, tree.release, publish=False, store=store)


def records(tmp_path: Path) -> int:
    return len(list((tmp_path / "state").iterdir()))


def test_a_kernel_that_is_removed_gives_back_its_memory_and_its_records(
    trees: Trees, tree: ModuleTree, tmp_path: Path
) -> None:
    trees.rebuild()
    trees.tree().keep_records()
    trees.rebuild(OLD)
    assert records(tmp_path) == 2
    gone = weakref.ref(trees.tree(OLD))
    trees.forget_missing()
    assert gone() is not None
    shutil.rmtree(tree.directory.with_name(OLD))
    trees.forget_missing()
    gc.collect()
    assert gone() is None
    assert [each.directory.name for each in trees.known()] == [tree.release]
    assert records(tmp_path) == 1
    with pytest.raises(TreeError):
        trees.tree(OLD)


def test_a_kernel_that_comes_again_is_served_again(trees: Trees, tree: ModuleTree) -> None:
    aside = tree.root / "aside"
    for release in (OLD, tree.release):
        assert trees.rebuild(release).database.modules
        tree.directory.with_name(release).rename(aside)
        trees.forget_missing()
        assert release not in trees.summaries()
        aside.rename(tree.directory.with_name(release))
        assert trees.rebuild(release).database.modules
    assert trees.in_force() is not None


@pytest.mark.parametrize(("patience", "left"), [(3600.0, [OLD]), (0.0, [])])
def test_what_is_no_kernels_any_more_is_forgotten_once_it_is_quiet(
    tree: ModuleTree, patience: float, left: list[str]
) -> None:
    trees = Trees(tree.root, tree.release, publish=False, patience=patience)
    trees.rebuild(OLD)
    directory = tree.directory.with_name(OLD)
    trees.tree(OLD).note_removal()
    shutil.rmtree(directory)
    directory.mkdir()
    trees.forget_missing()
    assert [each.directory.name for each in trees.known()] == left
