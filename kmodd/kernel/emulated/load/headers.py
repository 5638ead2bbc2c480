# SPDX-License-Identifier: Apache-2.0
"""What the kernel asks of a module's ELF headers, in its order and with its words.

The rules are those of ``elf_validity_check`` and ``setup_load_info`` (kernel/module/main.c; from
Linux 6.4 to 6.12 ``elf_validity_cache_copy``, and since 6.13 that function cut in parts). The
kernel takes the fields for those of its own machine, whatever class and byte order a file claims.
"""

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kmodd.errors import Reason
from kmodd.kernel.emulated.modules.candidate import SHF_ALLOC, Candidate, find_section
from kmodd.kernel.emulated.release.vmlinux import MachineType, Vmlinux
from kmodd.kernel.emulated.reporting.log import Level, Printk
from kmodd.kernel.emulated.reporting.refusal import Refusal, format_refusal
from kmodd.modulefile import ElfType, ModuleFile, SectionType
from kmodd.modulefile.elf import SHN_UNDEF, Section
from kmodd.modulefile.file import THIS_MODULE
from kmodd.modulefile.modinfo import pairs_of

NAMELESS = "(missing .modinfo section or name field)"
"""What messages call a module that does not tell its name."""

_HEADER_LAYOUT = {32: "HH4x4x4xII6xHHH", 64: "HH4x8x8xQI6xHHH"}
_HEADER_SIZE = {32: 52, 64: 64}
_ROW_LAYOUT = {32: "10I", 64: "IIQQQQIIQQ"}


@dataclass(slots=True)
class _Headers:
    """An ELF header and section table as a kernel for ``machine`` reads them."""

    image: bytes
    machine: MachineType
    type: int
    number: int
    table_offset: int
    entry_size: int
    count: int
    names_index: int
    rows: list[tuple[int, ...]]

    @classmethod
    def read(cls, image: bytes, machine: MachineType) -> "_Headers":
        order = "<" if machine.byteorder == "little" else ">"
        fields = struct.unpack_from(order + _HEADER_LAYOUT[machine.bits], image, 16)
        kind, number, offset, _flags, entry_size, count, names = fields
        return cls(image, machine, kind, number, offset, entry_size, count, names, [])

    def read_rows(self) -> None:
        order = "<" if self.machine.byteorder == "little" else ">"
        row = struct.Struct(order + _ROW_LAYOUT[self.machine.bits])
        end = self.table_offset + self.count * row.size
        self.rows = list(row.iter_unpack(self.image[self.table_offset : end]))

    def is_inside(self, row: tuple[int, ...]) -> bool:
        return row[4] + row[5] <= len(self.image)


def machine_of(image: bytes) -> MachineType:
    """Return the machine that the header of ``image`` itself names, for want of another."""
    bits = 32 if image[4:5] == b"\x01" else 64
    byteorder: Literal["little", "big"] = "big" if image[5:6] == b"\x02" else "little"
    return MachineType(bits, byteorder, int.from_bytes(image[18:20], byteorder))


def check_length(image: bytes, vmlinux: Vmlinux) -> None:
    """Refuse what init_module(2) does not even look at, and logs nothing of."""
    machine = vmlinux.machine or machine_of(image)
    if len(image) < _HEADER_SIZE[machine.bits]:
        raise Refusal(Reason.INVALID_MODULE_FILE, errno.ENOEXEC, _too_short(image))


def check_headers(image: bytes, vmlinux: Vmlinux, printk: Printk) -> None:
    """Refuse an image whose headers the kernel would not take (ENOEXEC).

    Everything is looked at that the kernel looks at; what ModuleFile asks beyond that is refused
    where it is read.
    """
    machine = vmlinux.machine or machine_of(image)
    why = _complain_of_identity(image, machine)
    if why:
        printk(Level.ERR, why)
        raise format_refusal(why)
    why = _complain_of_tables(image, machine)
    if why:
        printk(Level.ERR, why)
        raise Refusal(Reason.INVALID_MODULE_FILE, errno.ENOEXEC, why)


def _complain_of_identity(image: bytes, machine: MachineType) -> str:
    """Return why an ELF file is not one for this kernel; empty also for what is no ELF file."""
    if len(image) < _HEADER_SIZE[machine.bits] or image[:4] != b"\x7fELF":
        return ""
    headers = _Headers.read(image, machine)
    if headers.type != ElfType.REL:
        return f"Invalid ELF header type: {headers.type} != {ElfType.REL}"
    if headers.number != machine.number:
        return f"Invalid architecture in ELF header: {headers.number}"
    return ""


def _too_short(image: bytes) -> str:
    return f"Invalid ELF header len {len(image)}"


