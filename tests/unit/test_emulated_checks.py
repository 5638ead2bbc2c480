# SPDX-License-Identifier: Apache-2.0
"""What the emulated kernel refuses where a recording of one kernel does not reach.

The refusals that a real kernel was seen to make are in tests/conformance/realkernel.
"""

import errno
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel
from kmodd.kernel.emulated.load.boot_command_line import BootCommandLine, parse_command_line
from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.modulefile import SectionType
from tests.support.elf_object import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE
from tests.support.elf_patch import patched, with_modinfo, with_row
from tests.support.elf_writer import (
    RETURN_ZERO,
    SIGNATURE_MARKER,
    VERMAGIC,
    ExtraSection,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.emulated import (
    CORE,
    RELEASE,
    SAMPLE,
    exporting,
    file_refusal,
    importing,
    kernel,
    load,
    log,
    refusal,
    vmlinux,
)
from tests.support.param_writer import Param
from tests.support.signatures import signature_by

PLAIN = write_module(ModuleSpec())
KEY = b"\x12\x34"
SIGNED = replace(SAMPLE, key=KEY)
ENFORCED = {"command_line": "module.sig_enforce"}


def of_release(release: str, **changes: Any) -> ModuleSpec:
    return ModuleSpec(vermagic=VERMAGIC.replace(VERMAGIC.split()[0], release), **changes)


def test_a_signature_by_another_key_taints_unless_signatures_are_enforced() -> None:
    stranger = append_signature(PLAIN, signature_by(b"\x56"))
    one = kernel(sample=SIGNED)
    one.init_module(stranger, "", InsertFlags.NONE)
    assert one.modules()[0].taints == "E"
    error = refusal(kernel(sample=SIGNED, boot=ENFORCED), stranger)
    assert (error.errno, error.reason) == (errno.EKEYREJECTED, Reason.KERNEL_REFUSED)
    assert error.log == ("Loading of module with unavailable key is rejected",)


def test_a_signature_with_an_unheard_of_hash_is_unsupported_crypto() -> None:
    odd = append_signature(PLAIN, signature_by(KEY, hash_name="unheard of"))
    error = refusal(kernel(sample=SIGNED, boot=ENFORCED), odd)
    assert error.log == ("Loading of module with unsupported crypto is rejected",)


def test_a_kernel_may_be_built_to_enforce_signatures() -> None:
    options = BuildOptions(signatures=True, signatures_enforced=True)
    error = refusal(kernel(options=options), PLAIN)
    assert error.log == ("Loading of unsigned module is rejected",)


def test_a_kernel_without_signatures_does_not_look_at_them() -> None:
    one = kernel()
    one.init_module(append_signature(PLAIN, b"s" * 64), "", InsertFlags.NONE)
    assert one.modules()[0].taints == ""


@pytest.mark.parametrize("tail", [b"1" + SIGNATURE_MARKER, b"12 bytes too" + SIGNATURE_MARKER])
def test_a_signature_that_is_cut_short_is_refused_even_if_none_is_needed(tail: bytes) -> None:
    error = file_refusal(kernel(sample=SIGNED), tail)
    assert (error.errno, error.log) == (errno.EBADMSG, ())


@pytest.mark.parametrize("isolated", [False, True])
def test_files_that_cannot_be_a_module(tmp_path: Path, isolated: bool) -> None:
    one = IsolatedKernel(RELEASE, vmlinux) if isolated else kernel()
    (tmp_path / "module").write_bytes(PLAIN)
    (tmp_path / "empty").touch()
    for path, flags, code in (
        (tmp_path, os.O_RDONLY, errno.EINVAL),
        (tmp_path / "empty", os.O_RDONLY, errno.EINVAL),
        (tmp_path / "module", os.O_WRONLY, errno.EBADF),
    ):
        fd = os.open(path, flags)
        with pytest.raises(KernelError) as refused:
            one.finit_module(fd, "", InsertFlags.NONE)
        os.close(fd)
        assert refused.value.errno == code
    with pytest.raises(KernelError) as refused:
        one.finit_module(fd, "", InsertFlags.NONE)
    assert refused.value.errno == errno.EBADF
    one.close()


def test_unknown_flags_are_refused(tmp_path: Path) -> None:
    (tmp_path / "module").write_bytes(PLAIN)
    with (tmp_path / "module").open("rb") as file, pytest.raises(KernelError) as refused:
        kernel().finit_module(file.fileno(), "", InsertFlags(8))
    assert refused.value.errno == errno.EINVAL


def test_without_force_nothing_is_forced() -> None:
    options = BuildOptions(force_load=False, force_unload=False)
    one = kernel(options=options)
    assert refusal(one, write_module(ModuleSpec(vermagic=None))).errno == errno.ENOEXEC
    unversioned = ModuleSpec(name="user", imports=(Import("_printk"),), versions=())
    assert refusal(one, write_module(unversioned)).errno == errno.EINVAL
    loose = exporting("loose", "loose_do", crcs="none")
    assert refusal(one, write_module(loose)).errno == errno.ENOEXEC
    load(one, ModuleSpec(exit=None))
    with pytest.raises(KernelError) as refused:
        one.delete_module("sample", force=True)
    assert refused.value.errno == errno.EBUSY
    assert one.identity().taints == ""


def test_without_support_for_livepatches_there_are_none() -> None:
    patch = ModuleSpec(modinfo=(("intree", "Y"), ("livepatch", "Y")))
    error = refusal(kernel(options=BuildOptions(livepatch=False)), write_module(patch))
    assert error.log == (
        "sample: module is marked as livepatch module, but livepatch support is disabled",
    )


def test_a_kernel_may_allow_namespaces_that_are_not_imported() -> None:
    one = kernel(options=BuildOptions(missing_namespaces_allowed=True))
    load(one, importing("hidden_function"))
    assert one.read_log()[-1].level == 4


def test_since_5_8_no_section_can_be_written_and_run() -> None:
    both = ExtraSection(".both", RETURN_ZERO, flags=SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)
    error = refusal(kernel("5.8.0"), write_module(of_release("5.8.0", sections=(both,))))
    assert error.errno == errno.ENOEXEC
    load(kernel("5.7.0"), of_release("5.7.0", sections=(both,)))


@pytest.mark.parametrize(("release", "taints"), [("6.3.0", "P"), ("6.4.0", "")])
def test_since_6_4_a_module_that_is_there_already_does_not_taint(release: str, taints: str) -> None:
    one = kernel(release)
    load(one, of_release(release))
    again = write_module(of_release(release, license="Proprietary"))
    assert refusal(one, again).errno == errno.EEXIST
    assert one.identity().taints == taints


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("6.3.0", "sample: No module found in object"),
        (
            "6.12.0",
            "module sample: Only one .gnu.linkonce.this_module section must exist.",
        ),
        (
            "6.13.0",
            "module sample: Exactly one .gnu.linkonce.this_module section must exist.",
        ),
    ],
)
def test_a_module_without_struct_module_is_told_in_the_versions_words(
    release: str, line: str
) -> None:
    error = refusal(kernel(release), write_module(of_release(release, this_module_size=0)))
    assert (error.errno, error.log) == (errno.ENOEXEC, (line,))


