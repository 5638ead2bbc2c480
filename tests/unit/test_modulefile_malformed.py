# SPDX-License-Identifier: Apache-2.0
"""Module files that lie: each gives ModuleFileError with the file's name and the reason."""

from collections.abc import Callable

import pytest

from kmodd.errors import ModuleFileError, Reason
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.elf import MAX_SECTION_NAME, MAX_SECTIONS
from kmodd.modulefile.modinfo import MAX_MODINFO
from tests.support.elf_writer import (
    Export,
    ExtraSection,
    ModuleSpec,
    write_module,
)
from tests.support.patient import Patient, ask_everything

Damage = Callable[[Patient], None]
Question = Callable[[ModuleFile], object]


def test_undamaged_module_answers_every_question() -> None:
    ask_everything(Patient().parse())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(lambda p: p.cut(0), "too short", id="empty"),
        pytest.param(lambda p: p.cut(51), "too short", id="header-cut"),
        pytest.param(lambda p: p.cut(63), "too short", id="header-cut-of-64-bits"),
        pytest.param(lambda p: p.header("magic", 0), "not an ELF file", id="magic"),
        pytest.param(lambda p: p.header("class", 3), "unknown ELF class 3", id="class"),
        pytest.param(lambda p: p.header("data", 0), "byte order 0", id="byte-order"),
        pytest.param(lambda p: p.header("shoff", 0), "no section table", id="no-table"),
        pytest.param(lambda p: p.header("shoff", len(p.image) - 8), "past the end", id="table-cut"),
        pytest.param(lambda p: p.header("shoff", 2**64 - 1), "past the end", id="table-far-away"),
        pytest.param(lambda p: p.header("shnum", 0xFEFF), "past the end", id="table-too-long"),
        pytest.param(lambda p: p.header("shentsize", 40), "entries of 40 bytes", id="entry-size"),
        pytest.param(lambda p: p.header("shnum", 0), "table of 0 entries", id="no-count"),
        pytest.param(lambda p: p.set_count(2**40), "table of 1099511627776", id="huge-count"),
        pytest.param(lambda p: p.set_count(MAX_SECTIONS), "past the end", id="large-count"),
        pytest.param(lambda p: p.header("shstrndx", 500), "section 500 of", id="names-index"),
        pytest.param(lambda p: p.header("shstrndx", 0xFF00), "out of range", id="names-reserved"),
        pytest.param(lambda p: p.set_names_index(2**32 - 1), "out of range", id="names-extended"),
        pytest.param(lambda p: p.contents(".shstrtab", -1, b"x"), "NUL", id="names-without-end"),
        pytest.param(
            lambda p: p.section(".shstrtab", "offset", 2**62), "past", id="names-far-away"
        ),
        pytest.param(lambda p: p.section(".shstrtab", "size", 2**63), "past", id="names-huge"),
    ],
)
def test_file_that_cannot_be_opened(damage: Damage, reason: str) -> None:
    patient = Patient()
    damage(patient)
    with pytest.raises(ModuleFileError, match=rf"^sick\.ko: .*{reason}") as failure:
        patient.parse()
    assert failure.value.reason is Reason.INVALID_MODULE_FILE


