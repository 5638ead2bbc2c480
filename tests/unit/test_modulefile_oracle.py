# SPDX-License-Identifier: Apache-2.0
"""The reader against readers that others wrote: pyelftools, and modinfo(8)."""

import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import (
    ENUM_E_TYPE,
    ENUM_SH_TYPE_BASE,
    ENUM_ST_INFO_BIND,
    ENUM_ST_INFO_TYPE,
    ENUM_ST_SHNDX,
)
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import NoteSection, SymbolTableSection

from kmodd.modulefile import DeclaredParameter, ElfMachine, ModuleFile
from tests.support.debian import DebianTree
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.require import require
from tests.unit.test_modulefile import SHAPES

SAMPLES = 16
MAX_SIZE = 300_000
"""Bytes of the largest module compared but for drm; pyelftools takes a second for 3 MB."""


@pytest.fixture(scope="module")
def sample(debian_tree: DebianTree) -> tuple[Path, ...]:
    """Modules from all over the tree, and drm, which exports the most."""
    found = sorted(debian_tree.directory.glob("kernel/**/*.ko*"))
    assert len(found) > 1000
    usual = [path for path in found[:: len(found) // SAMPLES] if path.stat().st_size < MAX_SIZE]
    return (*usual, *debian_tree.directory.glob("kernel/drivers/gpu/drm/drm.ko*"))


def test_debians_modules_read_as_pyelftools_reads_them(sample: tuple[Path, ...]) -> None:
    for path in sample:
        with ModuleFile.open(path) as module:
            assert_same(module)
            assert_same_build_id(module)


@pytest.mark.parametrize(("machine", "bits", "byteorder"), SHAPES)
def test_written_modules_read_as_pyelftools_reads_them(
    machine: ElfMachine, bits: Literal[32, 64], byteorder: Literal["little", "big"]
) -> None:
    spec = ModuleSpec(
        machine=machine,
        bits=bits,
        byteorder=byteorder,
        exports=(Export("shared", gpl_only=True, namespace="SPACE"), Export("other")),
        imports=(Import("strong", crc=1), Import("weak", weak=True)),
    )
    assert_same(ModuleFile.parse(write_module(spec)))


def test_signatures_are_those_that_modinfo_shows(sample: tuple[Path, ...]) -> None:
    signed = 0
    for path in sample:
        fields = (line.partition("=")[::2] for line in modinfo("-0", path).split("\0"))
        shown = {key: value for key, value in fields if key.startswith("sig")}
        with ModuleFile.open(path) as module:
            signature = module.signature()
        if signature and shown.get("signer"):
            signed += 1
            assert shown == {
                "sig_id": signature.type.value,
                "signer": signature.signer,
                "sig_key": hexadecimal(signature.key_id),
                "sig_hashalgo": signature.hash_algorithm,
                "signature": hexadecimal(signature.value),
            }
    require(signed > 0, "signed modules, and a modinfo with a library for signatures")


def test_parameters_are_those_that_modinfo_shows(sample: tuple[Path, ...]) -> None:
    for path in sample:
        with ModuleFile.open(path) as module:
            ours = [modinfo_line(parameter) for parameter in module.parameters()]
        shown = modinfo("-0", "-F", "parm", path)
        assert sorted(ours) == sorted(filter(None, shown.split("\0")))


def modinfo_line(parameter: DeclaredParameter) -> str:
    """A parameter in modinfo's words."""
    if not parameter.description:
        return f"{parameter.name}:{parameter.type}"
    kind = f" ({parameter.type})" if parameter.type else ""
    return f"{parameter.name}:{parameter.description}{kind}"


def modinfo(*arguments: str | Path) -> str:
    """What modinfo(8) prints."""
    tool = require("modinfo", "the reader is compared with modinfo(8), of the package kmod")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


def assert_same(module: ModuleFile) -> None:
    """Compare all that pyelftools knows of the module's tables."""
    oracle = ELFFile(BytesIO(module.image))
    elf = module.elf
    assert (elf.bits, elf.byteorder == "little") == (oracle.elfclass, oracle.little_endian)
    assert elf.type == ENUM_E_TYPE[oracle["e_type"]]
    assert elf.machine == struct.unpack_from(elf.order + "H", module.image, 18)[0]
    assert elf.flags == oracle["e_flags"]

    sections = list(oracle.iter_sections())
    fields = ("flags", "addr", "offset", "size", "link", "info", "addralign", "entsize")
    assert [
        (s.name, s.flags, s.addr, s.offset, s.size, s.link, s.info, s.align, s.entsize)
        for s in elf.sections
    ] == [(s.name, *(s[f"sh_{field}"] for field in fields)) for s in sections]
    for ours, theirs in zip(elf.sections, sections, strict=True):
        if theirs["sh_type"] in ("SHT_PROGBITS", "SHT_STRTAB", "SHT_RELA"):
            assert ours.type == ENUM_SH_TYPE_BASE[theirs["sh_type"]]
            assert module.section_data(ours) == theirs.data()
        if isinstance(theirs, RelocationSection):
            assert_same_relocations(module, ours.info, theirs)
    assert_same_symbols(module, oracle)


def assert_same_build_id(module: ModuleFile) -> None:
    """Compare the build id, which every module of Debian's has."""
    section = ELFFile(BytesIO(module.image)).get_section_by_name(".note.gnu.build-id")
    assert isinstance(section, NoteSection)
    build_id = module.build_id()
    assert build_id is not None
    assert [build_id.hex()] == [note["n_desc"] for note in section.iter_notes()]


def assert_same_relocations(module: ModuleFile, index: int, theirs: RelocationSection) -> None:
    """Compare the relocations of the section at ``index``."""
    assert [
        (r.offset, r.symbol, r.type, r.addend)
        for r in module.relocations(module.elf.section_at(index))
    ] == [
        (r["r_offset"], r["r_info_sym"], r["r_info_type"], r["r_addend"] if r.is_RELA() else None)
        for r in theirs.iter_relocations()
    ]


def assert_same_symbols(module: ModuleFile, oracle: ELFFile) -> None:
    """Compare the symbol table, and what follows from it."""
    table = oracle.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    theirs = list(table.iter_symbols())
    assert [(s.name, s.value, s.size, s.binding, s.type, s.section) for s in module.symbols()] == [
        (
            s.name,
            s["st_value"],
            s["st_size"],
            ENUM_ST_INFO_BIND[s["st_info"]["bind"]],
            ENUM_ST_INFO_TYPE[s["st_info"]["type"]],
            ENUM_ST_SHNDX.get(s["st_shndx"], s["st_shndx"]),
        )
        for s in theirs
    ]
    undefined = [s for s in theirs if s["st_shndx"] == "SHN_UNDEF" and s.name]
    assert [(s.name, s.weak) for s in module.undefined()] == [
        (s.name, s["st_info"]["bind"] == "STB_WEAK") for s in undefined
    ]
    crcs = [s for s in theirs if s.name.startswith("__crc_")]
    assert [name for name, _ in module.symbol_crcs()] == [s.name[6:] for s in crcs]
    assert {export.name: export.crc for export in module.exports()} == dict(module.symbol_crcs())
    assert module.has_init() == any(s.name == "init_module" for s in theirs)


def hexadecimal(data: bytes) -> str:
    """``data`` as modinfo shows it: 20 bytes a line."""
    lines = [data[start : start + 20].hex(":").upper() for start in range(0, len(data), 20)]
    return ":\n\t\t".join(lines)
