# SPDX-License-Identifier: Apache-2.0
"""How a module comes into the emulated machine's memory: its sections copied and relocated."""

import errno
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from kmodd.errors import Reason
from kmodd.kernel.emulated.execution.relocate import relocate_x86_64
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE, Memory
from kmodd.kernel.emulated.machine.heap import Heap
from kmodd.kernel.emulated.machine.image import ModuleImage
from kmodd.kernel.emulated.modules.candidate import SHF_EXECINSTR, find_section
from kmodd.kernel.emulated.modules.kallsyms import FunctionNames
from kmodd.kernel.emulated.modules.layout import Layout
from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.kernel.emulated.modules.struct_module import Import, Imports, StructModule
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.modulefile import SectionType
from kmodd.modulefile.elf import Elf, Section
from kmodd.modulefile.file import THIS_MODULE

UNREAD = frozenset(
    {
        "__ksymtab",
        "__ksymtab_gpl",
        ".altinstructions",
        ".altinstr_replacement",
        ".call_sites",
        ".ibt_endbr_seal",
        ".orc_unwind",
        ".orc_unwind_ip",
        ".orc_header",
        ".parainstructions",
        ".retpoline_sites",
        ".return_sites",
        ".smp_locks",
        ".static_call_sites",
        "__mcount_loc",
        "__patchable_function_entries",
    }
)
"""Sections that only the kernel reads, most of them to patch code; they are more than half of all
relocations."""

PER_CPU = ".data..percpu"
"""The section with the variables that each processor has its own of."""


