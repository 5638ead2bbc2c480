# SPDX-License-Identifier: Apache-2.0
"""Records survive a restart, and a damaged cache is no cache."""

from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import ModuleRecord, cache
from kmodd.database import record as record_module
from kmodd.database.inventory import FileStamp, Inventory
from kmodd.database.rebuild import rebuild
from kmodd.database.scan import scan
from tests.support.small_tree import add_module, empty_tree, make_old
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A tree whose modules have all that a record can hold."""
    tree = empty_tree(tmp_path)
    add_module(tree, "kernel/a.ko", exports=["a_do"], aliases=["pci:*", "caf\u00e9"])
    add_module(tree, "kernel/b.ko.xz", imports=["a_do", "_printk"], softdeps=["pre: a"])
    add_module(tree, "kernel/c.ko", weakdeps=["a"], aliases=["\udce9"])
    (tree.directory / "kernel/bad.ko").write_bytes(b"no module")
    make_old(tree)
    return tree


def inventory_of(tree: ModuleTree, previous: Inventory | None = None) -> Inventory:
    return scan(str(tree.directory), tree.release, DepmodConfig(), previous)


def load_again(inventory: Inventory) -> cache.Remembered:
    return cache.load(cache.dump(inventory, {}))


def test_what_is_dumped_is_loaded_again(tree: ModuleTree) -> None:
    inventory = inventory_of(tree)
    published = {"modules.dep": FileStamp(1, 2, 3, 4, 5)}
    remembered = cache.load(cache.dump(inventory, published))
    assert remembered.published == published
    loaded = remembered.inventory
    assert (loaded.release, loaded.directory) == (inventory.release, inventory.directory)
    readable = {name: each for name, each in inventory.records.items() if not each.error}
    assert dict(loaded.records) == readable


def test_a_scan_with_loaded_records_reads_only_what_changed_since(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_again(inventory_of(tree)).inventory
    add_module(tree, "kernel/c.ko", weakdeps=["b"])
    read = []
    real = record_module.read_record

    def reading(directory: str, path: str) -> ModuleRecord:
        read.append(path)
        return real(directory, path)

    monkeypatch.setattr(record_module, "read_record", reading)
    assert inventory_of(tree, loaded).records["c"].weakdeps == ("b",)
    assert sorted(read) == ["kernel/bad.ko", "kernel/c.ko"]


def test_a_database_of_loaded_records_is_that_of_records_just_read(tree: ModuleTree) -> None:
    loaded = load_again(inventory_of(tree)).inventory
    directory = str(tree.directory)
    warm = rebuild(directory, tree.release, config=DepmodConfig(), remembered=loaded)
    assert warm.files == rebuild(directory, tree.release, config=DepmodConfig()).files


def test_records_that_the_next_scan_distrusts_are_not_kept(tmp_path: Path) -> None:
    tree = empty_tree(tmp_path)
    add_module(tree, "kernel/just_now.ko")
    assert load_again(inventory_of(tree)).inventory.records == {}


@pytest.mark.parametrize("damage", ["flip", "cut", "version", "empty"])
def test_a_damaged_cache_is_refused(tree: ModuleTree, damage: str) -> None:
    data = bytearray(cache.dump(inventory_of(tree), {}))
    if damage == "flip":
        data[-20] ^= 1
    elif damage == "cut":
        del data[-1:]
    elif damage == "version":
        data = bytearray(data.replace(cache.HEADER, b"kmodd module records 0\n"))
    else:
        data.clear()
    with pytest.raises(ValueError, match="cache"):
        cache.load(bytes(data))
