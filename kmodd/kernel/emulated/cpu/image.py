# SPDX-License-Identifier: Apache-2.0
"""A module in the emulated machine's memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kmodd.kernel.emulated.cpu import addresses
from kmodd.kernel.emulated.cpu.memory import PAGE, Memory
from kmodd.kernel.emulated.cpu.names import FunctionNames, Place
from kmodd.kernel.emulated.cpu.relocate import relocate_x86_64
from kmodd.kernel.emulated.headers import SHF_EXECINSTR, Candidate, find_section
from kmodd.kernel.emulated.resident import Import, Imports, Resident
from kmodd.kernel.emulated.symbol_table import SymbolColumns
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
        "__jump_table",
        "__mcount_loc",
        "__patchable_function_entries",
    }
)
"""Sections that only the kernel reads, most of them to patch code; they are more than half of all
relocations."""

PER_CPU = ".data..percpu"


@dataclass(slots=True, eq=False)
class ModuleImage:
    """A module that is in memory.

    ``exports`` are the addresses of its exported symbols, ``gpl_only`` those for the GPL alone.
    ``init`` and ``exit`` are 0 where it has
    none. ``end`` and ``init_end`` are behind its last byte of each memory, the texts' ends where
    the code in it ends. ``has_init_memory`` tells whether what is for init alone is still there.
    """

    name: str
    start: int
    end: int
    init_start: int
    init_end: int
    text_end: int
    init_text_end: int
    functions: FunctionNames
    this_module: int = 0
    init: int = 0
    exit: int = 0
    per_cpu: tuple[int, int] = (0, 0)
    bugs: tuple[int, int] = (0, 0)
    parameters: int = 0
    exports: Mapping[str, int] = field(default_factory=dict)
    gpl_only: frozenset[str] = frozenset()
    has_init_memory: bool = True

    def is_text(self, address: int) -> bool:
        """Tell whether ``address`` is in the module's code."""
        return (
            self.start <= address < self.text_end or self.init_start <= address < self.init_text_end
        )

    def find(self, address: int) -> Place:
        """Name the function that ``address`` is in (find_kallsyms_symbol)."""
        in_init = self.init_start <= address < self.init_end
        low = self.init_start if in_init else self.start
        end = self.init_text_end if in_init else self.text_end
        name, start, end = self.functions.nearest(address, low, end)
        return Place(self.name, name, address - start, max(end - start, 0))


class Placer:
    """Puts modules into memory. ``resolve`` gives the address of a symbol that another module has,
    or the kernel; ``per_cpu`` takes room for a module's variables that each processor has its own
    of.
    """

    def __init__(
        self,
        memory: Memory,
        resolve: Callable[[Import], int],
        per_cpu: Callable[[int, int], int],
    ) -> None:
        self._memory = memory
        self._resolve = resolve
        self._per_cpu = per_cpu

    def place(
        self, candidate: Candidate, resident: Resident, symbols: SymbolColumns, imports: Imports
    ) -> ModuleImage:
        """Copy the sections that stay to where the module's addresses are, and relocate them.

        Raises Refusal and ModuleFileError.
        """
        elf, layout = candidate.module.elf, resident.layout
        places = {index: resident.address + at for index, at in layout.core_places.items()}
        inits = {index: resident.init_address + at for index, at in layout.init_places.items()}
        both = places | inits
        per_cpu, per_cpu_size = find_section(candidate.module, PER_CPU), 0
        if per_cpu is not None and per_cpu.size:
            per_cpu_size = per_cpu.size
            both[per_cpu.index] = self._per_cpu(per_cpu_size, per_cpu.align)
        addresses = self._addresses(symbols, both, imports)
        image = ModuleImage(
            name=resident.name,
            start=resident.address,
            end=resident.address + layout.core,
            init_start=resident.init_address,
            init_end=resident.init_address + layout.init,
            text_end=_text_end(elf, places) or resident.address,
            init_text_end=_text_end(elf, inits) or resident.init_address,
            functions=FunctionNames(symbols, addresses, both),
        )
        if per_cpu is not None and per_cpu_size:
            image.per_cpu = both[per_cpu.index], per_cpu_size
        for section, table in _contents(elf, both):
            self._copy(elf, section, table, both[section.index], addresses, resident.name)
        self._note(candidate, image, both)
        self._note_symbols(resident, image, symbols, addresses)
        return image

    def _addresses(
        self, symbols: SymbolColumns, places: Mapping[int, int], imports: Imports
    ) -> list[int]:
        """Return the addresses of all symbols; 0 for a weak one that nobody has."""
        get = places.get
        columns = zip(symbols.sections, symbols.low_values(), strict=True)
        found = [get(section, 0) + value for section, value in columns]
        for index in symbols.undefined():
            found[index] = 0
        for index, wanted in imports.items():
            found[index] = self._resolve(wanted)
        return found

    def _copy(
        self,
        elf: Elf,
        section: Section,
        table: int | None,
        address: int,
        symbols: list[int],
        module: str,
    ) -> None:
        if section.type == SectionType.NOBITS or not section.size:
            return
        data = elf.data(section.index)
        if table is None:
            self._write(section, address, data)
            return
        filled = bytearray(data)
        relocate_x86_64(filled, address, elf.data(table), symbols, module)
        self._write(section, address, filled)

    def _write(self, section: Section, address: int, data: bytes | bytearray) -> None:
        if section.name == PER_CPU:
            address = self._memory_of_per_cpu(address)
        self._memory.write(address, data)

    def _memory_of_per_cpu(self, offset: int) -> int:
        return addresses.PER_CPU + offset

    def _note(
        self,
        candidate: Candidate,
        image: ModuleImage,
        places: Mapping[int, int],
    ) -> None:
        """Note the sections that others look for."""

        def address_of(name: str) -> tuple[int, int]:
            section = find_section(candidate.module, name)
            if section is None or section.index not in places:
                return 0, 0
            return places[section.index], section.size

        image.this_module = address_of(THIS_MODULE)[0]
        image.bugs = address_of("__bug_table")
        image.parameters = address_of("__param")[0]

    def _note_symbols(
        self,
        resident: Resident,
        image: ModuleImage,
        symbols: SymbolColumns,
        addresses: list[int],
    ) -> None:
        """Note the symbols that others look for."""
        if resident.init_symbol is not None:
            image.init = addresses[resident.init_symbol]
        if resident.exit_symbol is not None:
            image.exit = addresses[resident.exit_symbol]
        if resident.exports:
            wanted, indices = resident.exports, symbols.defined_globals()
            named = zip(symbols.names(indices), indices, strict=True)
            image.exports = {name: addresses[at] for name, at in named if name in wanted}
            image.gpl_only = frozenset(name for name in wanted if wanted[name].gpl_only)


def _text_end(elf: Elf, places: Mapping[int, int]) -> int:
    """Return where the last page with code ends, 0 where there is no code."""
    ends = [
        place + section.size
        for section in elf.sections
        if section.flags & SHF_EXECINSTR and (place := places.get(section.index)) is not None
    ]
    return -(-max(ends) // PAGE) * PAGE if ends else 0


def _contents(elf: Elf, places: Mapping[int, int]) -> Iterator[tuple[Section, int | None]]:
    """Yield the sections to copy, each with the table of its relocations."""
    tables = {each.info: each.index for each in elf.sections if each.type == SectionType.RELA}
    for section in elf.sections:
        if section.index in places and section.name not in UNREAD:
            yield section, tables.get(section.index)