@dataclass(frozen=True, slots=True)
class _Where:
    """All that decides, beside its file, what a module's words are filled in with.

    ``per_cpu`` is where in the per-CPU area its own variables are, 0 where it has none.
    ``imports`` are the addresses of the symbols that it takes, by their index.
    """

    layout: Layout
    start: int
    init_start: int
    per_cpu: int
    imports: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A module as it was placed the last time, and what was then written to which addresses."""

    where: _Where
    image: ModuleImage
    contents: tuple[tuple[int, bytes | bytearray], ...]


class Placer:
    """Puts modules into memory; for who holds the processor.

    ``per_cpu`` has room for the variables that each processor has its own of; ``resolve`` gives
    the address of a symbol that another module has, or the kernel.

    A module that is loaded again mostly comes to where it was before, as do those that it takes
    symbols from. Its bytes are the same then, and are kept for as long as its file is.
    """

    def __init__(self, memory: Memory, per_cpu: Heap, resolve: Callable[[Import], int]) -> None:
        self._memory = memory
        self._per_cpu = per_cpu
        self._resolve = resolve
        self._placed: WeakKeyDictionary[LoadInfo, _Placed] = WeakKeyDictionary()

    def place(self, file: LoadInfo, mod: StructModule, imports: Imports) -> ModuleImage:
        """Copy the sections that stay to where the module's addresses are, and relocate them.

        Raises Refusal, ModuleFileError, and BadAddress where there is no memory for it.
        """
        per_cpu = self._take_per_cpu(find_section(file.candidate.module, PER_CPU))
        try:
            where = _Where(
                mod.layout,
                mod.address,
                mod.init_address,
                per_cpu,
                {index: self._resolve(wanted) for index, wanted in imports.items()},
            )
            self._check_room(where)
            placed = self._placed.get(file)
            if placed is None or placed.where != where:
                placed = self._placed[file] = _Filling(file, where).fill_in(mod)
            for address, data in placed.contents:
                self._memory.write(address, data)
        except BaseException:
            self._give_back_per_cpu(per_cpu)
            raise
        return copy(placed.image)

    def _check_room(self, where: _Where) -> None:
        """Raise BadAddress where the module would reach beyond the memory that there is."""
        sizes = (where.start, where.layout.core), (where.init_start, where.layout.init)
        for start, size in sizes:
            if size:
                self._memory.region(start, size, write=True)

    def take_away(self, image: ModuleImage) -> None:
        """Give back what the module has beside its memory."""
        self._give_back_per_cpu(image.per_cpu)

    def _take_per_cpu(self, section: Section | None) -> int:
        """Return where in the per-CPU area there is room for ``section``, 0 for none."""
        if section is None or not section.size:
            return 0
        alignment = max(section.align, 1)
        address = self._per_cpu.allocate(-(-section.size // alignment) * alignment)
        if not address:
            raise Refusal(Reason.KERNEL_REFUSED, errno.ENOMEM, "no room for per-CPU variables")
        return address - addresses.PER_CPU

    def _give_back_per_cpu(self, offset: int) -> None:
        if offset:
            self._per_cpu.free(addresses.PER_CPU + offset)


class _Filling:
    """One module's sections and symbols on their way to their addresses."""

    def __init__(self, file: LoadInfo, where: _Where) -> None:
        layout = where.layout
        self._file = file
        self._elf: Elf = file.candidate.module.elf
        self._where = where
        self._core = {index: where.start + at for index, at in layout.core_places.items()}
        self._init = {index: where.init_start + at for index, at in layout.init_places.items()}
        self._places = self._core | self._init
        per_cpu = find_section(file.candidate.module, PER_CPU)
        if per_cpu is not None and where.per_cpu:
            self._places[per_cpu.index] = where.per_cpu
        self._symbols = self._addresses(file.symbols)

    def fill_in(self, mod: StructModule) -> _Placed:
        """Return what the module's memory is to hold; raises Refusal and ModuleFileError."""
        contents = tuple(self._contents(mod.name))
        return _Placed(self._where, self._image(mod), contents)

    def _addresses(self, symbols: SymbolColumns) -> list[int]:
        """Return the addresses of all symbols; 0 for a weak one that nobody has."""
        get = self._places.get
        columns = zip(symbols.sections, symbols.low_values(), strict=True)
        found = [get(section, 0) + value for section, value in columns]
        for index in symbols.undefined():
            found[index] = 0
        for index, address in self._where.imports.items():
            found[index] = address
        return found

    def _contents(self, name: str) -> Iterator[tuple[int, bytes | bytearray]]:
        """Yield the addresses and bytes of the sections that have any."""
        elf = self._elf
        tables = {each.info: each.index for each in elf.sections if each.type == SectionType.RELA}
        for section in elf.sections:
            address = self._places.get(section.index)
            if address is None or section.name in UNREAD:
                continue
            if section.type == SectionType.NOBITS or not section.size:
                continue
            data: bytes | bytearray = elf.data(section.index)
            table = tables.get(section.index)
            if table is not None:
                data = bytearray(data)
                relocate_x86_64(data, address, elf.data(table), self._symbols, name)
            yield address + (addresses.PER_CPU if section.name == PER_CPU else 0), data

    def _image(self, mod: StructModule) -> ModuleImage:
        where, layout, symbols = self._where, self._where.layout, self._file.symbols
        init, exit_ = mod.init_symbol, mod.exit_symbol
        exports, wanted = dict[str, int](), mod.exports
        if wanted:
            indices = symbols.defined_globals()
            named = zip(symbols.names(indices), indices, strict=True)
            exports = {name: self._symbols[at] for name, at in named if name in wanted}
        return ModuleImage(
            name=mod.name,
            start=where.start,
            end=where.start + layout.core,
            init_start=where.init_start,
            init_end=where.init_start + layout.init,
            text_end=self._text_end(self._core) or where.start,
            init_text_end=self._text_end(self._init) or where.init_start,
            functions=FunctionNames(symbols, self._symbols, self._places),
            this_module=self._section(THIS_MODULE)[0],
            init=0 if init is None else self._symbols[init],
            exit=0 if exit_ is None else self._symbols[exit_],
            per_cpu=where.per_cpu,
            bugs=self._section("__bug_table"),
            jumps=self._section("__jump_table"),
            parameters=self._section("__param")[0],
            exports=exports,
            gpl_only=frozenset(name for name in wanted if wanted[name].gpl_only),
        )

    def _section(self, name: str) -> tuple[int, int]:
        """Return where a section is and its size, zeros where it has no place."""
        section = find_section(self._file.candidate.module, name)
        if section is None or section.index not in self._places:
            return 0, 0
        return self._places[section.index], section.size

    def _text_end(self, places: Mapping[int, int]) -> int:
        """Return where the last page with code ends, 0 where there is no code."""
        ends = [
            place + section.size
            for section in self._elf.sections
            if section.flags & SHF_EXECINSTR and (place := places.get(section.index)) is not None
        ]
        return -(-max(ends) // PAGE) * PAGE if ends else 0
