# SPDX-License-Identifier: Apache-2.0
"""The memory that a module takes, by the rules of each version."""

from typing import Any

import pytest

from kmodd.kernel.emulated.modules.layout import Layout, lay_out
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.modulefile import ModuleFile
from tests.support.elf_object import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE
from tests.support.elf_writer import RETURN_ZERO, ExtraSection, ModuleSpec, write_module
from tests.support.emulated import vmlinux

PAGE = 4096
DATA = SHF_ALLOC | SHF_WRITE
CODE = SHF_ALLOC | SHF_EXECINSTR


def layout(release: str, *sections: ExtraSection, ignored: bool = False, **options: Any) -> Layout:
    module = ModuleFile.parse(write_module(ModuleSpec(sections=sections)))
    kernel = vmlinux(release, options=BuildOptions(**options))
    return lay_out(module, kernel, SymbolColumns(module), versions_ignored=ignored)


def core(release: str, *sections: ExtraSection, **options: Any) -> int:
    return layout(release, *sections, **options).core


def zeros(name: str, pages: int, flags: int) -> ExtraSection:
    return ExtraSection(name, bytes(pages * PAGE), flags=flags)


@pytest.mark.parametrize(
    ("section", "pages"),
    [
        (zeros(".text.more", 2, CODE), 2),
        (zeros(".rodata.more", 2, SHF_ALLOC), 3),
        (zeros(".data..ro_after_init", 2, DATA), 2),
        (zeros("__jump_table", 2, DATA), 2),
        (zeros(".data.more", 2, DATA), 2),
        (ExtraSection(".notes", bytes(9000)), 0),
        (zeros(".init.data", 9, DATA), 0),
        (zeros(".init.text.more", 9, CODE), 0),
        (zeros(".data..percpu", 9, DATA), 0),
    ],
)
@pytest.mark.parametrize("release", ["6.1.0", "6.12.0"])
def test_what_stays_is_gathered_by_protection_into_pages(
    section: ExtraSection, pages: int, release: str
) -> None:
    # Text, struct module, and in 6.1 the symbol table: a page each; nothing is read-only.
    plain = core(release)
    assert plain == (3 if release == "6.1.0" else 2) * PAGE
    assert core(release, section) - plain == (pages - 1 if pages == 3 else pages) * PAGE


def test_since_6_4_the_symbols_follow_the_data_without_a_pages_break() -> None:
    nearly_a_page = ExtraSection(".data", bytes(PAGE - 960), flags=DATA)
    assert core("6.3.0") == core("6.3.0", nearly_a_page) == 3 * PAGE
    assert core("6.4.0") == 2 * PAGE
    assert core("6.4.0", nearly_a_page) == 3 * PAGE


def test_since_5_2_the_type_of_each_symbol_is_kept() -> None:
    without_pages = {"strict_rwx": False}
    assert core("5.2.0", **without_pages) - core("5.1.0", **without_pages) == len(
        ["", "cleanup_module", "__this_module"]
    )


def test_a_kernel_that_does_not_protect_modules_saves_the_rest_of_the_pages() -> None:
    exact = core("6.1.0", strict_rwx=False)
    # .text is empty, cleanup_module has three bytes of code, struct module is aligned to 64.
    assert exact == 64 + 0x380 + 3 * (24 + 1) + len("\0cleanup_module\0__this_module\0")
    assert len(RETURN_ZERO) == 3


def test_a_kernel_without_a_symbol_table_keeps_none() -> None:
    assert core("6.1.0", kallsyms=False) == 2 * PAGE
    assert layout("6.1.0", kallsyms=False).init == PAGE


def test_a_kernel_that_keeps_only_functions_keeps_less() -> None:
    everything = core("6.1.0", strict_rwx=False)
    functions = core("6.1.0", strict_rwx=False, kallsyms_all=False)
    assert everything - functions == 24 + 1 + len("__this_module\0")


def test_ignored_versions_are_kept() -> None:
    assert layout("6.1.0", ignored=True).core == layout("6.1.0").core + PAGE


def test_pages_are_as_large_as_the_kernels() -> None:
    assert core("6.1.0", page_size=65536) == 3 * 65536


def test_init_has_its_own_sections_and_all_symbols() -> None:
    assert layout("6.1.0").init == 2 * PAGE
    grown = layout("6.1.0", zeros(".init.rodata", 3, SHF_ALLOC))
    assert grown.init == 5 * PAGE
    assert layout("6.6.0").init == 2 * PAGE


def test_since_6_13_the_counters_of_allocations_lie_elsewhere() -> None:
    counters = zeros(".codetag.alloc_tags", 5, DATA)
    assert core("6.12.0", counters) == 7 * PAGE
    assert core("6.13.0", counters) == 2 * PAGE


@pytest.mark.parametrize(
    ("name", "before", "since", "plain"),
    [
        (".data..ro_after_init", "4.7.0", "4.8.0", 3),
        ("__jump_table", "4.19.0", "4.20.0", 3),
        (".static_call_sites", "6.13.0", "6.14.0", 2),
    ],
)
def test_what_becomes_read_only_after_init_has_grown(
    name: str, before: str, since: str, plain: int
) -> None:
    section = ExtraSection(name, bytes(64), flags=DATA)
    assert core(before, section) == plain * PAGE
    assert core(since, section) == (plain + 1) * PAGE
