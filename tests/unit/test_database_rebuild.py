# SPDX-License-Identifier: Apache-2.0
"""A database that is rebuilt from the one before is the one that is built from nothing."""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database, build
from kmodd.database.freshness import has_lost_none
from kmodd.database.rebuild import rebuild
from kmodd.errors import Reason, TreeError
from tests.support.small_tree import add_graph, add_module, empty_tree, make_old
from tests.support.tree import ModuleTree

SEEDS = range(6)
STEPS = 25


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = empty_tree(tmp_path)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (tree.directory / name).touch()
    return tree


def database_of(
    tree: ModuleTree, previous: Database | None = None, *, leave_out: bool = False
) -> Database:
    return rebuild(
        str(tree.directory),
        tree.release,
        config=DepmodConfig(),
        previous=previous,
        leave_out=leave_out,
    )


class Meddler:
    """Does to a tree what administrators and package managers do, at random."""

    def __init__(self, tree: ModuleTree, chance: random.Random) -> None:
        self.tree = tree
        self.chance = chance

    def meddle(self) -> None:
        """Do one thing, or a few at a time."""
        for _ in range(self.chance.choice((1, 1, 1, 4))):
            actions = (self.write, self.write, self.remove, self.move, self.touch, self.reorder)
            self.chance.choice((*actions, self.spoil, self.change_builtins))()

    def path(self) -> Path:
        name = f"m{self.chance.randrange(14)}"
        suffix = self.chance.choice((".ko", ".ko", ".ko.xz"))
        directory = self.chance.choice(("kernel", "updates", "kernel/net", "extra-x"))
        return self.tree.directory / directory / f"{name}{suffix}"

    def write(self) -> None:
        path = self.path()
        number = int(path.name[1:].split(".")[0])
        # A module needs only those with lower numbers, so there is no cycle.
        needs = [f"s{self.chance.randrange(3 * number)}" for _ in range(3) if number]
        add_module(
            self.tree,
            str(path.relative_to(self.tree.directory)),
            exports=[f"s{3 * number + each}" for each in range(self.chance.randrange(4))],
            imports=["_printk", *needs],
            aliases=self.chance.choices(["a-*", "a-[b-c]-d", "x]", "devname:d", "pci:*"], k=2),
            softdeps=self.chance.choices(["pre: m1", "post: m2"], k=self.chance.randrange(2)),
        )

    def existing(self) -> Path | None:
        files = [path for path in self.tree.directory.rglob("*.ko*") if path.is_file()]
        return self.chance.choice(sorted(files)) if files else None

    def remove(self) -> None:
        if path := self.existing():
            path.unlink()

    def move(self) -> None:
        path, target = self.existing(), self.path()
        if path and path.suffix == target.suffix:
            target.parent.mkdir(exist_ok=True, parents=True)
            number = path.name.split(".")[0]
            path.rename(target.with_name(number + "".join(target.suffixes)))

    def touch(self) -> None:
        if path := self.existing():
            os.utime(path)

    def spoil(self) -> None:
        if path := self.existing():
            path.write_bytes(b"no module")

    def reorder(self) -> None:
        lines = [f"kernel/m{self.chance.randrange(14)}.ko\n" for _ in range(5)]
        (self.tree.directory / "modules.order").write_text("".join(lines))

    def change_builtins(self) -> None:
        name = f"b{self.chance.randrange(3)}"
        (self.tree.directory / "modules.builtin").write_text(f"kernel/{name}.ko\n")
        (self.tree.directory / "modules.builtin.modinfo").write_text(f"{name}.alias=x\0")


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_change_it_is_the_same_as_from_nothing(tree: ModuleTree, seed: int) -> None:
    meddler = Meddler(tree, random.Random(seed))
    database = database_of(tree)
    for _ in range(STEPS):
        meddler.meddle()
        database = database_of(tree, database)
        fresh = database_of(tree)
        assert database.files == fresh.files
        assert dict(database.modules) == dict(fresh.modules)
        assert list(database.modules) == list(fresh.modules)
        assert sorted(database.problems) == sorted(fresh.problems)
        assert database.needs == fresh.needs
        assert (database.softdeps, database.builtins) == (fresh.softdeps, fresh.builtins)