def test_since_6_4_struct_module_must_have_the_kernels_size() -> None:
    other = write_module(of_release("6.4.0", this_module_size=0x400))
    sample = replace(SAMPLE, struct_module_size=0x380)
    error = refusal(kernel("6.4.0", sample=sample), other)
    assert error.log == (
        "module sample: .gnu.linkonce.this_module section size must match the kernel's built "
        "struct module size at run time",
    )
    load(kernel("6.3.0", sample=sample), of_release("6.3.0", this_module_size=0x400))


@pytest.mark.parametrize(
    ("field_at", "value", "line"),
    [
        (4, SectionType.NOBITS, "section must have a size set"),
        (8, 0, "must occupy memory during process execution"),
    ],
)
def test_since_6_4_struct_module_must_be_in_memory(field_at: int, value: int, line: str) -> None:
    image = with_row(of_release("6.4.0"), ".gnu.linkonce.this_module", field_at, "<I", value)
    error = refusal(kernel("6.4.0"), image)
    assert error.log == (f"module sample: .gnu.linkonce.this_module {line}",)


def test_modinfo_that_was_edited_is_read_to_its_end() -> None:
    strings = b"license=GPL\0\0retpoline=Y\0name=sample\0vermagic=" + VERMAGIC.encode()
    for end in (b"", b"\0\n", b"\0intree=Y"):
        kernel().init_module(with_modinfo(PLAIN, strings + end), "", InsertFlags.NONE)


def test_a_string_of_modinfo_without_its_equals_sign_is_no_tag() -> None:
    unforced = kernel(options=BuildOptions(force_load=False))
    error = refusal(unforced, with_modinfo(PLAIN, b"license=GPL\0retpoline=Y\0vermagic"))
    assert (error.errno, "no version magic" in error.message) == (errno.ENOEXEC, True)


