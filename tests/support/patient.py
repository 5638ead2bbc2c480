# SPDX-License-Identifier: Apache-2.0
"""A good module to damage a field at a time, and every question to ask of what becomes of it."""

import struct

from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import Export, ExtraSection, Import, ModuleSpec, write_module

# The offset and the format of fields in a 64-bit little-endian file, as elf(5) has them.
HEADER = {
    "magic": (0, "<I"),
    "class": (4, "<B"),
    "data": (5, "<B"),
    "shoff": (40, "<Q"),
    "shentsize": (58, "<H"),
    "shnum": (60, "<H"),
    "shstrndx": (62, "<H"),
}
SECTION = {
    "name": (0, "<I"),
    "type": (4, "<I"),
    "offset": (24, "<Q"),
    "size": (32, "<Q"),
    "link": (40, "<I"),
    "info": (44, "<I"),
    "entsize": (56, "<Q"),
}
SPEC = ModuleSpec(
    exports=(Export("open", 1), Export("gpl", 2, gpl_only=True, namespace="SPACE")),
    imports=(Import("needed", crc=3), Import("wished", weak=True)),
    modinfo=(("parm", "debug:level"), ("parmtype", "debug:int")),
    sections=(ExtraSection(".note.gnu.build-id", struct.pack("<3I", 4, 4, 3) + b"GNU\0\1\2\3\4"),),
)


class Patient:
    """A good module, 64-bit and little-endian (that of SPEC, or ``image``), to be damaged."""

    def __init__(self, image: bytes | None = None) -> None:
        good = write_module(SPEC) if image is None else image
        self.image = bytearray(good)
        self._good = ModuleFile.parse(good)

    def cut(self, size: int) -> None:
        """Leave no more than the first ``size`` bytes of the file."""
        del self.image[size:]

    def header(self, field: str, value: int) -> None:
        """Set a field of the ELF header."""
        offset, layout = HEADER[field]
        struct.pack_into(layout, self.image, offset, value)

    def section(self, name: str, field: str, value: int) -> None:
        """Set a field of a section's entry in the section table; "" is the entry at 0."""
        section = self._good.section(name) if name else self._good.elf.section_at(0)
        assert section is not None
        offset, layout = SECTION[field]
        table = int.from_bytes(self.image[40:48], "little")
        struct.pack_into(layout, self.image, table + 64 * section.index + offset, value)

    def contents(self, name: str, offset: int, data: bytes) -> None:
        """Replace bytes of a section; a negative offset counts from its end."""
        section = self._good.section(name)
        assert section is not None
        start = section.offset + (offset if offset >= 0 else section.size + offset)
        self.image[start : start + len(data)] = data

    def symbol(self, name: str, offset: int, data: bytes) -> None:
        """Replace bytes of a symbol's entry."""
        names = [symbol.name for symbol in self._good.symbols()]
        self.contents(".symtab", 24 * names.index(name) + offset, data)

    def set_count(self, count: int) -> None:
        """Write the number of sections where the header has no room for it."""
        self.header("shnum", 0)
        self.section("", "size", count)

    def set_names_index(self, index: int) -> None:
        """Write the index of the section names where the header has no room for it."""
        self.header("shstrndx", 0xFFFF)
        self.section("", "link", index)

    def parse(self) -> ModuleFile:
        """Open what has become of the module."""
        return ModuleFile.parse(bytes(self.image), path="sick.ko")


def ask_everything(module: ModuleFile) -> None:
    """Ask the module every question that there is."""
    for section in module.elf.sections:
        module.section(section.name)
        module.section_data(section)
        module.relocations(section)
    module.modinfo()
    module.parameters()
    list(module.symbols())
    module.undefined()
    module.exports()
    module.symbol_crcs()
    module.dependency_symbols()
    module.versions()
    module.signature()
    module.this_module_name()
    module.build_id()
    module.has_init()
    module.has_exit()
