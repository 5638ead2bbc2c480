# SPDX-License-Identifier: Apache-2.0
"""How much memory a module takes, as the kernel lays it out.

The rules are those of ``layout_sections``, ``layout_symtab`` and ``move_module`` (kernel/module/
main.c and kallsyms.c; kernel/module.c before 5.19), and they depend on the version:

- Up to 6.3 there is one stretch of memory that stays and one for init. In each the sections are
  gathered by protection (text, read-only, read-only after init, writable); a page begins after
  each of these groups where the kernel protects modules (CONFIG_STRICT_MODULE_RWX), and behind
  the last one comes the symbol table for kallsyms. Since 5.2 it has a byte for each symbol's type.
- Since 6.4 each of these groups is a memory of its own of whole pages (``struct module_memory``),
  and the symbol table follows the writable data without a page's break.

Seen on machines: 6.1 on x86-64, where the size of every module that a real kernel was seen to load
comes out exactly. The rules of other versions were read in the kernel's source and not compared
with a running one. On processors whose kernel adds tables to a module while it loads it (the PLTs
of arm, arm64, powerpc, riscv, loongarch, and s390's) these bytes are missing here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kmodd.kernel.emulated.modules.candidate import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    find_section,
)
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.kernel.emulated.release.vmlinux import Vmlinux
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import Section
from kmodd.records import field, record

_EXTENDED_VERSIONS = ("__version_ext_crcs", "__version_ext_names")
_RO_AFTER_INIT = {
    ".data..ro_after_init": (4, 8),
    "__jump_table": (4, 20),
    ".static_call_sites": (6, 14),
}
"""What becomes read-only after init, and since which version."""

_CODETAGS = ".codetag."
_GROUPS = 4


Places = Mapping[int, int]
"""Where sections are: by a section's index, the bytes from the start of the memory it is in."""


@record
class Layout:
    """Bytes of a module: what stays, and what is given back after init; and what is where there.

    ``table_places`` is where in the memory of init the symbol table and its strings are.
    """

    core: int = 0
    init: int = 0
    core_places: Places = field(default_factory=dict)
    init_places: Places = field(default_factory=dict)
    table_places: Places = field(default_factory=dict)


@dataclass(slots=True)
class _Gathered:
    """The sections of a module by protection, those that stay and those for init alone.

    ``kept`` are the indices of the sections whose symbols are kept.
    """

    core: tuple[list[Section], ...]
    init: tuple[list[Section], ...]
    kept: set[int]


@record
class _SymbolTables:
    """Bytes of the symbol table that stays, and what is to be put behind init's own sections."""

    alignment: int
    core: int
    whole: int
    strings: tuple[int, int]
    """Bytes of the string table, and its alignment."""
    indices: tuple[int, int]
    """The sections that the table and its strings are."""
    head: tuple[int, int]
    """Bytes of ``struct mod_kallsyms`` with the types of all symbols, and its alignment."""


def lay_out(
    module: ModuleFile, vmlinux: Vmlinux, symbols: SymbolColumns, *, versions_ignored: bool
) -> Layout:
    """Return the bytes that ``module`` takes in that kernel; ``symbols`` are all of its own.

    Where its symbol versions are ignored, the kernel does not know them from any other table, and
    keeps them.
    """
    dropped = [".modinfo", ".data..percpu"]
    if not versions_ignored:
        dropped += ["__versions", *(_EXTENDED_VERSIONS if vmlinux.version >= (6, 14) else ())]
    gathered = _gather(module, vmlinux, dropped)
    tables = _symbol_tables(module, vmlinux, symbols, gathered.kept)
    if vmlinux.version >= (6, 4):
        return _in_memories(gathered, tables, vmlinux.options.page_size)
    page = vmlinux.options.page_size if vmlinux.options.strict_rwx else 1
    core_places, init_places = dict[int, int](), dict[int, int]()
    core = _one_stretch(gathered.core, page, core_places, every_group=True)
    init = _one_stretch(gathered.init, page, init_places, every_group=False)
    table_places = dict[int, int]()
    if tables is not None:
        core = _align(_align(core, tables.alignment) + tables.core, page)
        init = _align(_append_for_init(init, tables, table_places), page)
    return Layout(core, init, core_places, init_places, table_places)


