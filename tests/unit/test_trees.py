# SPDX-License-Identifier: Apache-2.0
"""A tree's databases belong to the directory that they were made of."""

import os
from pathlib import Path
from typing import Any

import pytest

from kmodd.database import files, name_index
from kmodd.database.database import OUTPUTS
from kmodd.database.freshness import has_lost_none
from kmodd.database.inventory import Inventory
from kmodd.database.publish import place_of, publish
from kmodd.errors import Reason, TreeError
from kmodd.trees import Trees, publisher
from kmodd.trees.requested_rebuild import RequestedRebuild
from kmodd.trees.tree import Tree
from tests.support.small_tree import add_graph, add_module, empty_tree
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A root with a tree of one module."""
    tree = empty_tree(tmp_path / "root")
    add_module(tree, "kernel/lower.ko", aliases=["of-the-base"])
    return tree


def other_directory(tree: ModuleTree) -> Path:
    """Make a tree with another version of the module, beside the trees of ``tree``'s root."""
    other = empty_tree(tree.root / "other")
    add_module(other, "kernel/lower.ko", aliases=["of-the-overlay"])
    return other.directory


def swap(one: Path, other: Path) -> None:
    """Put each directory in the other's place, as mounts do with what is seen at a path."""
    aside = one.with_name("aside.renamed")
    os.rename(one, aside)
    os.rename(other, one)
    os.rename(aside, other)


def databases(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in OUTPUTS}


def read_tree(tree: ModuleTree) -> Tree:
    trees = Trees(tree.root, tree.release, patience=0.0)
    trees.rebuild()
    return trees.tree()


def test_databases_are_not_put_where_another_directory_came_back(tree: ModuleTree) -> None:
    read, over = read_tree(tree), other_directory(tree)
    base = databases(tree.directory)
    swap(tree.directory, over)
    read.rebuild()
    assert b"of-the-overlay" in databases(tree.directory)["modules.alias"]
    swap(tree.directory, over)
    read.mend()
    assert databases(tree.directory) == base
    read.rebuild()
    assert databases(tree.directory) == base


def test_another_directory_at_the_path_is_noticed_until_it_is_read(tree: ModuleTree) -> None:
    read, over = read_tree(tree), other_directory(tree)
    assert not read.is_replaced()
    swap(tree.directory, over)
    assert read.is_replaced()
    read.refresh()
    assert not read.is_replaced()


def test_nothing_is_published_into_another_directory_than_that_which_was_scanned(
    tree: ModuleTree,
) -> None:
    scanned, over = place_of(str(tree.directory)), other_directory(tree)
    swap(tree.directory, over)
    with pytest.raises(TreeError) as refused:
        publish({"modules.dep": b"kernel/lower.ko:\n"}, str(tree.directory), place=scanned)
    assert refused.value.reason is Reason.TREE_NOT_FOUND
    assert not (tree.directory / "modules.dep").exists()


def test_modules_that_go_while_databases_are_put_in_place_leave_them_until_the_last_is_gone(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_tree(tree)
    newcomer = add_module(tree, "kernel/newcomer.ko")
    looks = []

    def losing_at_the_end(inventory: Inventory) -> bool:
        looks.append(has_lost_none(inventory))
        if len(looks) == 2:
            newcomer.unlink()
        return has_lost_none(inventory)

    with monkeypatch.context() as patch:
        patch.setattr(publisher, "has_lost_none", losing_at_the_end)
        assert not read.rebuild().is_published
    assert looks == [True, True]
    assert b"newcomer" in databases(tree.directory)["modules.dep"]
    (tree.directory / "kernel" / "lower.ko").unlink()
    (tree.directory / "kernel").rmdir()
    read.rebuild()
    assert not [each for each in OUTPUTS if (tree.directory / each).exists()]


def test_where_modules_dep_has_no_room_for_all_the_modules_are_served_from_memory(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_graph(tree, [("top", "middle"), ("middle", "bottom"), ("top", "bottom")])
    trees = Trees(tree.root, tree.release, patience=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(files, "OFFSET_MASK", 40)
        generation = trees.current()
        assert [each.name for each in generation.database.dependencies("top")] == [
            "bottom",
            "middle",
        ]
        assert generation.database.search_aliases("of_the_base") == ("lower",)
        assert not generation.is_published
        assert "modules.dep would have" in generation.problem
        missing = {name for name in OUTPUTS if not (tree.directory / name).exists()}
        assert missing == {"modules.dep", "modules.dep.bin"}
        assert "alias of-the-base lower" in (tree.directory / "modules.alias").read_text()
        trees.tree().mend()
        trees.rebuild()
        assert caplog.text.count("modules.dep would have") == 1
    add_module(tree, "kernel/another.ko")
    assert trees.rebuild().problem == ""
    assert b"kernel/top.ko: kernel/middle.ko" in databases(tree.directory)["modules.dep"]


def test_large_files_are_kept_until_they_are_written_and_made_again_where_they_are_wanted(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_graph(tree, [("top", "middle"), ("middle", "bottom")])
    right = dict(read_tree(tree).current().database.files)
    path, made = tree.directory / "modules.dep", []
    make = files._dependency_files

    def counted(*args: Any, **options: Any) -> files.NamePart:
        made.append(args)
        return make(*args, **options)

    monkeypatch.setattr(name_index, "LARGE", 10)
    monkeypatch.setattr(files, "_dependency_files", counted)
    trees = Trees(tree.root, tree.release, patience=0.0)
    read = trees.tree()
    generation = trees.rebuild()
    trees.rebuild()
    read.mend()
    add_module(tree, "kernel/lower.ko", aliases=["another"])  # which needs what it did
    trees.rebuild()
    assert len(made) == 1
    path.write_text("something else\n")
    read.mend()
    assert path.read_bytes() == right["modules.dep"]
    assert len(made) == 2
    assert "modules.dep" in generation.database.files
    assert "modules.order" not in generation.database.files
    assert list(generation.database.files) == list(right)
    assert dict(generation.database.files) == right
    assert len(made) == 4  # once for each of the two
    add_module(tree, "kernel/newcomer.ko")
    read.rebuild(in_memory=True)
    assert b"newcomer" not in path.read_bytes()
    read.mend()
    assert b"newcomer" in path.read_bytes()
    assert len(made) == 5


def test_another_releases_modules_load_where_its_modules_dep_has_no_room(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_graph(tree, [("top", "middle"), ("middle", "bottom"), ("top", "bottom")])
    trees = Trees(tree.root, "another release", patience=0.0)
    assert trees.rebuild(tree.release).is_published
    add_module(tree, "kernel/newcomer.ko")
    monkeypatch.setattr(files, "OFFSET_MASK", 40)
    trees.rebuild(tree.release)
    # The modules.dep that was there stays, and is not taken for what is in force.
    assert "newcomer" in trees.current(tree.release).database.modules
    assert b"newcomer" not in databases(tree.directory)["modules.dep"]
    assert not trees.summaries()[tree.release].published


def test_a_rebuild_that_is_asked_for_tells_that_modules_dep_has_no_room(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_graph(tree, [("top", "bottom")])
    monkeypatch.setattr(files, "OFFSET_MASK", 10)
    trees = Trees(tree.root, tree.release, patience=0.0)
    with pytest.raises(TreeError, match=r"modules\.dep would have"):
        RequestedRebuild(trees, tree.release).result()
