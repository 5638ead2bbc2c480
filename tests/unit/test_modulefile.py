# SPDX-License-Identifier: Apache-2.0
"""What a module file says of itself: modinfo, symbols, versions, parameters."""

import struct
from typing import Any, Literal

import pytest

from kmodd.modulefile import (
    DeclaredParameter,
    ElfMachine,
    ElfType,
    ModuleFile,
    SectionType,
)
from kmodd.modulefile.exports import ExportedSymbol
from kmodd.modulefile.symbols import UndefinedSymbol
from kmodd.modulefile.versions import SymbolVersion
from tests.support.elf_object import (
    PROCESSORS,
    STB_LOCAL,
    STT_SECTION,
    ElfObject,
    ObjectSymbol,
)
from tests.support.elf_patch import with_modinfo
from tests.support.elf_writer import (
    MODULE_LAYOUT,
    VERMAGIC,
    Export,
    ExtraSection,
    Import,
    ModuleSpec,
    write_module,
)

Shape = tuple[ElfMachine, Literal[32, 64], Literal["little", "big"]]

SHAPES: list[Shape] = [
    (ElfMachine.X86, 32, "little"),
    (ElfMachine.MIPS, 32, "big"),
    (ElfMachine.PPC, 32, "big"),
    (ElfMachine.ARM, 32, "little"),
    (ElfMachine.MIPS, 64, "little"),
    (ElfMachine.MIPS, 64, "big"),
    (ElfMachine.PPC64, 64, "little"),
    (ElfMachine.PPC64, 64, "big"),
    (ElfMachine.S390, 64, "big"),
    (ElfMachine.SPARCV9, 64, "big"),
    (ElfMachine.X86_64, 64, "little"),
    (ElfMachine.AARCH64, 64, "little"),
    (ElfMachine.RISCV, 64, "little"),
]


def parse(**changes: Any) -> ModuleFile:
    """A module in memory that differs from the default one by ``changes``."""
    return ModuleFile.parse(write_module(ModuleSpec(**changes)), path="/modules/sample.ko")


def test_every_processor_has_a_shape_that_is_tested() -> None:
    assert {(machine, bits) for machine, bits, _ in SHAPES} == set(PROCESSORS)


@pytest.mark.parametrize(("machine", "bits", "byteorder"), SHAPES)
@pytest.mark.parametrize("crcs", ["section", "absolute"])
def test_module_reads_the_same_on_every_processor(
    machine: ElfMachine,
    bits: Literal[32, 64],
    byteorder: Literal["little", "big"],
    crcs: Literal["section", "absolute"],
) -> None:
    module = parse(
        machine=machine,
        bits=bits,
        byteorder=byteorder,
        crcs=crcs,
        exports=(Export("b", 0x80000001), Export("a", 2), Export("g", 3, True, "SPACE")),
        imports=(Import("strong", crc=0xFFFFFFFE), Import("weak", weak=True)),
    )

    assert (module.elf.machine, module.elf.bits) == (machine, bits)
    assert (module.elf.byteorder, module.elf.type) == (byteorder, ElfType.REL)
    assert module.exports() == (
        ExportedSymbol("a", 2, gpl_only=False, namespace=""),
        ExportedSymbol("b", 0x80000001, gpl_only=False, namespace=""),
        ExportedSymbol("g", 3, gpl_only=True, namespace="SPACE"),
    )
    assert module.symbol_crcs() == (("a", 2), ("b", 0x80000001), ("g", 3))
    assert module.undefined() == (UndefinedSymbol("strong", False), UndefinedSymbol("weak", True))
    assert module.dependency_symbols() == ("strong", "weak", "module_layout")
    assert module.versions() == (
        SymbolVersion(*MODULE_LAYOUT),
        SymbolVersion("strong", 0xFFFFFFFE),
    )
    assert module.this_module_name() == "sample"
    assert (module.has_init(), module.has_exit()) == (True, True)
    assert module.modinfo_get("vermagic") == VERMAGIC