def _complain_of_tables(image: bytes, machine: MachineType) -> str:
    """Return what is wrong with the headers, empty where nothing is."""
    if len(image) < _HEADER_SIZE[machine.bits]:
        return _too_short(image)
    if image[:4] != b"\x7fELF":
        return "Invalid ELF header magic: != \x7fELF"
    headers = _Headers.read(image, machine)
    row_size = struct.calcsize("=" + _ROW_LAYOUT[machine.bits])
    if headers.entry_size != row_size:
        return "Invalid ELF section header size"
    room = len(image) - headers.table_offset
    if room <= 0 or headers.count * row_size > room:
        return "Invalid ELF section header overflow"
    headers.read_rows()
    return _complain_of_names(headers) or _complain_of_sections(headers)


def _complain_of_names(headers: _Headers) -> str:
    index, count = headers.names_index, headers.count
    if index == SHN_UNDEF or index >= count:
        return (
            f"Invalid ELF section name index: {index} || e_shstrndx ({index}) >= e_shnum ({count})"
        )
    names = headers.rows[index]
    if not headers.is_inside(names):
        return f"Invalid ELF section hdr(type {names[1]})"
    if not names[5]:
        return "empty section name table"
    if headers.image[names[4] + names[5] - 1]:
        return "ELF Spec violation: section name table isn't null terminated"
    return ""


def _complain_of_sections(headers: _Headers) -> str:
    first, count = headers.rows[0], headers.count
    names_size = headers.rows[headers.names_index][5]
    if first[1] != SectionType.NULL or first[5] or first[3]:
        return f"ELF Spec violation: section 0 type({first[1]})!=SH_NULL or non-zero len or addr"
    for index, row in enumerate(headers.rows[1:], 1):
        name, kind, flags, link = row[0], row[1], row[2], row[6]
        if kind in (SectionType.NULL, SectionType.NOBITS):
            continue
        if kind == SectionType.SYMTAB and (link == SHN_UNDEF or link >= count):
            bound = f"(sh_link({link}) >= hdr->e_shnum({count})"
            return f"Invalid ELF sh_link!=SHN_UNDEF({link}) or {bound}"
        if not headers.is_inside(row):
            return f"Invalid ELF section in module (section {index} type {kind})"
        if flags & SHF_ALLOC and name >= names_size:
            return f"Invalid ELF section name in module (section {index} type {kind})"
    return ""


def set_up(module: ModuleFile, vmlinux: Vmlinux, printk: Printk) -> Candidate:
    """Find the tables that every module has (setup_load_info); raises Refusal (ENOEXEC)."""
    strings = module.modinfo_strings() if find_section(module, ".modinfo") else ()
    # A tag without its ``=`` is none (get_next_modinfo).
    modinfo = pairs_of(each for each in strings if "=" in each)
    label = next((value for key, value in modinfo if key == "name"), "")
    for level, why in _missing_tables(module, label or NAMELESS, vmlinux):
        printk(level, why)
        raise format_refusal(why)
    name = module.this_module_name() or ""
    return Candidate(module, label or name, name, modinfo)


def _missing_tables(
    module: ModuleFile, label: str, vmlinux: Vmlinux
) -> Iterator[tuple[Level, str]]:
    """Yield the complaints of ``setup_load_info``, the first of which ends the load."""
    symbols = [each for each in module.elf.sections if each.type == SectionType.SYMTAB]
    stripped = Level.WARNING, f"{label}: module has no symbols (stripped?)"
    if vmlinux.version < (6, 4):
        if not symbols:
            yield stripped
        if find_section(module, THIS_MODULE) is None:
            yield Level.WARNING, f"{label}: No module found in object"
        return
    if len(_all_named(module, ".modinfo")) > 1:
        yield Level.ERR, "Only one .modinfo section must exist."
    if vmlinux.version < (6, 13) and len(symbols) != 1:
        yield stripped
    for why in _wrong_this_module(_all_named(module, THIS_MODULE), vmlinux):
        yield Level.ERR, f"module {label}: {why}"
    if len(symbols) != 1:
        yield stripped


def _wrong_this_module(sections: list[Section], vmlinux: Vmlinux) -> Iterator[str]:
    """Yield what Linux has against the section with ``struct module``, since 6.4."""
    if len(sections) != 1:
        how_many = "Only" if vmlinux.version < (6, 13) else "Exactly"
        yield f"{how_many} one {THIS_MODULE} section must exist."
        return
    if sections[0].type == SectionType.NOBITS:
        yield f"{THIS_MODULE} section must have a size set"
    if not sections[0].flags & SHF_ALLOC:
        yield f"{THIS_MODULE} must occupy memory during process execution"
    if vmlinux.struct_module_size not in (0, sections[0].size):
        yield (
            f"{THIS_MODULE} section size must match the kernel's built struct module size at run "
            "time"
        )


def _all_named(module: ModuleFile, name: str) -> list[Section]:
    return [each for each in module.elf.sections if each.name == name]
