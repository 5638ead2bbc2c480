# SPDX-License-Identifier: Apache-2.0
"""Read one kernel module file: its compression, ELF tables, modinfo, symbols and signature.

Nothing here knows a daemon, a thread or another file. Whatever a file claims is checked before it
is used: the only error is ModuleFileError, and time and memory grow with the file's size alone.
"""

from kmodd.modulefile.compression import MAX_IMAGE, Compression, decompress, detect_compression
from kmodd.modulefile.elf import Elf, ElfMachine, ElfType, Section, SectionType
from kmodd.modulefile.exports import ExportedSymbol
from kmodd.modulefile.file import ModuleFile
from kmodd.modulefile.modinfo import DeclaredParameter, parameters_of
from kmodd.modulefile.relocations import Relocation
from kmodd.modulefile.signature import Signature, SignatureType, Trailer
from kmodd.modulefile.symbols import Symbol, UndefinedSymbol
from kmodd.modulefile.versions import SymbolVersion

__all__ = [
    "MAX_IMAGE",
    "Compression",
    "DeclaredParameter",
    "Elf",
    "ElfMachine",
    "ElfType",
    "ExportedSymbol",
    "ModuleFile",
    "Relocation",
    "Section",
    "SectionType",
    "Signature",
    "SignatureType",
    "Symbol",
    "SymbolVersion",
    "Trailer",
    "UndefinedSymbol",
    "decompress",
    "detect_compression",
    "parameters_of",
]