def test_modinfo_keeps_order_and_repetition() -> None:
    module = parse(
        modinfo=(("alias", "pci:v*"), ("author", "A = B"), ("alias", "x")), depends=("a", "b")
    )

    assert module.modinfo() == (
        ("license", "GPL"),
        ("alias", "pci:v*"),
        ("author", "A = B"),
        ("alias", "x"),
        ("depends", "a,b"),
        ("name", "sample"),
        ("vermagic", VERMAGIC),
    )
    assert module.modinfo_all("alias") == ("pci:v*", "x")
    assert module.modinfo_get("alias") == "pci:v*"
    assert module.modinfo_get("firmware") is None
    assert module.modinfo_all("firmware") == ()


def test_modinfo_text_is_utf8_and_keeps_bytes_that_are_not() -> None:
    module = parse(modinfo=(("author", "Müller"), ("description", "caf\udce9")))

    assert module.modinfo_get("author") == "Müller"
    assert module.modinfo_get("description") == "caf\udce9"


def test_modinfo_string_without_equals_sign_is_a_key() -> None:
    section = ExtraSection(".modinfo", b"\0\0lonely\0a=\0=b\0")
    module = ModuleFile.parse(_only_sections(section))

    assert module.modinfo() == (("lonely", ""), ("a", ""), ("", "b"))


@pytest.mark.parametrize(
    ("contents", "strings"),
    [
        (b"license=GPL\0alias=last", (("license", "GPL"), ("alias", "last"))),
        (b"license=GPL\0\n", (("license", "GPL"), ("\n", ""))),
        (b"license=GPL\nalias=a", (("license", "GPL\nalias=a"),)),
        (b"\0license=GPL\0\0\0alias=a\0\0", (("license", "GPL"), ("alias", "a"))),
        (b"xy", (("xy", ""),)),
        (b"x\0", (("x", ""),)),
        (b"x", ()),
        (b"\0\0x", ()),
        (b"\0\0", ()),
        (b"", ()),
    ],
)
def test_modinfo_that_was_edited_is_read_to_its_end(
    contents: bytes, strings: tuple[tuple[str, str], ...]
) -> None:
    module = ModuleFile.parse(with_modinfo(write_module(ModuleSpec()), contents))

    assert module.modinfo() == strings


def test_parameter_joins_its_type_and_its_description() -> None:
    module = parse(
        modinfo=(
            ("parm", "debug:Debug level: 0 to 3"),
            ("parmtype", "debug:int"),
            ("parmtype", "ports:array of ushort"),
            ("parm", "without a colon"),
            ("parm", "old:only described"),
        )
    )

    assert module.parameters() == (
        DeclaredParameter("debug", "int", "Debug level: 0 to 3"),
        DeclaredParameter("ports", "array of ushort", ""),
        DeclaredParameter("old", "", "only described"),
    )


def test_module_without_any_of_its_sections_says_nothing() -> None:
    module = ModuleFile.parse(_only_sections())

    assert module.modinfo() == ()
    assert list(module.symbols())[1:] == []
    assert module.undefined() == ()
    assert module.exports() == ()
    assert module.symbol_crcs() == ()
    assert module.dependency_symbols() == ()
    assert module.versions() == ()
    assert module.parameters() == ()
    assert module.signature() is None
    assert module.this_module_name() is None
    assert (module.has_init(), module.has_exit()) == (False, False)


def test_exports_without_crcs_are_named_for_depmod_by_their_strings() -> None:
    module = parse(crcs="none", exports=(Export("one", namespace="SPACE"), Export("two")))

    assert [export.crc for export in module.exports()] == [None, None]
    # The name of the namespace is among the strings: libkmod takes it for a symbol, too.
    assert module.symbol_crcs() == (("one", 0), ("SPACE", 0), ("two", 0))


def test_flags_mark_gpl_only_symbols_of_a_common_table() -> None:
    module = parse(
        exports=(Export("free"), Export("gpl"), Export("more")),
        sections=(ExtraSection("__kflagstab", b"\0\1\2"),),
    )

    assert [export.gpl_only for export in module.exports()] == [False, True, False]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("bits", [32, 64])
