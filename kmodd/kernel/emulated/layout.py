# SPDX-License-Identifier: Apache-2.0
"""How much memory a loaded module takes, as the kernel lays it out.

The rules are those of ``layout_sections`` and ``layout_symtab`` (kernel/module/main.c and
kallsyms.c) with STRICT_MODULE_RWX and KALLSYMS_ALL, as distributions build: the sections that stay
are gathered by their protection, each group ends on a page, and on the page behind the last one
begins the part of the symbol table that is kept for kallsyms.
"""

from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import Section

PAGE = 4096
"""Bytes in a page of the emulated kernel."""

_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4  # elf(5)
_NOT_KEPT = (".modinfo", "__versions", ".data..percpu")
_RO_AFTER_INIT = (".data..ro_after_init", "__jump_table")


def module_size(module: ModuleFile) -> int:
    """Return the bytes that /proc/modules shows for ``module`` once it is live."""
    groups: tuple[list[Section], ...] = ([], [], [], [])
    kept: set[int] = set()
    for index, section in enumerate(module.elf.sections):
        if section.name == ".data..percpu":
            kept.add(index)
        if not section.flags & _SHF_ALLOC or section.name in _NOT_KEPT:
            continue
        if section.name.startswith(".init"):
            continue
        kept.add(index)
        groups[_group(section)].append(section)
    size = 0
    for group in groups:
        size = _page_align(_append(size, group))
    return _page_align(size + _symbol_table_size(module, kept, size))


def _group(section: Section) -> int:
    """Number the groups in memory order: text, read-only, read-only after init, writable."""
    if section.flags & _SHF_EXECINSTR:
        return 0
    if section.name in _RO_AFTER_INIT:
        return 2
    return 3 if section.flags & _SHF_WRITE else 1


def _append(size: int, sections: list[Section]) -> int:
    for section in sections:
        size = _align(size, section.align) + section.size
    return size


def _symbol_table_size(module: ModuleFile, kept: set[int], offset: int) -> int:
    """Return the bytes that the symbols kept for kallsyms add behind ``offset``."""
    count, names = 1, 1
    for symbol in module.symbols():
        if symbol.name and symbol.section in kept:
            count += 1
            names += len(symbol.name) + 1
    entry = 24 if module.elf.bits == 64 else 16
    alignment = 8 if module.elf.bits == 64 else 4
    padding = _align(offset, alignment) - offset
    return padding + count * entry + names + count


def _align(value: int, alignment: int) -> int:
    step = max(alignment, 1)
    return (value + step - 1) // step * step


def _page_align(value: int) -> int:
    return _align(value, PAGE)
