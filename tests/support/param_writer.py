# SPDX-License-Identifier: Apache-2.0
"""Write the parameters of a module: the ``__param`` section and what its words point at.

The layouts are those of include/linux/moduleparam.h: ``struct kernel_param``, ``kparam_array`` and
``kparam_string``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.elf_object import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    STB_LOCAL,
    STT_FUNC,
    STT_SECTION,
    ElfObject,
    ObjectSection,
    ObjectSymbol,
)

OPERATIONS_CRCS = {
    "param_array_ops": 0x09BD7B42,
    "param_ops_bint": 0x4301061F,
    "param_ops_bool": 0xE5B3ABAD,
    "param_ops_bool_enable_only": 0xDE00AFFB,
    "param_ops_byte": 0x51705436,
    "param_ops_charp": 0x744E0813,
    "param_ops_hexint": 0xF1B8B4F0,
    "param_ops_int": 0x69E0FBDC,
    "param_ops_invbool": 0x2354AA15,
    "param_ops_long": 0xB8B5A630,
    "param_ops_short": 0xF32BB8BF,
    "param_ops_string": 0x77B4F4C9,
    "param_ops_uint": 0x91C14D8D,
    "param_ops_ullong": 0x015A373A,
    "param_ops_ulong": 0xA421E6E4,
    "param_ops_ushort": 0x72893A32,
}
"""The versions of the kernel's own types of parameters in Debian's 6.1 x86-64 kernel."""

UNSAFE = 1
"""KERNEL_PARAM_FL_UNSAFE: setting the parameter taints."""

_SIZES = {
    **dict.fromkeys(("bool", "bool_enable_only", "byte", "invbool"), 1),
    **dict.fromkeys(("short", "ushort"), 2),
    **dict.fromkeys(("bint", "hexint", "int", "uint"), 4),
    "ullong": 8,
}


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter.

    ``elements`` makes an array of so many, ``buffer`` is the size of a ``string``; ``counted``
    gives the array a variable for how many of them are set. ``initial`` is what the variable holds.
    ``setter`` is x86 code of the module's own that sets a ``kind`` of its own.
    """

    name: str
    kind: str = "int"
    mode: int = 0o644
    flags: int = 0
    elements: int = 0
    counted: bool = True
    buffer: int = 0
    initial: bytes = b""
    setter: bytes = b""

    @property
    def operations(self) -> tuple[str, ...]:
        """The symbols that the parameter is set and shown with."""
        element = f"param_ops_{self.kind}"
        return ("param_array_ops", element) if self.elements else (element,)


def operations_versions(parameters: Iterable[Param]) -> list[tuple[str, int]]:
    """Return the entries of ``__versions`` for the symbols that ``parameters`` need."""
    names = dict.fromkeys(name for each in parameters for name in each.operations)
    return [(name, OPERATIONS_CRCS[name]) for name in names if name in OPERATIONS_CRCS]


def add_parameters(module: ElfObject, parameters: Iterable[Param]) -> None:
    """Add ``parameters`` to ``module``, which has its ``struct module`` already."""
    parameters = tuple(parameters)
    if parameters:
        _Writer(module).add(parameters)


class _Writer:
    """The sections that the parameters of one module are in."""

    def __init__(self, module: ElfObject) -> None:
        self._module = module
        self._word = module.bits // 8
        self._table = module.add("__param", b"", SHF_ALLOC, 8)
        self._constants = module.add(".rodata", b"", SHF_ALLOC, 8)
        self._data = module.add(".data", b"", SHF_ALLOC | SHF_WRITE, 8)
        self._operations: dict[str, ObjectSymbol] = {}
        owners = (symbol for symbol in module.symbols if symbol.name == "__this_module")
        self._owner = next(owners, None)
        self._bases = {
            id(section): module.define(
                ObjectSymbol("", section, binding=STB_LOCAL, type=STT_SECTION)
            )
            for section in (self._constants, self._data)
        }

    def add(self, parameters: Iterable[Param]) -> None:
        for parameter in parameters:
            name = self._place(self._constants, parameter.name.encode() + b"\0")
            start = len(self._table.data)
            self._table.data += bytes(3 * self._word)
            self._table.data += self._module.pack("HbB", parameter.mode, -1, parameter.flags)
            self._table.data += bytes(self._word - 4 + self._word)
            self._point(self._table, start, name)
            if self._owner:
                self._table.relocate(start + self._word, "pointer", self._owner)
            operations = (
                self._own_operations(parameter)
                if parameter.setter
                else self._operation(parameter.operations[0])
            )
            self._table.relocate(start + 2 * self._word, "pointer", operations)
            self._point(self._table, start + 4 * self._word, self._argument(parameter))

    def _own_operations(self, parameter: Param) -> ObjectSymbol:
        """Add the module's own ``struct kernel_param_ops``: flags, set, get, free."""
        home = self._module.add(
            f".text.{parameter.kind}", parameter.setter, SHF_ALLOC | SHF_EXECINSTR
        )
        setter = self._module.define(
            ObjectSymbol(f"param_set_{parameter.kind}", home, binding=STB_LOCAL, type=STT_FUNC)
        )
        section, place = self._place(self._constants, bytes(4 * self._word))
        section.relocate(place + self._word, "pointer", setter)
        return self._module.define(
            ObjectSymbol(f"param_ops_{parameter.kind}", section, place, binding=STB_LOCAL)
        )

    def _argument(self, parameter: Param) -> tuple[ObjectSection, int]:
        """Return where the parameter's value is, or what describes it."""
        if parameter.elements:
            return self._array(parameter)
        if parameter.kind == "string":
            buffer = self._place(self._data, parameter.initial.ljust(parameter.buffer, b"\0"))
            head = self._module.pack("I", parameter.buffer).ljust(2 * self._word, b"\0")
            place = self._place(self._constants, head)
            self._point(self._constants, place[1] + self._word, buffer)
            return place
        if parameter.kind == "charp":
            place = self._place(self._data, bytes(self._word))
            if parameter.initial:
                text = self._place(self._constants, parameter.initial + b"\0")
                self._point(self._data, place[1], text)
            return place
        return self._place(self._data, parameter.initial.ljust(self._size(parameter), b"\0"))

    def _array(self, parameter: Param) -> tuple[ObjectSection, int]:
        size = self._size(parameter)
        elements = self._place(
            self._data, parameter.initial.ljust(size * parameter.elements, b"\0")
        )
        head = self._module.pack("II", parameter.elements, size)
        place = self._place(self._constants, head + bytes(3 * self._word))
        at = place[1] + 8
        if parameter.counted:
            count = self._module.pack("I", len(parameter.initial) // size)
            self._point(self._constants, at, self._place(self._data, count))
        element = self._operation(parameter.operations[1])
        self._constants.relocate(at + self._word, "pointer", element)
        self._point(self._constants, at + 2 * self._word, elements)
        return place

    def _size(self, parameter: Param) -> int:
        return _SIZES.get(parameter.kind, self._word)

    def _place(self, section: ObjectSection, data: bytes) -> tuple[ObjectSection, int]:
        section.data += bytes(-len(section.data) % 8)
        place = len(section.data)
        section.data += data
        return section, place

    def _point(self, section: ObjectSection, at: int, place: tuple[ObjectSection, int]) -> None:
        section.relocate(at, "pointer", self._bases[id(place[0])], place[1])

    def _operation(self, name: str) -> ObjectSymbol:
        if name not in self._operations:
            self._operations[name] = self._module.define(ObjectSymbol(name))
        return self._operations[name]
