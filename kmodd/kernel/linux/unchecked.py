# SPDX-License-Identifier: Apache-2.0
"""A module without what is not to be checked of it: init_module(2) has no flags to say so.

That is what the flags of finit_module(2) stand for: a kernel that does not see the versions of
symbols, or the version magic, cannot compare them. A signature no longer fits.
"""

import re
import struct

from kmodd.kernel.base import InsertFlags
from kmodd.modulefile import ModuleFile

_VERSIONS = ("__versions", "__version_ext_crcs", "__version_ext_names")
_VERMAGIC = re.compile(rb"(?:\A|(?<=\0))vermagic=[^\0]*")

# Where e_shoff is in an ELF header and what it is, and sh_flags in a section's header (elf(5)).
_TABLE_OFFSET = {32: (32, "I"), 64: (40, "Q")}
_FLAGS_OFFSET, _ROW_SIZE = 8, {32: 40, 64: 64}
_SHF_ALLOC = 2


def without_checks(image: bytes, flags: InsertFlags) -> bytes:
    """Return ``image`` without what ``flags`` ignore; raises ModuleFileError."""
    edited = bytearray(image)
    with ModuleFile.parse(image) as module:
        if flags & InsertFlags.IGNORE_MODVERSIONS:
            _hide_versions(edited, module)
        if flags & InsertFlags.IGNORE_VERMAGIC:
            _blank_vermagic(edited, module)
    return bytes(edited)


def _hide_versions(edited: bytearray, module: ModuleFile) -> None:
    """Take the sections of versions out of those that are allocated: the kernel sees no others."""
    elf = module.elf
    at, word = _TABLE_OFFSET[elf.bits]
    (table,) = struct.unpack_from(elf.order + word, edited, at)
    for section in filter(None, map(module.section, _VERSIONS)):
        place = table + section.index * _ROW_SIZE[elf.bits] + _FLAGS_OFFSET
        struct.pack_into(elf.order + word, edited, place, section.flags & ~_SHF_ALLOC)


def _blank_vermagic(edited: bytearray, module: ModuleFile) -> None:
    section = module.section(".modinfo")
    if section is None:
        return
    found = _VERMAGIC.search(module.section_data(section))
    if found:
        start = section.offset + found.start()
        edited[start : start + len(found[0])] = bytes(len(found[0]))