def test_export_tables_from_before_namespaces_have_two_words_a_symbol(
    count: int, bits: Literal[32, 64]
) -> None:
    machine = ElfMachine.ARM if bits == 32 else ElfMachine.X86_64
    module = ElfObject(bits, "little", machine)
    text = module.add(".text", bytes(count))
    strings = module.add("__ksymtab_strings", b"".join(b"name%d\0" % i for i in range(count)))
    base = module.define(ObjectSymbol("", strings, binding=STB_LOCAL, type=STT_SECTION))
    word = bits // 8
    table = module.add("__ksymtab", bytes(2 * word * count))
    for index in range(count):
        function = module.define(ObjectSymbol(f"name{index}", text, index))
        table.relocate(2 * word * index, "pointer", function)
        table.relocate(2 * word * index + word, "pointer", base, 6 * index)

    exports = ModuleFile.parse(module.link()).exports()

    assert [export.name for export in exports] == [f"name{index}" for index in range(count)]
    assert {export.namespace for export in exports} == {""}


def test_first_of_two_relocations_says_where_a_word_points() -> None:
    # RISC-V adds the target to the word, then subtracts the word's own place.
    module = ElfObject(64, "little", ElfMachine.RISCV)
    strings = module.add("__ksymtab_strings", b"name\0SPACE\0")
    base = module.define(ObjectSymbol("", strings, binding=STB_LOCAL, type=STT_SECTION))
    table = module.add("__ksymtab", bytes(12))
    place = module.define(ObjectSymbol("", table, binding=STB_LOCAL, type=STT_SECTION))
    function = module.define(ObjectSymbol("name", module.add(".text", b"\0")))
    for offset, symbol, addend in ((0, function, 0), (4, base, 0), (8, base, 5)):
        table.relocate(offset, "relative", symbol, addend)
        table.relocate(offset, "relative", place, offset)

    (export,) = ModuleFile.parse(module.link()).exports()

    assert (export.name, export.namespace) == ("name", "SPACE")


def test_dependencies_are_named_once_in_the_order_of_the_symbol_table() -> None:
    module = parse(
        imports=(Import("z"), Import("a", weak=True), Import("z", weak=True), Import("")),
        versions=(("a", 1), ("left", 2), ("over", 3), ("left", 4), ("z", 5)),
    )

    assert module.undefined() == (UndefinedSymbol("z", False), UndefinedSymbol("a", True))
    assert module.dependency_symbols() == ("z", "a", "left", "over")


@pytest.mark.parametrize("machine", [ElfMachine.SPARC, ElfMachine.SPARCV9])
def test_sparc_register_is_not_an_import(machine: ElfMachine) -> None:
    register = 13
    module = ElfObject(32, "big", machine)
    module.define(ObjectSymbol("global_register", type=register))
    module.define(ObjectSymbol("import"))
    assert ModuleFile.parse(module.link()).dependency_symbols() == ("import",)

    module.machine = ElfMachine.X86
    assert ModuleFile.parse(module.link()).dependency_symbols() == ("global_register", "import")


def test_extended_versions_hold_names_that_basic_ones_cannot() -> None:
    long_name = "a_name_with_" + 80 * "x"
    module = parse(imports=(Import(long_name, crc=7),), extended_versions=True)

    assert module.versions() == (SymbolVersion(*MODULE_LAYOUT), SymbolVersion(long_name, 7))


def test_symbol_names_may_be_any_bytes() -> None:
    module = parse(
        exports=(Export("größe", 9),), imports=(Import("bytes\udcff"),), versions=(("ü", 1),)
    )

    assert module.symbol_crcs() == (("größe", 9),)
    assert module.exports()[0].name == "größe"
    assert module.dependency_symbols() == ("bytes\udcff", "ü")


def test_absence_of_init_and_exit_shows() -> None:
    module = parse(exit=None)
    assert (module.has_init(), module.has_exit()) == (True, False)

    module = parse(init=None)
    assert (module.has_init(), module.has_exit()) == (False, True)


def test_imported_function_is_not_the_modules_own_init() -> None:
    module = parse(init=None, imports=(Import("init_module"), Import("my_init_module")))

    assert not module.has_init()


def test_local_init_function_counts() -> None:
    module = ElfObject(64, "little", ElfMachine.X86_64)
    text = module.add(".text", b"\xc3")
    module.define(ObjectSymbol("init_module", text, binding=STB_LOCAL))

    assert ModuleFile.parse(module.link()).has_init()


