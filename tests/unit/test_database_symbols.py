# SPDX-License-Identifier: Apache-2.0
"""What a tree's modules expect of the kernel itself."""

from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.rebuild import rebuild
from kmodd.database.symbols import (
    kernel_symbols,
    read_symvers,
    read_system_map,
    symbol_problems,
)
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


def test_what_no_module_exports_is_expected_of_the_kernel(database: Database) -> None:
    assert kernel_symbols(database) == {
        "module_layout": 1,
        "_printk": 2,
        "no_crc": None,
        "maybe": None,
    }


def test_a_module_that_has_gone_meanwhile_still_needs_what_its_record_says(
    database: Database,
) -> None:
    Path(database.directory, "user.ko").unlink()
    assert set(kernel_symbols(database)) == {"module_layout", "_printk", "no_crc", "maybe"}


def test_module_symvers_gives_the_kernels_own_symbols() -> None:
    data = (
        b"0x0000002a\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
        b"0x00000007\tlib_do\tlib/lib\tEXPORT_SYMBOL\t\n"
        b"0x815f2897\tlast\tvmlinux\nnonsense\n"
    )
    assert read_symvers(data) == {"_printk": 42, "last": 0x815F2897}


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
