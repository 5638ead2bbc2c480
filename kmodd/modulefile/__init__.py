# SPDX-License-Identifier: Apache-2.0
"""Read one kernel module file: its compression, ELF tables, modinfo, symbols and signature.

Nothing here knows a daemon, a thread or another file. Whatever a file claims is checked before it
is used: the only error is ModuleFileError, and time and memory grow with the file's size alone.

What few questions need is imported when one of these is asked: symbols, what is exported, versions
and relocations, and what undoes a compression. It is taken from its own module.
"""

from kmodd.modulefile.compression import MAX_IMAGE, Compression, detect_compression
from kmodd.modulefile.elf import Elf, ElfMachine, ElfType, Section, SectionType
from kmodd.modulefile.file import ModuleFile
from kmodd.modulefile.modinfo import DeclaredParameter, parameters_of
from kmodd.modulefile.signature import Signature, SignatureType, Trailer

__all__ = [
    "MAX_IMAGE",
    "Compression",
    "DeclaredParameter",
    "Elf",
    "ElfMachine",
    "ElfType",
    "ModuleFile",
    "Section",
    "SectionType",
    "Signature",
    "SignatureType",
    "Trailer",
    "detect_compression",
    "parameters_of",
]