def _one_stretch(
    groups: tuple[list[Section], ...], page: int, places: dict[int, int], *, every_group: bool
) -> int:
    """Return the bytes of all groups one behind the other."""
    size = 0
    for number, group in enumerate(groups):
        size = _append(size, group, places)
        # Nothing becomes read-only after init in what init alone uses.
        if every_group or number != 2:
            size = _align(size, page)
    return size


def _in_memories(gathered: _Gathered, tables: _SymbolTables | None, page: int) -> Layout:
    """Return the bytes of a memory for each group, each of whole pages."""
    sizes, places = list[int](), [dict[int, int](), dict[int, int]()]
    table_places = dict[int, int]()
    for is_init, groups in enumerate((gathered.core, gathered.init)):
        total = 0
        for number, group in enumerate(groups):
            size = _append(total, group, places[is_init])
            if tables is not None and number == _GROUPS - 1:
                if is_init:
                    size = _append_for_init(size, tables, table_places)
                else:
                    size = _align(size, tables.alignment) + tables.core
            total = _align(size, page)
        sizes.append(total)
    return Layout(sizes[0], sizes[1], places[0], places[1], table_places)


def _append_for_init(size: int, tables: _SymbolTables, places: dict[int, int]) -> int:
    whole = (tables.whole, tables.alignment)
    for index, (part, alignment) in zip(tables.indices, (whole, tables.strings), strict=True):
        places[index] = _align(size, alignment)
        size = places[index] + part
    part, alignment = tables.head
    return _align(size, alignment) + part


def _gather(module: ModuleFile, vmlinux: Vmlinux, names: Iterable[str]) -> _Gathered:
    gathered = _Gathered(
        tuple([] for _ in range(_GROUPS)), tuple([] for _ in range(_GROUPS)), set()
    )
    dropped = {each.index for each in _dropped(module, vmlinux, names)}
    per_cpu = find_section(module, ".data..percpu")
    if per_cpu is not None and vmlinux.options.kallsyms_all:
        gathered.kept.add(per_cpu.index)
    for section in module.elf.sections:
        if not section.flags & SHF_ALLOC or section.index in dropped:
            continue
        if section.name.startswith(".init"):
            gathered.init[_group(section, vmlinux)].append(section)
            continue
        if vmlinux.options.kallsyms_all or section.flags & SHF_EXECINSTR:
            gathered.kept.add(section.index)
        gathered.core[_group(section, vmlinux)].append(section)
    return gathered


def _dropped(module: ModuleFile, vmlinux: Vmlinux, names: Iterable[str]) -> Iterator[Section]:
    """Yield the allocated sections, of these names and others, that a module does not keep."""
    for name in names:
        section = find_section(module, name)
        if section is not None:
            yield section
    if vmlinux.version >= (6, 13):
        # Counters of allocations lie elsewhere, together with the kernel's own.
        yield from (each for each in module.elf.sections if each.name.startswith(_CODETAGS))


def _group(section: Section, vmlinux: Vmlinux) -> int:
    """Number the groups in memory order: text, read-only, read-only after init, writable."""
    if section.flags & SHF_EXECINSTR:
        return 0
    if not section.flags & SHF_WRITE:
        return 1
    since = _RO_AFTER_INIT.get(section.name)
    return 2 if since is not None and vmlinux.version >= since else 3


def _append(size: int, sections: list[Section], places: dict[int, int]) -> int:
    for section in sections:
        start = places[section.index] = _align(size, section.align)
        size = start + section.size
    return size


def _symbol_tables(
    module: ModuleFile, vmlinux: Vmlinux, symbols: SymbolColumns, kept: set[int]
) -> _SymbolTables | None:
    """Return the tables for kallsyms, None on a kernel without it."""
    if not vmlinux.options.kallsyms:
        return None
    is_livepatch = any(each.startswith("livepatch=") for each in module.modinfo_strings())
    count, names = symbols.kept(None if is_livepatch else kept)
    entry, long = (24, 8) if module.elf.bits == 64 else (16, 4)
    typed = vmlinux.version >= (5, 2)
    strings = module.elf.section_at(symbols.strings_index)
    return _SymbolTables(
        alignment=max(symbols.alignment, 1),
        # The first symbol of all has no name, and stays too.
        core=(count + 1) * (entry + typed) + names + 1,
        whole=symbols.size,
        strings=(strings.size, max(strings.align, 1)),
        indices=(symbols.index, symbols.strings_index),
        head=(4 * long + len(symbols) if typed else 3 * long, long),
    )


def _align(value: int, alignment: int) -> int:
    step = max(alignment, 1)
    return (value + step - 1) // step * step
