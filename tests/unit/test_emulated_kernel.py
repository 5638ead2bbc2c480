# SPDX-License-Identifier: Apache-2.0
"""What the emulated kernel takes, refuses, counts and logs, on module files made for it."""

import errno
import gzip
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import (
    EmulationReport,
    InitState,
    InsertFlags,
    LoadedModule,
    ModuleState,
)
from kmodd.kernel.emulated import Builtins, CoreSymbol
from kmodd.kernel.emulated.modules.module_table import MODULES_VADDR
from kmodd.modulefile import SectionType
from tests.support.elf_object import SHF_ALLOC
from tests.support.elf_patch import with_row
from tests.support.elf_writer import (
    VERMAGIC,
    ExtraSection,
    Import,
    ModuleSpec,
    write_module,
)
from tests.support.emulated import (
    CORE,
    PRINTK_CRC,
    RELEASE,
    SAMPLE,
    exporting,
    file_refusal,
    importing,
    kernel,
    load,
    log,
    refusal,
)
from tests.support.param_writer import Param
from tests.support.require import require_emulator


def test_a_user_holds_what_it_uses_until_it_goes() -> None:
    one = kernel()
    load(one, exporting("owner", "owner_do", "owner_undo"))
    load(one, importing("owner_do", "owner_undo", "_printk"))
    user, owner = one.modules()
    assert (owner.name, owner.refcount, owner.holders) == ("owner", 1, ("user",))
    assert (user.name, user.refcount, user.holders) == ("user", 0, ())
    with pytest.raises(KernelError) as refused:
        one.delete_module("owner")
    assert (refused.value.errno, refused.value.reason, refused.value.detail) == (
        errno.EAGAIN,
        Reason.MODULE_IN_USE,
        "user",
    )
    one.delete_module("user")
    one.delete_module("owner")
    assert one.modules() == ()


def test_the_newest_user_is_listed_first() -> None:
    one = kernel()
    load(one, exporting("owner", "owner_do"))
    for name in ("first", "second"):
        load(one, importing("owner_do", name=name))
    assert one.module("owner") == one.modules()[2]
    assert one.modules()[2].holders == ("second", "first")


def test_a_module_that_failed_to_load_holds_nothing() -> None:
    one = kernel()
    load(one, exporting("owner", "owner_do"))
    refusal(one, write_module(importing("owner_do", "nosuch")))
    one.delete_module("owner")


def test_all_unknown_symbols_are_logged_and_the_last_is_told() -> None:
    one = kernel()
    error = refusal(one, write_module(importing("nosuch", "_printk", "neither")))
    assert (error.errno, error.reason, error.symbol, error.module) == (
        errno.ENOENT,
        Reason.UNKNOWN_SYMBOL,
        "neither",
        "user",
    )
    expected = ("user: Unknown symbol nosuch (err -2)", "user: Unknown symbol neither (err -2)")
    assert error.log == expected
    assert log(one)[-2:] == list(expected)


def test_a_weak_symbol_may_be_missing() -> None:
    one = kernel()
    load(one, ModuleSpec(imports=(Import("nosuch", weak=True),)))


def test_a_gpl_only_symbol_is_unknown_to_a_proprietary_module() -> None:
    one = kernel()
    load(one, importing("gpl_function", name="free"))
    error = refusal(one, write_module(importing("gpl_function", license="Proprietary")))
    assert error.errno == errno.ENOENT
    assert error.log[-1] == "user: Unknown symbol gpl_function (err -2)"


def test_a_user_of_gpl_only_symbols_may_not_use_a_proprietary_modules() -> None:
    one = kernel()
    load(one, exporting("closed", "closed_do", license="Proprietary"))
    error = refusal(one, write_module(importing("gpl_function", "closed_do")))
    assert error.log == (
        "user: module using GPL-only symbols uses symbols closed_do from proprietary module "
        "closed.",
        "user: Unknown symbol closed_do (err -2)",
    )


def test_a_user_of_a_proprietary_module_inherits_the_taint() -> None:
    one = kernel()
    load(one, exporting("closed", "closed_do", license="Proprietary"))
    load(one, importing("closed_do"))
    assert one.modules()[0].taints == "P"
    assert log(one)[-1] == (
        "user: module uses symbols closed_do from proprietary module closed, inheriting taint."
    )


