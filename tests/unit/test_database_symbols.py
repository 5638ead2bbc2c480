# SPDX-License-Identifier: Apache-2.0
"""What a tree's modules expect of the kernel itself."""

from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.rebuild import rebuild
from kmodd.database.symbols import read_system_map, symbol_problems
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.small_tree import RELEASE, empty_tree


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Two modules: one exports what the other needs, which wants three things of the kernel."""
    tree = empty_tree(tmp_path)
    (tree.directory / "lib.ko").write_bytes(
        write_module(ModuleSpec(versions=(), exports=(Export("lib_do", crc=7),)))
    )
    (tree.directory / "user.ko").write_bytes(
        write_module(
            ModuleSpec(
                versions=(("module_layout", 1),),
                imports=(
                    Import("lib_do", crc=7),
                    Import("_printk", crc=2),
                    Import("no_crc"),
                    Import("maybe", weak=True),
                ),
            )
        )
    )
    return rebuild(str(tree.directory), RELEASE, config=DepmodConfig())


def test_system_map_gives_the_exported_symbols_without_crcs() -> None:
    data = (
        b"ffffffff81000000 T _printk\n"
        b"ffffffff82000000 r __ksymtab__printk\n"
        b"ffffffff82000010 r __ksymtab_strings\n"
    )
    assert set(read_system_map(data)) >= {"_printk"}
    assert read_system_map(data)["_printk"] == 0


def test_unknown_symbols_are_told_but_for_weak_ones(database: Database) -> None:
    user = f"{database.directory}/user.ko"
    assert list(symbol_problems(database, {"_printk": 99}, versions=False)) == [
        f"WARNING: {user} needs unknown symbol no_crc",
        f"WARNING: {user} needs unknown symbol module_layout",
    ]


def test_symbols_of_another_version_are_told(database: Database) -> None:
    kernel = {"_printk": 99, "no_crc": 0, "module_layout": 1}
    assert list(symbol_problems(database, kernel, versions=True)) == [
        f"WARNING: {database.directory}/user.ko disagrees about version of symbol _printk"
    ]
