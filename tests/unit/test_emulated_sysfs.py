# SPDX-License-Identifier: Apache-2.0
"""What the emulated kernel shows of a module in its directory in /sys/module."""

from dataclasses import replace

from kmodd.kernel.base import ModuleDetails, ModuleNote, ParameterValue
from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.modulefile import SectionType
from tests.support.elf_object import SHF_ALLOC
from tests.support.elf_writer import ExtraSection, ModuleSpec
from tests.support.emulated import exporting, kernel, load
from tests.support.param_writer import Param


def test_the_details_are_those_of_sysfs() -> None:
    one = kernel()
    spec = ModuleSpec(
        modinfo=(("intree", "Y"), ("version", "1.2"), ("srcversion", "ABCD")),
        parameters=(
            Param("count", mode=0o644, initial=b"\x05\0\0\0"),
            Param("hidden", mode=0),
            Param("label", "charp", mode=0o444, initial=b"first"),
            Param("own", "of_another", mode=0o400),
        ),
    )
    load(one, spec, "label=second hidden=3")
    found = one.details("sample")
    assert found is not None
    assert replace(found, sections=()) == ModuleDetails(
        module=one.modules()[0],
        core_size=one.modules()[0].size,
        init_size=0,
        version="1.2",
        source_version="ABCD",
        parameters=(
            ParameterValue("count", "5", 0o644),
            ParameterValue("label", "second", 0o444),
            ParameterValue("own", None, 0o400),
        ),
    )
    assert one.details("nosuch") is None


def test_sysfs_tells_where_the_sections_are_and_what_the_notes_say() -> None:
    one = kernel()
    extra = (
        ExtraSection(".note.Linux", b"salt", SectionType.NOTE, SHF_ALLOC, 4),
        ExtraSection(".comment", b"of nobody"),
        ExtraSection(".empty", b"", flags=SHF_ALLOC),
        ExtraSection("n" * 256, b"x", flags=SHF_ALLOC),
    )
    load(one, exporting("sample", "sample_do", sections=extra))
    found = one.details("sample")
    assert found is not None
    assert found.notes == (ModuleNote(".note.Linux", b"salt"),)
    places = {each.name: each.address for each in found.sections}
    assert list(places) == [
        ".exit.text",
        ".gnu.linkonce.this_module",
        ".init.text",
        ".note.Linux",
        ".strtab",
        ".symtab",
        ".text",
        "__kcrctab",
        "__ksymtab",
        "__ksymtab_strings",
    ]
    module = one.modules()[0]
    core = range(module.address, module.address + module.size)
    init = {name for name, address in places.items() if address not in core}
    assert places[".text"] == module.address
    assert init == {".init.text", ".strtab", ".symtab"}
    assert places[".init.text"] < places[".symtab"] < places[".strtab"]


def test_two_sections_of_one_name_and_a_kernel_without_kallsyms_show_none() -> None:
    twice = (ExtraSection(".twice", b"x", flags=SHF_ALLOC),) * 2
    for one, spec in (
        (kernel(), ModuleSpec(sections=twice)),
        (kernel(options=BuildOptions(kallsyms=False)), ModuleSpec()),
    ):
        load(one, spec)
        found = one.details("sample")
        assert found is not None
        assert (found.sections, found.notes) == ((), ())


def test_what_does_not_fit_into_a_file_of_sysfs_is_cut() -> None:
    one = kernel()
    load(one, ModuleSpec(modinfo=(("intree", "Y"), ("version", "1" * 10_000))))
    found = one.details("sample")
    assert found is not None
    assert found.version == "1" * 4095