def test_a_namespace_must_be_imported() -> None:
    one = kernel()
    error = refusal(one, write_module(importing("hidden_function")))
    assert error.errno == errno.EINVAL
    assert error.log == (
        "user: module uses symbol (hidden_function) from namespace HIDDEN, but does not import it.",
        "user: Unknown symbol hidden_function (err -22)",
    )
    load(one, importing("hidden_function", modinfo=(("import_ns", "HIDDEN"), ("intree", "Y"))))


def test_a_symbols_version_must_be_the_one_built_against() -> None:
    one = kernel()
    wrong = ModuleSpec(name="user", imports=(Import("_printk", crc=1),))
    error = refusal(one, write_module(wrong))
    assert (error.errno, error.reason) == (errno.EINVAL, Reason.SYMBOL_VERSION_MISMATCH)
    assert error.log == (
        "user: disagrees about version of symbol _printk",
        "user: Unknown symbol _printk (err -22)",
    )
    load(one, wrong, flags=InsertFlags.IGNORE_MODVERSIONS)
    assert one.modules()[0].taints == "F"
    assert log(one)[-2:] == [
        "user: _printk: kernel tainted.",
        "Disabling lock debugging due to kernel taint",
    ]
    load(one, ModuleSpec(name="right", imports=(Import("_printk", crc=PRINTK_CRC),)))


def test_a_symbol_without_a_version_is_let_pass_with_one_warning() -> None:
    one = kernel()
    for name in ("first", "second"):
        load(one, ModuleSpec(name=name, imports=(Import("_printk"),)))
    warnings = [line for line in log(one) if "no symbol version" in line]
    assert warnings == ["first: no symbol version for _printk"]


def test_the_version_of_struct_module_is_checked_first() -> None:
    one = kernel(symbols={**CORE, "module_layout": CoreSymbol(7)})
    error = refusal(one, write_module(importing("nosuch", versions=(("module_layout", 8),))))
    assert (error.errno, error.log) == (
        errno.ENOEXEC,
        ("user: disagrees about version of symbol module_layout",),
    )


def test_a_symbol_is_exported_once() -> None:
    one = kernel()
    load(one, exporting("owner", "owner_do"))
    twice = refusal(one, write_module(exporting("other", "owner_do")))
    assert (twice.errno, twice.log) == (
        errno.ENOEXEC,
        ("other: exports duplicate symbol owner_do (owned by owner)",),
    )
    core = refusal(one, write_module(exporting("other", "kfree")))
    assert core.log == ("other: exports duplicate symbol kfree (owned by kernel)",)


def test_a_module_for_another_kernel_is_refused() -> None:
    one = kernel()
    other = VERMAGIC.replace("SMP", "UP")
    error = refusal(one, write_module(importing("nosuch", vermagic=other)))
    assert error.errno == errno.ENOEXEC
    assert error.log == (f"user: version magic '{other}' should be '{VERMAGIC}'",)
    load(one, ModuleSpec(vermagic=other), flags=InsertFlags.IGNORE_VERMAGIC)
    assert one.modules()[0].taints == "F"


def test_versions_of_symbols_stand_in_for_the_release() -> None:
    one = kernel()
    other = VERMAGIC.replace(RELEASE, "6.0.0-other")
    load(one, ModuleSpec(vermagic=other))
    error = refusal(one, write_module(ModuleSpec(name="bare", vermagic=other, versions=())))
    assert error.errno == errno.ENOEXEC


def test_a_module_without_vermagic_taints() -> None:
    one = kernel()
    load(one, ModuleSpec(vermagic=None))
    assert log(one)[-2] == "sample: bad vermagic: kernel tainted."
    assert one.modules()[0].taints == "F"
    assert one.identity().taints == "F"


def test_a_taint_is_told_once_and_marked_on_each_module() -> None:
    one = kernel(sample=replace(SAMPLE, key=b"key"))
    for name in ("one", "two"):
        load(one, ModuleSpec(name=name, license=None, modinfo=()))
    assert [module.taints for module in one.modules()] == ["POE", "POE"]
    assert log(one)[1:] == [
        "one: loading out-of-tree module taints kernel.",
        "one: module license 'unspecified' taints kernel.",
        "Disabling lock debugging due to kernel taint",
        "one: module verification failed: signature and/or required key missing - tainting kernel",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"machine": 183}, "Invalid architecture in ELF header: 183"),
        ({"type": 2}, "Invalid ELF header type: 2 != 1"),
    ],
)
def test_a_file_for_another_machine_is_refused(change: dict[str, int], line: str) -> None:
    one = kernel()
    spec = replace(ModuleSpec(), **change)  # type: ignore[arg-type]
    error = refusal(one, write_module(spec))
    assert (error.errno, error.log) == (errno.ENOEXEC, (line,))