@pytest.mark.parametrize(
    ("damage", "question", "reason"),
    [
        pytest.param(
            lambda p: p.section(".text", "name", 2**32 - 1),
            lambda m: m.elf.sections,
            "name of section 1",
            id="section-name-outside",
        ),
        pytest.param(
            lambda p: p.section(".modinfo", "offset", 2**40),
            ModuleFile.modinfo,
            "past the end",
            id="modinfo-outside",
        ),
        pytest.param(
            lambda p: p.section(".modinfo", "size", 2**62),
            ModuleFile.modinfo,
            "past the end",
            id="modinfo-huge",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "size", 25),
            ModuleFile.undefined,
            "symtab has 25 bytes",
            id="symtab-odd-size",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "entsize", 0),
            ModuleFile.undefined,
            "entries of 0",
            id="symtab-entry-size",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "size", 24 * 2**30),
            ModuleFile.undefined,
            "1073741824 symbols",
            id="symtab-huge",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "offset", 2**40),
            lambda m: list(m.symbols()),
            "past the end",
            id="symtab-outside",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "info", 1000),
            ModuleFile.undefined,
            "1000 of them local",
            id="symtab-more-locals-than-symbols",
        ),
        pytest.param(
            lambda p: p.section(".symtab", "link", 1000),
            ModuleFile.symbol_crcs,
            "section 1000",
            id="symtab-link-out-of-range",
        ),
        pytest.param(
            lambda p: p.contents(".strtab", -1, b"x"),
            ModuleFile.dependency_symbols,
            "does not end in a NUL",
            id="strtab-without-end",
        ),
        pytest.param(
            lambda p: p.section(".strtab", "type", 8),
            ModuleFile.dependency_symbols,
            "outside the string table",
            id="strtab-without-bytes",
        ),
        pytest.param(
            lambda p: p.symbol("needed", 0, b"\xff\xff\xff\xff"),
            ModuleFile.undefined,
            "outside the string table",
            id="symbol-name-outside",
        ),
        pytest.param(
            lambda p: p.symbol("__crc_open", 6, b"\x00\x7f"),
            ModuleFile.symbol_crcs,
            "section 32512 of",
            id="crc-section-out-of-range",
        ),
        pytest.param(
            lambda p: p.symbol("__crc_open", 8, b"\xff" * 8),
            ModuleFile.symbol_crcs,
            "a CRC at 18446744073709551615",
            id="crc-outside-its-section",
        ),
        pytest.param(
            lambda p: p.section("__versions", "size", 63),
            ModuleFile.versions,
            "__versions has 63 bytes",
            id="versions-odd-size",
        ),
        pytest.param(
            lambda p: p.contents("__versions", 8, b"x" * 56),
            ModuleFile.dependency_symbols,
            "__versions does not end in a NUL",
            id="version-name-without-end",
        ),
        pytest.param(
            lambda p: p.section("__ksymtab", "size", 13),
            ModuleFile.exports,
            "__ksymtab has 13 bytes",
            id="ksymtab-odd-size",
        ),
        pytest.param(
            lambda p: p.section("__ksymtab", "size", 2**40),
            ModuleFile.exports,
            "past the end",
            id="ksymtab-huge",
        ),
        pytest.param(
            lambda p: p.section(".rela__ksymtab", "info", 1),
            ModuleFile.exports,
            "no relocation fills it in",
            id="ksymtab-without-relocations",
        ),
        pytest.param(
            lambda p: p.contents(".rela__ksymtab", 24, b"\x08"),
            ModuleFile.exports,
            "no relocation gives a name at 0",
            id="ksymtab-without-name",
        ),
        pytest.param(
            lambda p: p.section(".rela__ksymtab", "entsize", 16),
            ModuleFile.exports,
            "in entries of 16",
            id="relocation-entry-size",
        ),
        pytest.param(
            lambda p: p.section(".rela__ksymtab", "size", 24 * 1000),
            ModuleFile.exports,
            "more than 6 relocations",
            id="more-relocations-than-words",
        ),
        pytest.param(
            lambda p: p.contents(".rela__ksymtab", 24 + 12, b"\xff\xff\xff\xff"),
            ModuleFile.exports,
            "symbol 4294967295 is out of range",
            id="relocation-symbol-out-of-range",
        ),
        pytest.param(
            lambda p: p.contents(".rela__ksymtab", 24 + 16, b"\xff" * 8),
            ModuleFile.exports,
            "string at -1",
            id="exported-name-before-its-section",
        ),
        pytest.param(
            lambda p: p.contents(".rela__ksymtab", 24 + 16, b"\xff\xff\0\0\0\0\0\0"),
            ModuleFile.exports,
            "string at 65535",
            id="exported-name-behind-its-section",
        ),
        pytest.param(
            lambda p: p.section("__kcrctab", "size", 8),
            ModuleFile.exports,
            "__kcrctab has 8 bytes for 1 symbols",
            id="kcrctab-of-another-length",
        ),
        pytest.param(
            lambda p: p.contents(".note.gnu.build-id", 0, b"\xff\xff\xff\xff"),
            ModuleFile.build_id,
            "note of 4 bytes is cut short",
            id="note-of-a-long-owner",
        ),
        pytest.param(
            lambda p: p.contents(".note.gnu.build-id", 4, b"\x05"),
            ModuleFile.build_id,
            "note of 5 bytes is cut short",
            id="note-longer-than-its-section",
        ),
        pytest.param(
            lambda p: p.section(".note.gnu.build-id", "size", 11),
            ModuleFile.build_id,
            "a note is cut short",
            id="note-without-its-header",
        ),
        pytest.param(
            lambda p: p.section(".gnu.linkonce.this_module", "size", 24),
            ModuleFile.this_module_name,
            "does not end",
            id="this-module-too-short",
        ),
        pytest.param(
            lambda p: p.contents(".gnu.linkonce.this_module", 24, b"n" * 56),
            ModuleFile.this_module_name,
            "does not end",
            id="this-module-name-without-end",
        ),
    ],
)
def test_table_that_lies(damage: Damage, question: Question, reason: str) -> None:
    patient = Patient()
    damage(patient)
    module = patient.parse()
    with pytest.raises(ModuleFileError, match=rf"^sick\.ko: .*{reason}"):
        question(module)


