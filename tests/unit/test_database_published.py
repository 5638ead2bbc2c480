# SPDX-License-Identifier: Apache-2.0
"""A database that is read from its files answers as the one that they were made of."""

import os
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.publish import publish
from kmodd.database.published import read_published
from kmodd.database.rebuild import rebuild
from kmodd.database.trie_writer import record, write_index
from kmodd.errors import Reason, TreeError
from tests.support.small_tree import add_graph, add_module, empty_tree
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = empty_tree(tmp_path)
    add_graph(tree, [("top", "left"), ("top", "right"), ("left", "base"), ("right", "base")])
    add_module(tree, "kernel/soft.ko.xz", softdeps=["pre: base post: top", "post: left"])
    add_module(tree, "extra/my-dash.ko", aliases=["pci:v*", "x"], weakdeps=["base"])
    (tree.directory / "modules.order").write_text("kernel/right.ko\nextra/my-dash.ko\n")
    (tree.directory / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (tree.directory / "modules.builtin.modinfo").write_bytes(b"ext4.alias=fs-ext4\0")
    return tree


def published(tree: ModuleTree) -> tuple[Database, Database]:
    """Build and publish a database; return it and what is read of it."""
    database = rebuild(str(tree.directory), tree.release, config=DepmodConfig())
    publish(database.files, str(tree.directory))
    return database, read_published(str(tree.directory), tree.release)


def test_what_is_read_is_what_was_published(tree: ModuleTree) -> None:
    database, read = published(tree)
    assert read.files == database.files
    assert list(read.modules) == list(database.modules)
    assert read.builtins == database.builtins == {"ext4"}
    assert (read.softdeps, read.weakdeps) == (database.softdeps, database.weakdeps)
    for name, module in database.modules.items():
        assert (read.modules[name].path, read.modules[name].stamp) == (module.path, module.stamp)
        assert read.modules[name].softdeps == module.softdeps
        assert read.needs.users_first(name) == database.needs.users_first(name)
    for query in ("pci:v0001", "x", "nothing"):
        assert read.search_aliases(query) == database.search_aliases(query)
    assert read.search_builtin_aliases("fs_ext4") == ("ext4",)
    assert read.search_symbols("symbol:base_do") == database.search_symbols("symbol:base_do")
    assert read.inventory.builtin_modinfo == b"ext4.alias=fs-ext4\0"


def test_a_module_whose_file_has_gone_is_still_listed(tree: ModuleTree) -> None:
    published(tree)
    (tree.directory / "extra/my-dash.ko").unlink()
    read = read_published(str(tree.directory), tree.release)
    assert read.modules["my_dash"].path == "extra/my-dash.ko"


def test_lines_that_agree_on_no_order_are_read_all_the_same(tree: ModuleTree) -> None:
    published(tree)
    lines = {"a": "a.ko: b.ko c.ko", "d": "d.ko: c.ko b.ko", "b": "b.ko:", "c": "c.ko: gone.ko"}
    entries = [
        (name.encode(), record(at, line.encode())) for at, (name, line) in enumerate(lines.items())
    ]
    (tree.directory / "modules.dep.bin").write_bytes(write_index(entries))
    read = read_published(str(tree.directory), tree.release)
    assert list(read.modules) == ["a", "d", "b", "c"]
    for name in ("a", "d"):
        assert {each.name for each in read.dependencies(name)} == {"b", "c"}


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "fifo"])
def test_without_the_index_of_modules_there_is_no_database(tree: ModuleTree, damage: str) -> None:
    published(tree)
    index = tree.directory / "modules.dep.bin"
    data = index.read_bytes()
    index.unlink()
    if damage == "fifo":
        os.mkfifo(index)
    elif damage != "missing":
        index.write_bytes(b"" if damage == "empty" else data[:-9])
    with pytest.raises(TreeError) as caught:
        read_published(str(tree.directory), tree.release)
    assert caught.value.reason is Reason.TREE_UNREADABLE
