# SPDX-License-Identifier: Apache-2.0
"""The parameters that a module really has: its ``__param`` section.

``.modinfo`` only describes parameters; the kernel goes by ``struct kernel_param`` (include/linux/
moduleparam.h), an array of which lies in ``__param``: name, owner, operations, permissions, level,
flags, and where the value is. In a file these are zeros with relocations, whose targets tell the
same: the name's string, the ``param_ops_*`` that the type is known by, the variable.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.modules.candidate import find_section
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import SHN_UNDEF, Section, SectionContents
from kmodd.modulefile.relocations import Relocation

MAX_PARAMETERS = 1024
"""Parameters of the module with the most (Debian's have up to 91)."""

MAX_ELEMENTS = 4096
"""Elements of an array that are shown; the longest of Debian's has 256."""

UNSAFE, HARDWARE = 1, 2
"""Flags of a parameter (KERNEL_PARAM_FL_*): setting it taints; it names a hardware address."""

_NO_ARGUMENT = 1
"""A flag of operations: they take a parameter without a value (KERNEL_PARAM_OPS_FL_NOARG)."""

_OPS_PREFIX = "param_ops_"
_ARRAY_OPS = "param_array_ops"
_MAX_NAME = 1024


@dataclass(slots=True)
class ModuleParameter:
    """One parameter. ``kind`` is the type in moduleparam.h's words (``int``, ``charp``,
    ``string``), empty for one that only the module's own code can set and show.

    ``maximum`` is the number of elements of an array, or the bytes of a ``string`` with its NUL;
    None for anything else. An array that is ``counted`` knows how many of its elements were given.
    ``bare`` tells whether the module's own code takes a parameter without a value.
    ``value`` is what reading it gives, None where only code can tell. ``index`` is its place in
    the table.
    """

    name: str
    kind: str
    mode: int
    flags: int = 0
    is_array: bool = False
    counted: bool = True
    maximum: int | None = None
    value: str | None = None
    index: int = 0
    bare: bool = True


@dataclass(slots=True)
class ParameterTable:
    """The parameters of one module in the order of its table.

    ``bits`` are those of the module's machine. ``lock`` guards the values once the module is in
    the kernel (``param_lock``).
    """

    parameters: list[ModuleParameter] = field(default_factory=list)
    bits: int = 64
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def __iter__(self) -> Iterator[ModuleParameter]:
        return iter(self.parameters)

    def with_file(self, name: str) -> ModuleParameter | None:
        """Return the parameter whose file in sysfs has that very name."""
        return next((each for each in self if each.mode and each.name == name), None)

    def find(self, name: str) -> ModuleParameter | None:
        """Return the first parameter of that name; dashes and underscores are the same."""
        wanted = name.replace("-", "_")
        return next((each for each in self if each.name.replace("-", "_") == wanted), None)


def read_parameters(module: ModuleFile, symbols: SymbolColumns) -> ParameterTable:
    """Return the parameters of ``module``; ``symbols`` is its symbol table.

    Raises ModuleFileError where the table or its relocations do not add up.
    """
    section = find_section(module, "__param")
    if section is None or not section.size:
        return ParameterTable()
    return ParameterTable(_Reader(module, symbols).parameters(section), module.elf.bits)


class _Reader:
    """Follows the relocations of one module's parameters. For one thread."""

    def __init__(self, module: ModuleFile, symbols: SymbolColumns) -> None:
        self._module = module
        self._symbols = symbols
        self._contents = SectionContents(module.elf)
        self._relocations: dict[int, dict[int, Relocation]] = {}
        self._word = module.elf.bits // 8
        self._order = module.elf.byteorder

    def parameters(self, section: Section) -> list[ModuleParameter]:
        # Three pointers, the permissions, level and flags, and one more pointer, aligned.
        size = (3 + 1 + 1) * self._word
        if section.size > MAX_PARAMETERS * size:
            raise self._module.elf.error(f"more than {MAX_PARAMETERS} parameters")
        starts = range(0, section.size - size + 1, size)
        parameters = [self._parameter(section.index, start) for start in starts]
        for index, parameter in enumerate(parameters):
            parameter.index = index
        return parameters

    def _parameter(self, table: int, start: int) -> ModuleParameter:
        word = self._word
        name = self._string(self._target(table, start))
        mode = self._number(table, start + 3 * word, 2)
        flags = self._number(table, start + 3 * word + 3, 1)
        operations = self._symbol_name(table, start + 2 * word)
        place = self._target(table, start + 4 * word)
        if name is None:
            raise self._module.elf.error(f"no name for the parameter at {start} of __param")
        if operations == _ARRAY_OPS and place is not None:
            return self._array(name, mode, flags, place)
        own = self._target(table, start + 2 * word)
        if own is not None:
            # Whatever their name: it is module_param()'s that begins as those of the kernel do.
            return ModuleParameter(
                name, "", mode, flags, bare=bool(self._number(*own, 4) & _NO_ARGUMENT)
            )
        kind = operations.removeprefix(_OPS_PREFIX) if operations.startswith(_OPS_PREFIX) else ""
        if kind == "string" and place is not None:
            return self._copied_string(name, mode, flags, place)
        return ModuleParameter(name, kind, mode, flags, value=self._value(kind, place))

    def _array(self, name: str, mode: int, flags: int, place: tuple[int, int]) -> ModuleParameter:
        """``struct kparam_array``: maximum, element size, count, operations, elements."""
        section, at = place
        word = self._word
        maximum, element_size = self._number(section, at, 4), self._number(section, at + 4, 4)
        counter = self._target(section, at + 8)
        operations = self._symbol_name(section, at + 8 + word)
        elements = self._target(section, at + 8 + 2 * word)
        kind = operations.removeprefix(_OPS_PREFIX) if operations.startswith(_OPS_PREFIX) else ""
        count = maximum if counter is None else self._number(*counter, 4)
        values = None
        if elements is not None and count <= min(maximum, MAX_ELEMENTS):
            values = [
                self._value(kind, (elements[0], elements[1] + index * element_size))
                for index in range(count)
            ]
        value = None if values is None or None in values else ",".join(map(str, values))
        return ModuleParameter(
            name,
            kind,
            mode,
            flags,
            is_array=True,
            counted=counter is not None,
            maximum=maximum,
            value=value,
        )

    def _copied_string(
        self, name: str, mode: int, flags: int, place: tuple[int, int]
    ) -> ModuleParameter:
        """``struct kparam_string``: the size of the buffer, and the buffer."""
        section, at = place
        size = self._number(section, at, 4)
        value = self._string(self._target(section, at + self._word))
        return ModuleParameter(name, "string", mode, flags, maximum=size, value=value)

    def _value(self, kind: str, place: tuple[int, int] | None) -> str | None:
        """Return what a variable of that kind holds before anything has run, as it is shown."""
        if place is None:
            return None
        size = 1 if kind in ("bool", "invbool", "bool_enable_only") else SIZES.get(kind, 0)
        if kind == "charp":
            pointed_at = self._target(*place)
            return "(null)" if pointed_at is None else self._string(pointed_at)
        size = size or (self._word if kind in ("long", "ulong") else 0)
        if not size:
            return None
        return shown(kind, self._number(*place, size, signed=kind in SIGNED))

    def _target(self, section: int, offset: int) -> tuple[int, int] | None:
        """Return the section, and the offset in it, that a word will point at."""
        relocation = self._relocations_of(section).get(offset)
        if relocation is None:
            return None
        symbol = self._symbol(relocation)
        target = self._symbols.sections[symbol]
        if target == SHN_UNDEF:
            return None
        addend = relocation.addend
        if addend is None:
            addend = self._number(section, offset, self._word, signed=True)
        return target, self._symbols.value(symbol) + addend

    def _symbol_name(self, section: int, offset: int) -> str:
        """Return the name of the symbol that a word will point at, empty for none."""
        relocation = self._relocations_of(section).get(offset)
        return self._symbols.name(self._symbol(relocation)) if relocation else ""

    def _symbol(self, relocation: Relocation) -> int:
        if relocation.symbol >= len(self._symbols):
            raise self._module.elf.error(f"symbol {relocation.symbol} is out of range")
        return relocation.symbol

    def _relocations_of(self, section: int) -> dict[int, Relocation]:
        found = self._relocations.get(section)
        if found is None:
            relocations = self._module.relocations(self._module.elf.section_at(section))
            found = self._relocations[section] = {each.offset: each for each in relocations}
        return found

    def _number(self, section: int, offset: int, size: int, *, signed: bool = False) -> int:
        """Return a number of the section's contents; 0 where it has none in the file (.bss)."""
        data = self._contents[section][offset : offset + size] if offset >= 0 else b""
        return int.from_bytes(data, self._order, signed=signed) if len(data) == size else 0

    def _string(self, place: tuple[int, int] | None) -> str | None:
        if place is None:
            return None
        section, offset = place
        data = self._contents[section]
        if not data:
            return ""
        end = data.find(b"\0", offset, offset + _MAX_NAME) if offset >= 0 else -1
        if end < 0:
            raise self._module.elf.error(f"a parameter's string at {offset} does not end")
        return data[offset:end].decode("utf-8", "surrogateescape")


SIZES = {
    "byte": 1,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "hexint": 4,
    "bint": 4,
    "ullong": 8,
}
"""Bytes of the kinds whose size is the same on all machines."""

SIGNED = frozenset({"short", "int", "bint", "long"})
"""The kinds that can be below zero."""


def shown(kind: str, number: int) -> str:
    """Return how the kernel shows a number of that kind (kernel/params.c)."""
    if kind in ("bool", "bool_enable_only"):
        return "Y" if number else "N"
    if kind == "invbool":
        return "N" if number else "Y"
    if kind == "hexint":
        # Unlike C's printf, the kernel's puts the 0x before a zero too.
        return f"{number:#08x}"
    return str(number)