@pytest.mark.parametrize(
    ("sections", "question", "reason"),
    [
        pytest.param(
            [ExtraSection("__kflagstab", b"")],
            ModuleFile.exports,
            None,
            id="no-flags-at-all",
        ),
        pytest.param(
            [ExtraSection("__kflagstab", b"\0\1")],
            ModuleFile.exports,
            "2 bytes for 3 symbols",
            id="fewer-flags-than-symbols",
        ),
        pytest.param(
            [ExtraSection("__version_ext_crcs", bytes(4))],
            ModuleFile.versions,
            "lack their names",
            id="crcs-without-names",
        ),
        pytest.param(
            [ExtraSection("__version_ext_names", b"a\0")],
            ModuleFile.versions,
            "lack their names or their CRCs",
            id="names-without-crcs",
        ),
        pytest.param(
            [
                ExtraSection("__version_ext_crcs", bytes(8)),
                ExtraSection("__version_ext_names", b"a\0"),
            ],
            ModuleFile.versions,
            "2 extended symbol versions, but fewer names",
            id="fewer-names-than-crcs",
        ),
        pytest.param(
            [
                ExtraSection("__version_ext_crcs", bytes(5)),
                ExtraSection("__version_ext_names", b"a\0"),
            ],
            ModuleFile.versions,
            "has 5 bytes",
            id="extended-crcs-odd-size",
        ),
        pytest.param(
            [
                ExtraSection("__version_ext_crcs", bytes(4)),
                ExtraSection("__version_ext_names", b"a"),
            ],
            ModuleFile.versions,
            "does not end in a NUL",
            id="extended-names-without-end",
        ),
    ],
)
def test_section_that_does_not_fit_the_others(
    sections: list[ExtraSection], question: Question, reason: str | None
) -> None:
    exports = (Export("a"), Export("b"), Export("c"))
    module = ModuleFile.parse(
        write_module(ModuleSpec(exports=exports, sections=tuple(sections))), path="sick.ko"
    )
    if reason is None:
        question(module)
        return
    with pytest.raises(ModuleFileError, match=rf"^sick\.ko: .*{reason}"):
        question(module)


def test_modinfo_of_excessive_length() -> None:
    module = ModuleFile.parse(write_module(ModuleSpec(modinfo=(("author", MAX_MODINFO * "x"),))))

    with pytest.raises(ModuleFileError, match="more than the 4194304 that make sense"):
        module.modinfo()


def test_section_name_of_excessive_length() -> None:
    name = "." + MAX_SECTION_NAME * "x"
    module = ModuleFile.parse(write_module(ModuleSpec(sections=(ExtraSection(name),))))

    assert module.section(name[:-1]) is None
    with pytest.raises(ModuleFileError, match="too long"):
        _ = module.elf.sections