def test_where_nothing_changed_the_database_is_given_back_itself(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b")])
    first = database_of(tree)
    assert database_of(tree, first) is first
    make_old(tree)
    assert database_of(tree, first) is first
    assert first.inventory.memory.complete
    (tree.directory / "modules.dep").write_text("depmod was here\n")
    assert database_of(tree, first) is first


def test_a_module_that_still_says_the_same_changes_no_bytes(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b"), ("c", "b")])
    first = database_of(tree)
    os.utime(tree.directory / "kernel/b.ko", (1, 1))
    second = database_of(tree, first)
    assert second is not first
    assert second.modules["b"].stamp != first.modules["b"].stamp
    for name, content in first.files.items():
        assert second.files[name] is content


def test_only_the_files_that_a_change_concerns_are_made_anew(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b"), ("c", "b")])
    first = database_of(tree)
    add_module(tree, "kernel/c.ko", exports=["c_do"], imports=["b_do"], softdeps=["pre: x"])
    second = database_of(tree, first)
    changed = [name for name in first.files if second.files[name] is not first.files[name]]
    assert changed == ["modules.softdep", "modules.weakdep"]


def test_a_module_that_is_renamed_takes_its_aliases_and_symbols_along(tree: ModuleTree) -> None:
    add_module(tree, "kernel/old.ko", exports=["f"], aliases=["pci:*"], softdeps=["pre: x"])
    first = database_of(tree)
    (tree.directory / "kernel/old.ko").rename(tree.directory / "kernel/new.ko")
    second = database_of(tree, first)
    assert second.search_aliases("pci:v1") == second.search_symbols("symbol:f") == ("new",)
    assert second.files == database_of(tree).files


def test_another_tree_is_no_help(tree: ModuleTree, tmp_path: Path) -> None:
    add_module(tree, "kernel/a.ko", aliases=["here"])
    other = tree.copy(tmp_path / "other")
    add_module(other, "kernel/a.ko", aliases=["there"])
    first = database_of(tree)
    assert database_of(other, first).files == database_of(other).files


def test_a_cycle_is_an_error_and_the_database_before_it_stays_good(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b")])
    first = database_of(tree)
    add_graph(tree, [("a", "b"), ("b", "a")])
    with pytest.raises(TreeError) as caught:
        database_of(tree, first)
    assert caught.value.reason is Reason.DEPENDENCY_CYCLE
    assert caught.value.log[-1] == "ERROR: Found 2 modules in dependency cycles!"
    add_graph(tree, [("a", "b")])
    assert database_of(tree, first).files == first.files


def test_a_cycle_can_cost_its_own_modules_and_their_users_alone(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b"), ("b", "a"), ("user", "a"), ("d", "e"), ("b", "e")])
    whole = tree.copy(tree.root / "whole")
    for name in ("a", "b", "user"):
        (whole.directory / f"kernel/{name}.ko").unlink()
    database = database_of(tree, leave_out=True)
    assert database.files == database_of(whole).files
    assert database.left_out == {
        "a": f"in a dependency cycle: {cycle_of(database)}",
        "b": f"in a dependency cycle: {cycle_of(database)}",
        "user": "of no use without a",
    }
    assert database_of(tree, database, leave_out=True) is database


def cycle_of(database: Database) -> str:
    assert database.cycles is not None
    return database.cycles.log[0].removeprefix("ERROR: Cycle detected: ")


def test_what_a_tree_has_lost_is_told_from_what_has_come(tree: ModuleTree) -> None:
    for path in ("kernel/a.ko", "kernel/deep/b.ko"):
        add_module(tree, path)
    make_old(tree)
    inventory = database_of(tree).inventory
    assert has_lost_none(inventory)
    add_module(tree, "kernel/deep/new.ko")
    assert has_lost_none(inventory)
    (tree.directory / "kernel/deep/b.ko").unlink()
    assert not has_lost_none(inventory)


def test_a_symbol_prefix_is_taken_off_on_both_sides(tree: ModuleTree) -> None:
    add_module(tree, "kernel/a.ko", exports=["_f"])
    add_module(tree, "kernel/b.ko", imports=["f"])
    plain = database_of(tree)
    assert plain.files["modules.dep"].count(b"a.ko") == 1
    prefixed = rebuild(
        str(tree.directory),
        tree.release,
        config=DepmodConfig(),
        previous=plain,
        symbol_prefix="_",
    )
    assert prefixed.files["modules.dep"].count(b"a.ko") == 2
    assert b"symbol:f a" in prefixed.files["modules.symbols"]


def test_a_database_answers_what_its_files_answer(tree: ModuleTree) -> None:
    (tree.directory / "modules.builtin").write_text("kernel/crc-x.ko\n")
    (tree.directory / "modules.builtin.modinfo").write_bytes(b"crc_x.alias=hash-*\0")
    (tree.directory / "modules.order").write_text("kernel/b.ko\nkernel/a.ko\n")
    add_module(tree, "kernel/a.ko", exports=["a_do"], imports=["b_do"], aliases=["pci:v1*"])
    add_module(tree, "kernel/b.ko", exports=["b_do"], imports=["c_do"], aliases=["pci:*"])
    add_module(tree, "kernel/c.ko", exports=["c_do"], softdeps=["post: a"], weakdeps=["b"])
    database = database_of(tree)
    assert list(database.modules) == ["b", "a", "c"]
    assert [record.name for record in database.dependencies("a")] == ["c", "b"]
    assert database.module("c") is database.modules["c"]
    assert database.module("d") is None
    assert database.search_aliases("pci:v1sv2") == ("b", "a")
    assert database.search_symbols("symbol:c_do") == ("c",)
    assert database.search_builtin_aliases("hash_sum") == ("crc_x",)
    assert database.is_builtin("crc_x")
    assert not database.is_builtin("a")
    assert database.softdeps == (("c", "post: a"),)
    assert database.weakdeps == (("c", "b"),)


def test_the_order_of_the_records_does_not_matter(tree: ModuleTree) -> None:
    add_graph(tree, [("a", "b"), ("c", "a"), ("d", "b")])
    inventory = database_of(tree).inventory
    backwards = dict(reversed(list(inventory.records.items())))
    turned = build.build(replace(inventory, records=backwards))
    assert turned.files == build.build(inventory).files
