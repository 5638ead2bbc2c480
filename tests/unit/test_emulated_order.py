# SPDX-License-Identifier: Apache-2.0
"""In which order the emulated kernel looks for what is wrong, and whose name it goes by."""

import errno
from dataclasses import replace

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol
from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.keys import parse_certificate
from tests.support.elf_object import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE
from tests.support.elf_writer import (
    MODULE_LAYOUT,
    VERMAGIC,
    Export,
    ExtraSection,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.emulated import CORE, SAMPLE, exporting, importing, kernel, load, refusal
from tests.support.param_writer import Param
from tests.support.signatures import certificate_of, signature_by, signed_with_key

KEY = b"\x12\x34"
PARAMETERS = "count=many"
FAULTY = ModuleSpec(
    name="evil",
    machine=183,
    versions=(("module_layout", 1),),
    vermagic=VERMAGIC.replace("SMP", "UP"),
    modinfo=(("intree", "Y"), ("retpoline", "Y"), ("livepatch", "Y")),
    sections=(ExtraSection(".wx", b"\xc3", flags=SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR),),
    imports=(Import("nosuch"),),
    exports=(Export("kfree"),),
    parameters=(Param("count"),),
)
GOOD = ModuleSpec()
MENDINGS = (
    (errno.ENOEXEC, "Invalid architecture in ELF header: 183", {"machine": GOOD.machine}),
    (errno.EPERM, "Module evil is blacklisted", {"name": "taken"}),
    (errno.ENOEXEC, "version of symbol module_layout", {"versions": GOOD.versions}),
    (errno.ENOEXEC, "taken: version magic '", {"vermagic": VERMAGIC}),
    (errno.ENOEXEC, "is marked as livepatch", {"modinfo": GOOD.modinfo}),
    (errno.ENOEXEC, "has invalid WRITE|EXEC flags", {"sections": ()}),
    (errno.EEXIST, "", {"name": "fresh"}),
    (errno.ENOENT, "fresh: Unknown symbol nosuch (err -2)", {"imports": ()}),
    (errno.ENOEXEC, "fresh: exports duplicate symbol kfree", {"exports": ()}),
)
"""What a kernel finds wrong, and what mends it, the first first."""


def signed(spec: ModuleSpec) -> bytes:
    image = write_module(spec)
    return append_signature(image, signature_by(KEY, signature=signed_with_key(image)))


def test_of_all_that_is_wrong_the_first_is_told_in_the_kernels_order() -> None:
    one = kernel(
        sample=replace(SAMPLE, key=KEY),
        certificates=(parse_certificate(certificate_of(KEY)),),
        symbols={**CORE, "module_layout": CoreSymbol(MODULE_LAYOUT[1])},
        options=BuildOptions(livepatch=False),
        boot={"command_line": "module.sig_enforce module_blacklist=evil"},
    )
    one.init_module(signed(ModuleSpec(name="taken")), "", InsertFlags.NONE)
    spec = FAULTY
    assert refusal(one, write_module(spec), PARAMETERS).errno == errno.EKEYREJECTED
    for code, line, mending in MENDINGS:
        error = refusal(one, signed(spec), PARAMETERS)
        assert error.errno == code, line
        assert (error.log and line in error.log[0]) or not (error.log or line), error.log
        spec = replace(spec, **mending)
    assert refusal(one, signed(spec), PARAMETERS).errno == errno.EINVAL
    one.init_module(signed(spec), "", InsertFlags.NONE)
    assert [module.name for module in one.modules()] == ["fresh", "taken"]


def test_what_speaks_against_an_unload_is_told_in_the_kernels_order() -> None:
    one = kernel()
    load(one, exporting("owner", "owner_do", exit=None))
    load(one, importing("owner_do"))
    one.hold("owner")

    def refused(*, force: bool = False) -> int:
        with pytest.raises(KernelError) as failure:
            one.delete_module("owner", force=force)
        return failure.value.errno

    assert (refused(), refused(force=True)) == (errno.EAGAIN, errno.EAGAIN)  # a module uses it
    one.delete_module("user")
    assert one.modules()[0].refcount == 1
    assert refused() == errno.EBUSY  # it has no exit
    assert one.identity().taints == ""
    one.delete_module("owner", force=True)
    assert one.identity().taints == "R"


def test_a_module_goes_by_the_name_in_its_struct_module_and_is_called_by_another() -> None:
    spec = ModuleSpec(name="real", modinfo=(("name", "told"), *GOOD.modinfo))
    one = kernel(boot={"command_line": "module_blacklist=real"})
    load(one, spec)
    assert [module.name for module in one.modules()] == ["real"]
    listed = kernel(boot={"command_line": "module_blacklist=told"})
    assert refusal(listed, write_module(spec)).log == ("Module told is blacklisted",)
    other = replace(spec, name="other", vermagic="none at all")
    assert refusal(one, write_module(other)).log[0].startswith("told: version magic ")