def test_crc_in_a_section_is_read_where_its_symbol_points() -> None:
    module = ElfObject(64, "big", ElfMachine.S390)
    table = module.add(".rodata", bytes(4) + (0xCAFE).to_bytes(4, "big"))
    module.define(ObjectSymbol("__crc_shared", table, 4))
    module.define(ObjectSymbol("not__crc_shared", table, 0))

    assert ModuleFile.parse(module.link()).symbol_crcs() == (("shared", 0xCAFE),)


def test_sections_are_found_by_name_and_read() -> None:
    module = parse(
        sections=(
            ExtraSection(".twice", b"first"),
            ExtraSection(".twice", b"second"),
            ExtraSection(".space", b"12345678", type=SectionType.NOBITS, flags=3, align=32),
        )
    )

    twice = module.section(".twice")
    assert twice is not None
    assert module.section_data(twice) == b"first"
    space = module.section(".space")
    assert space is not None
    assert (space.size, space.flags, space.align) == (8, 3, 32)
    assert module.section_data(space) == b""
    assert module.section("twice") is None
    assert [section.index for section in module.elf.sections] == list(
        range(len(module.elf.sections))
    )


def test_section_may_be_named_by_the_tail_of_another_name() -> None:
    # Linkers merge the two strings; this one is the first section's name by accident of search.
    image = bytearray(write_module(ModuleSpec(sections=(ExtraSection(".rela.modinfo", b"?"),))))
    module = ModuleFile.parse(bytes(image))
    names = module.section(".shstrtab")
    modinfo = module.section(".modinfo")
    assert names is not None
    assert modinfo is not None
    tail = module.section_data(names).index(b".rela.modinfo\0") + len(".rela")
    table = int.from_bytes(image[40:48], "little")
    entry = table + 64 * modinfo.index
    image[entry : entry + 4] = tail.to_bytes(4, "little")

    assert ModuleFile.parse(bytes(image)).modinfo() == module.modinfo()


@pytest.mark.parametrize(("machine", "bits"), [(ElfMachine.X86_64, 64), (ElfMachine.ARM, 32)])
def test_more_sections_than_the_header_can_count(
    machine: ElfMachine, bits: Literal[32, 64]
) -> None:
    many = tuple(ExtraSection(".many") for _ in range(0xFF00))
    module = parse(machine=machine, bits=bits, sections=many, exports=(Export("shared"),))

    assert len(module.elf.sections) > 0xFF00
    assert module.symbol_crcs() == (("shared", 0x12345678),)
    assert module.modinfo_get("license") == "GPL"


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_build_id_is_the_note_of_that_kind(byteorder: Literal["little", "big"]) -> None:
    order = "<" if byteorder == "little" else ">"
    notes = (
        struct.pack(f"{order}3I", 6, 1, 3) + b"Other\0\0\0" + b"\7\0\0\0",
        struct.pack(f"{order}3I", 4, 5, 1) + b"GNU\0" + b"kind1\0\0\0",
        struct.pack(f"{order}3I", 4, 3, 3) + b"GNU\0" + b"\1\2\3",
    )
    machine = ElfMachine.X86_64 if byteorder == "little" else ElfMachine.S390
    sections = (ExtraSection(".note.gnu.build-id", b"".join(notes)),)

    assert parse(byteorder=byteorder, machine=machine, sections=sections).build_id() == b"\1\2\3"
    assert parse().build_id() is None


def test_relocations_name_their_symbols() -> None:
    module = parse()
    section = module.section(".gnu.linkonce.this_module")
    assert section is not None
    names = [symbol.name for symbol in module.symbols()]

    found = [
        (relocation.offset, names[relocation.symbol], relocation.type, relocation.addend)
        for relocation in module.relocations(section)
    ]

    assert found == [(0x138, "init_module", 1, 0), (0x350, "cleanup_module", 1, 0)]


def _only_sections(*sections: ExtraSection) -> bytes:
    """An object with these sections and none that a module has."""
    module = ElfObject(64, "little", ElfMachine.X86_64)
    for section in sections:
        module.add(section.name, section.data)
    return module.link()