@pytest.mark.parametrize("image", [b"\x7fELF", b"not ELF at all", bytes(4096)])
def test_what_is_no_elf_is_refused(image: bytes) -> None:
    error = file_refusal(kernel(), image)
    assert error.errno == errno.ENOEXEC
    assert error.log


@pytest.mark.parametrize("image", [b"", b"\x7fELF", bytes(63)])
def test_an_image_shorter_than_a_header_is_refused_without_a_word(image: bytes) -> None:
    error = refusal(kernel(), image)
    assert (error.errno, error.log) == (errno.ENOEXEC, ())


def test_a_name_is_loaded_once() -> None:
    one = kernel()
    load(one, ModuleSpec())
    error = refusal(one, write_module(ModuleSpec()))
    assert (error.errno, error.reason) == (errno.EEXIST, Reason.MODULE_ALREADY_LOADED)


def test_a_module_without_exit_stays_unless_forced() -> None:
    one = kernel()
    load(one, ModuleSpec(exit=None))
    assert one.modules()[0].permanent
    with pytest.raises(KernelError) as refused:
        one.delete_module("sample")
    assert refused.value.errno == errno.EBUSY
    one.delete_module("sample", force=True)
    load(one, ModuleSpec(name="neither", init=None, exit=None))
    found = one.module("neither")
    assert found is not None
    assert found.report is not None
    assert found.report.init is InitState.NONE
    one.delete_module("neither")


def test_unloading_what_is_not_there() -> None:
    with pytest.raises(KernelError) as refused:
        kernel().delete_module("nosuch")
    assert refused.value.errno == errno.ENOENT


def test_a_bad_parameter_refuses_and_an_unknown_one_does_not() -> None:
    one = kernel()
    spec = ModuleSpec(parameters=(Param("count"),))
    error = refusal(one, write_module(spec), "count=many other=1")
    assert (error.errno, error.reason) == (errno.EINVAL, Reason.INVALID_PARAMETER)
    assert error.log == (
        "sample: `many' invalid for parameter `count'",
        "sample: unknown parameter 'other' ignored",
    )
    load(one, spec, "count=3 other=1")


def test_addresses_do_not_overlap_and_are_used_again() -> None:
    one = kernel()
    for name in ("a", "b", "c"):
        load(one, ModuleSpec(name=name))
    ranges = sorted((module.address, module.address + module.size) for module in one.modules())
    assert ranges[0][0] == MODULES_VADDR
    assert all(end < start for (_, end), (start, _) in pairwise(ranges))
    one.delete_module("a")
    load(one, ModuleSpec(name="d"))
    assert one.modules()[0].address == MODULES_VADDR