def test_since_6_4_there_is_one_modinfo_and_one_symbol_table() -> None:
    two = of_release("6.4.0", sections=(ExtraSection(".modinfo", b"a=b\0", flags=SHF_ALLOC),))
    error = refusal(kernel("6.4.0"), write_module(two))
    assert error.log == ("Only one .modinfo section must exist.",)
    load(kernel("6.3.0"), replace(two, vermagic=VERMAGIC.replace("6.1.0-56-amd64", "6.3.0")))
    image = with_row(of_release("6.4.0"), ".symtab", 4, "<I", SectionType.PROGBITS)
    assert refusal(kernel("6.4.0"), image).log == ("sample: module has no symbols (stripped?)",)


@pytest.mark.parametrize(
    ("namespace", "allowed"),
    [
        ("module:user", True),
        ("module:other,us*", True),
        ("module:other", False),
        ("module:use", False),
    ],
)
def test_since_6_16_a_namespace_may_name_its_modules(namespace: str, allowed: bool) -> None:
    symbols = {**CORE, "internal": CoreSymbol(namespace=namespace)}
    spec = replace(importing("internal"), vermagic=of_release("6.16.0").vermagic)
    if allowed:
        load(kernel("6.16.0", symbols=symbols), spec)
    else:
        assert refusal(kernel("6.16.0", symbols=symbols), write_module(spec)).errno == errno.EINVAL
    before = replace(importing("internal"), vermagic=of_release("6.15.0").vermagic)
    assert refusal(kernel("6.15.0", symbols=symbols), write_module(before)).errno == errno.EINVAL


def test_since_6_16_such_a_namespace_cannot_be_imported() -> None:
    spec = of_release("6.16.0", modinfo=(("intree", "Y"), ("import_ns", "module:sample")))
    error = refusal(kernel("6.16.0"), write_module(spec))
    assert (error.errno, error.log) == (
        errno.EPERM,
        ("sample: module tries to import module namespace: module:sample",),
    )


def test_headers_are_read_as_the_kernels_machine_reads_them() -> None:
    big_endian = bytearray(PLAIN)
    big_endian[16:18] = struct.pack(">H", 1)
    assert refusal(kernel(), bytes(big_endian)).log == ("Invalid ELF header type: 256 != 1",)
    i386 = write_module(ModuleSpec(bits=32, machine=3, versions=()))
    assert refusal(kernel(), i386).log == ("Invalid architecture in ELF header: 3",)


def test_a_file_that_lies_in_its_tables_is_refused_with_a_line() -> None:
    error = refusal(kernel(), patched(ModuleSpec(), 4, "B", 9))
    assert error.errno == errno.ENOEXEC
    assert error.log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BootCommandLine()),
        ("quiet root=/dev/sda1", BootCommandLine()),
        ("module_blacklist=a,,b", BootCommandLine(blacklist=frozenset("ab"))),
        ("module_blacklist=a module-blacklist=b", BootCommandLine(blacklist=frozenset("b"))),
        ("module.sig_enforce", BootCommandLine(signatures_enforced=True)),
        ("module.sig_enforce=1 module.sig_enforce=0", BootCommandLine(signatures_enforced=True)),
        ("module.sig_enforce=n", BootCommandLine()),
        ("sysctl.kernel.modules_disabled=1", BootCommandLine(modules_disabled=True)),
        ("sysctl.kernel.modules_disabled=0", BootCommandLine()),
    ],
)
def test_the_kernels_command_line(text: str, expected: BootCommandLine) -> None:
    assert parse_command_line(text) == replace(expected, text=text)


def test_a_long_parameters_complaint_is_cut_as_on_linux() -> None:
    one = kernel()
    spec = ModuleSpec(parameters=(Param("text", "charp"),))
    error = refusal(one, write_module(spec), "text=" + "x" * 1025)
    assert error.errno == errno.ENOSPC
    assert log(one)[-2] == "text: string parameter too long"
    assert len(log(one)[-1]) == 989


def test_since_6_4_a_licence_that_taints_is_told_of_twice() -> None:
    """As Debian's 6.12.118 logs it."""
    one = kernel("6.12.0", sample=replace(SAMPLE, key=b"key"))
    for name in ("one", "two"):
        load(one, of_release("6.12.0", name=name, license=None, modinfo=()))
    assert log(one)[1:] == [
        "one: loading out-of-tree module taints kernel.",
        "one: module license 'unspecified' taints kernel.",
        "Disabling lock debugging due to kernel taint",
        "one: module verification failed: signature and/or required key missing - tainting kernel",
        "one: module license taints kernel.",
    ]
