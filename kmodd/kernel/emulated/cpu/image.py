# SPDX-License-Identifier: Apache-2.0
"""A module in the emulated machine's memory."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kmodd.errors import ModuleFileError
from kmodd.kernel.emulated.cpu import addresses
from kmodd.kernel.emulated.cpu.memory import PAGE, Memory
from kmodd.kernel.emulated.cpu.relocate import relocate_x86_64
from kmodd.kernel.emulated.headers import SHF_EXECINSTR, Candidate, find_section
from kmodd.kernel.emulated.resident import Resident
from kmodd.kernel.emulated.symbol_table import SymbolColumns
from kmodd.modulefile import SectionType
from kmodd.modulefile.elf import Elf, Section
from kmodd.modulefile.file import THIS_MODULE

UNREAD = frozenset(
    {
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
"""Sections that only the kernel reads, to patch code; they are half of all relocations."""

PER_CPU = ".data..percpu"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a module an address is, as the kernel's ``%pS`` says it.

    ``symbol`` is empty where nothing is named; ``size`` reaches to the next symbol.
    """

    module: str
    symbol: str
    offset: int
    size: int

    def __str__(self) -> str:
        module = f" [{self.module}]" if self.module else ""
        return f"{self.symbol}+{self.offset:#x}/{self.size:#x}{module}"


@dataclass(slots=True, eq=False)
class ModuleImage:
    """A module that is in memory.

    ``sections`` are the addresses of its sections by index, ``exports`` those of its exported
    symbols; ``gpl_only`` are those for the GPL alone. ``init`` and ``exit`` are 0 where it has
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
    sections: Mapping[int, int]
    columns: SymbolColumns
    this_module: int = 0
    init: int = 0
    exit: int = 0
    per_cpu: tuple[int, int] = (0, 0)
    bugs: tuple[int, int] = (0, 0)
    parameters: int = 0
    exports: Mapping[str, int] = field(default_factory=dict)
    gpl_only: frozenset[str] = frozenset()
    has_init_memory: bool = True
    _functions: list[tuple[int, int]] | None = None

    def is_text(self, address: int) -> bool:
        """Tell whether ``address`` is in the module's code."""
        return (
            self.start <= address < self.text_end or self.init_start <= address < self.init_text_end
        )

    def find(self, address: int) -> Place:
        """Name the function that ``address`` is in (find_kallsyms_symbol)."""
        if self._functions is None:
            self._functions = sorted(
                (self.sections[self.columns.sections[index]] + self.columns.value(index), index)
                for index in self.columns.functions()
                if self.columns.sections[index] in self.sections
            )
        functions = self._functions
        at = bisect_right(functions, (address, 1 << 62)) - 1
        in_init = self.init_start <= address < self.init_end
        low = self.init_start if in_init else self.start
        if at < 0 or functions[at][0] < low:
            return Place(self.name, "", address - low, 0)
        start = functions[at][0]
        # Of several names for one address the first in the table counts.
        first = bisect_right(functions, (start, -1))
        above = bisect_right(functions, (start, 1 << 62))
        end = self.init_text_end if in_init else self.text_end
        if above < len(functions) and functions[above][0] < end:
            end = functions[above][0]
        try:
            name = self.columns.name(functions[first][1])
        except ModuleFileError:
            return Place(self.name, "", address - low, 0)
        return Place(self.name, name, address - start, max(end - start, 0))


class Placer:
    """Puts modules into memory. ``resolve`` gives the address of an imported symbol, 0 for none;
    ``per_cpu`` takes room for a module's variables that each processor has its own of.
    """

    def __init__(
        self,
        memory: Memory,
        resolve: Callable[[str, Resident], int],
        per_cpu: Callable[[int, int], int],
    ) -> None:
        self._memory = memory
        self._resolve = resolve
        self._per_cpu = per_cpu

    def place(
        self, candidate: Candidate, resident: Resident, symbols: SymbolColumns
    ) -> ModuleImage:
        """Copy the sections that stay to where the module's addresses are, and relocate them.

        Raises Refusal and ModuleFileError.
        """
        elf, layout = candidate.module.elf, resident.layout
        places = {index: resident.address + at for index, at in layout.core_places.items()}
        inits = {index: resident.init_address + at for index, at in layout.init_places.items()}
        both = places | inits
        image = ModuleImage(
            name=resident.name,
            start=resident.address,
            end=resident.address + layout.core,
            init_start=resident.init_address,
            init_end=resident.init_address + layout.init,
            text_end=_text_end(elf, places) or resident.address,
            init_text_end=_text_end(elf, inits) or resident.init_address,
            sections=both,
            columns=symbols,
        )
        per_cpu = find_section(candidate.module, PER_CPU)
        if per_cpu is not None and per_cpu.size:
            image.per_cpu = self._per_cpu(per_cpu.size, per_cpu.align), per_cpu.size
            both[per_cpu.index] = image.per_cpu[0]
        addresses = self._addresses(resident, symbols, both)
        for section, table in _contents(elf, both):
            self._copy(elf, section, table, both[section.index], addresses, resident.name)
        self._note(candidate, resident, image, addresses)
        return image

    def _addresses(
        self, resident: Resident, symbols: SymbolColumns, places: Mapping[int, int]
    ) -> list[int]:
        """Return the addresses of all symbols."""
        get = places.get
        columns = zip(symbols.sections, symbols.low_values(), strict=True)
        found = [get(section, 0) + value for section, value in columns]
        found[0] = 0
        for index in symbols.undefined():
            found[index] = self._resolve(symbols.name(index), resident)
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
        resident: Resident,
        image: ModuleImage,
        addresses: list[int],
    ) -> None:
        """Note what of the module others look for."""

        def address_of(name: str) -> tuple[int, int]:
            section = find_section(candidate.module, name)
            if section is None or section.index not in image.sections:
                return 0, 0
            return image.sections[section.index], section.size

        image.this_module = address_of(THIS_MODULE)[0]
        image.bugs = address_of("__bug_table")
        image.parameters = address_of("__param")[0]
        if resident.init_symbol is not None:
            image.init = addresses[resident.init_symbol]
        if resident.exit_symbol is not None:
            image.exit = addresses[resident.exit_symbol]
        if resident.exports:
            symbols, wanted = image.columns, resident.exports
            named = ((symbols.name(at), at) for at in symbols.defined_globals())
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