def test_a_file_is_loaded_from_its_descriptor_compressed_or_not(tmp_path: Path) -> None:
    one = kernel()
    for name, pack in (("plain", bytes), ("packed", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(write_module(ModuleSpec(name=name))))
        fd = os.open(path, os.O_RDONLY)
        try:
            one.finit_module(fd, "", InsertFlags.NONE)
        finally:
            os.close(fd)
    assert [module.name for module in one.modules()] == ["packed", "plain"]
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x1f\x8b\x08 nothing")
    fd = os.open(bad, os.O_RDONLY)
    with pytest.raises(KernelError) as refused:
        one.finit_module(fd, "", InsertFlags.NONE)
    os.close(fd)
    assert refused.value.errno == errno.EINVAL


def test_the_log_begins_with_the_version_and_the_command_line() -> None:
    one = kernel(
        sample=replace(SAMPLE, compiler="GCC: (Debian 12.2.0-14) 12.2.0"),
        boot={"command_line": "quiet module_blacklist=x"},
    )
    version, line = one.read_log()
    assert version.level == 5
    assert version.text == (
        f"Linux version {RELEASE} (kmodd@emulated) ((Debian 12.2.0-14) 12.2.0) "
        "#1 SMP PREEMPT emulated"
    )
    assert line.text == "Command line: quiet module_blacklist=x"


def test_a_name_with_control_characters_does_no_harm_to_a_terminal() -> None:
    one = kernel()
    load(one, ModuleSpec(name="bad\x1b[2Jname", license=None))
    assert log(one)[-2] == "bad\\x1b[2Jname: module license 'unspecified' taints kernel."


def test_what_is_part_of_the_kernel_is_known_and_has_its_name() -> None:
    builtins = Builtins(frozenset({"loud", "quiet"}), frozenset({"loud"}))
    one = kernel(builtins=builtins)
    assert one.identity().builtins == {"loud", "quiet"}
    error = refusal(one, write_module(ModuleSpec(name="loud")))
    assert (error.errno, error.log) == (errno.EINVAL, ("loud: module is already loaded",))
    load(one, ModuleSpec(name="quiet"))


def test_no_end_of_parameters_is_too_much() -> None:
    error = refusal(kernel(), write_module(ModuleSpec()), "x " * 40_000)
    assert (error.errno, error.reason) == (errno.E2BIG, Reason.INVALID_PARAMETER)


def test_no_end_of_missing_symbols_is_not_logged_to_the_end() -> None:
    one = kernel()
    many = importing(*(f"nosuch_{number}" for number in range(5000)), versions=())
    error = refusal(one, write_module(many))
    assert error.errno == errno.ENOENT
    assert len(error.log) == 4096


def test_a_module_too_large_for_the_kernels_memory_is_refused() -> None:
    one = kernel()
    spec = ModuleSpec(sections=(ExtraSection(".huge", type=SectionType.NOBITS, flags=SHF_ALLOC),))
    image = with_row(spec, ".huge", 32, "<Q", 1 << 40)
    assert refusal(one, image).errno == errno.ENOMEM


def test_the_log_keeps_its_order_and_wakes_a_waiter() -> None:
    one = kernel()
    last = one.read_log()[-1]
    assert one.wait_log(last.sequence, 0.01) == ()
    load(one, ModuleSpec(license=None))
    waited = one.wait_log(last.sequence, 60)
    assert waited == one.read_log(last.sequence)
    assert [record.sequence for record in waited] == [last.sequence + 1, last.sequence + 2]
    assert one.read_log(10**9) == ()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (
            LoadedModule("a", 16384, 0, ()),
            "a 16384 0 - Live 0x0000000000000000",
        ),
        (
            LoadedModule("a", 1, 2, ("c", "b"), address=MODULES_VADDR, taints="OE"),
            "a 1 2 c,b, Live 0xffffffffc0000000 (OE)",
        ),
        (
            LoadedModule("a", 1, 1, (), ModuleState.COMING, permanent=True),
            "a 1 1 [permanent], Loading 0x0000000000000000 (+)",
        ),
        (
            LoadedModule("a", 1, -1, (), ModuleState.GOING, taints="P"),
            "a 1 -1 - Unloading 0x0000000000000000 (P-)",
        ),
    ],
)
def test_a_line_of_proc_modules(module: LoadedModule, line: str) -> None:
    assert module.proc_line() == line


def test_without_the_emulator_modules_load_and_say_why_nothing_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kmodd.kernel.emulated.execution.cpu.find_spec", lambda _name: None)
    one = kernel(boot={"run_code": True})
    load(one, ModuleSpec(name="sample"))
    why = "kmodd is installed without its extra 'emulator'"
    (module,) = one.modules()
    assert (one.runs_init, one.why_not_run) == (False, why)
    assert module.report == EmulationReport(InitState.NOT_RUN, why)


def test_an_instruction_of_avx_is_told_to_be_what_is_missing() -> None:
    require_emulator()
    vxorps = write_module(ModuleSpec(init=bytes.fromhex("c5fc57c0c3")))
    error = refusal(kernel(boot={"run_code": True}), vxorps)
    assert error.reason is Reason.MODULE_CRASHED
    assert "an AVX instruction, which the emulated processor does not have" in error.message
    lines = [line for line in error.log if "AVX" in line]
    assert lines == ["kmodd: an AVX instruction, which the emulated processor does not have"]
    plain = refusal(kernel(boot={"run_code": True}), write_module(ModuleSpec(init=b"\x0f\xff")))
    assert "invalid opcode" in plain.message
    assert "AVX" not in plain.message
