# SPDX-License-Identifier: Apache-2.0
"""Where the emulated kernel's own symbols come from."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from kmodd.database import ModuleRecord
from kmodd.kernel.emulated.vmlinux import (
    FROM_MODULES,
    CoreSymbol,
    VmlinuxSource,
    read_symvers,
)
from tests.support.modules import SOURCES
from tests.support.records import RELEASE, record

SYMVERS = (
    "0x1234\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x5678\tgpl_do\tvmlinux\tEXPORT_SYMBOL_GPL\tSPACE\n"
    "0x9\tmodule_do\tdrivers/some\tEXPORT_SYMBOL\t\n"
    "nonsense\n"
    "0xzz\tbad\tvmlinux\tEXPORT_SYMBOL\t\n"
)


def modules(*records: ModuleRecord) -> Mapping[str, ModuleRecord]:
    return {each.name: each for each in records}


def test_a_symvers_tells_the_kernels_own_symbols() -> None:
    assert read_symvers(SYMVERS) == {
        "_printk": CoreSymbol(0x1234),
        "gpl_do": CoreSymbol(0x5678, gpl_only=True, namespace="SPACE"),
    }


@pytest.mark.parametrize(
    "place", [f"lib/modules/{RELEASE}/build", f"usr/src/linux-headers-{RELEASE}"]
)
def test_a_symvers_under_the_root_goes_before_guesses(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "Module.symvers").write_text(SYMVERS)
    tree = modules(record("greet", needs=["nosuch"]))
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", lambda: tree)()
    assert set(vmlinux.symbols) == {"_printk", "gpl_do"}
    assert vmlinux.source == str(tmp_path / place / "Module.symvers")


def test_an_absolute_link_to_the_headers_stays_in_the_root(tmp_path: Path) -> None:
    headers = tmp_path / "usr/src/headers"
    headers.mkdir(parents=True)
    (headers / "Module.symvers").write_text(SYMVERS)
    tree = tmp_path / "lib/modules" / RELEASE
    tree.mkdir(parents=True)
    (tree / "build").symlink_to("/usr/src/headers")
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", dict)()
    assert set(vmlinux.symbols) == {"_printk", "gpl_do"}


def test_without_one_the_kernel_offers_what_modules_import_and_none_exports(
    tmp_path: Path,
) -> None:
    tree = modules(record("greet", needs=["printk"]), record("world", needs=["greet", "printk"]))
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: tree)()
    assert set(vmlinux.symbols) == {"printk_do"}
    assert vmlinux.source == FROM_MODULES


def test_a_symbol_of_a_module_that_is_gone_is_not_the_kernels(tmp_path: Path) -> None:
    trees = [modules(record("greet"), record("world", needs=["greet"]))]
    source = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: trees[-1])
    assert set(source().symbols) == set()
    trees.append(modules(record("world", needs=["greet"])))
    assert set(source().symbols) == set()


def test_a_grown_tree_brings_new_symbols(tmp_path: Path) -> None:
    trees = [modules(record("greet"))]
    source = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: trees[-1])
    assert source() is source()
    trees.append(modules(record("greet"), record("world", needs=["printk"])))
    assert set(source().symbols) == {"printk_do"}


def test_the_machine_and_the_signing_are_those_of_the_trees_modules(tmp_path: Path) -> None:
    tree = modules(record("gone"), record("greet"))
    path = tmp_path / RELEASE / "kernel"
    path.mkdir(parents=True)
    shutil.copy(SOURCES / "greet.ko", path)
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: tree)()
    assert vmlinux.machine is not None
    assert (vmlinux.machine.bits, vmlinux.machine.byteorder, vmlinux.machine.number) == (
        64,
        "little",
        62,
    )
    assert not vmlinux.signed
