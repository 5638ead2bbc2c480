# SPDX-License-Identifier: Apache-2.0
"""A kernel without finit_module(2): init_module(2) takes the image, edited as the flags say."""

import errno
import os
from pathlib import Path
from typing import Literal

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.linux import LinuxKernel, syscalls
from kmodd.kernel.linux.unchecked import without_checks
from kmodd.modulefile import Compression, ElfMachine, ModuleFile
from tests.support.compression import compress
from tests.support.elf_writer import Import, ModuleSpec, append_signature, write_module
from tests.support.emulated import kernel as emulated_kernel

MODULE = append_signature(write_module(ModuleSpec(imports=(Import("kfree", crc=1),))), b"opaque")
IGNORED = InsertFlags.IGNORE_MODVERSIONS | InsertFlags.IGNORE_VERMAGIC


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The images that init_module(2) was given, on a kernel that has no other call."""
    given: list[bytes] = []

    def no_call(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(syscalls, "finit_module", no_call)
    monkeypatch.setattr(syscalls, "init_module", lambda image, _parameters: given.append(image))
    return given


@pytest.mark.parametrize("compression", Compression)
def test_the_file_is_read_and_handed_over(
    images: list[bytes], tmp_path: Path, compression: Compression
) -> None:
    (tmp_path / "sample.ko").write_bytes(compress(MODULE, compression))
    with (tmp_path / "sample.ko").open("rb") as file:
        LinuxKernel().finit_module(file.fileno(), "", InsertFlags.NONE)
    assert images == [MODULE]


def test_what_is_to_be_ignored_is_taken_out(images: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "sample.ko").write_bytes(MODULE)
    with (tmp_path / "sample.ko").open("rb") as file:
        LinuxKernel().finit_module(file.fileno(), "", IGNORED)
    LinuxKernel().init_module(MODULE, "", IGNORED)
    assert images == [without_checks(MODULE, IGNORED)] * 2
    assert len(images[0]) == len(MODULE)


def test_a_kernel_without_either_says_so(
    images: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "init_module", syscalls.finit_module)
    (tmp_path / "sample.ko").write_bytes(MODULE)
    with (tmp_path / "sample.ko").open("rb") as file, pytest.raises(KernelError) as failed:
        LinuxKernel().finit_module(file.fileno(), "", InsertFlags.NONE)
    assert (failed.value.errno, images) == (errno.ENOSYS, [])


SHAPES: tuple[tuple[Literal[32, 64], Literal["little", "big"], ElfMachine], ...] = (
    (64, "little", ElfMachine.X86_64),
    (64, "big", ElfMachine.PPC64),
    (32, "little", ElfMachine.ARM),
    (32, "big", ElfMachine.PPC),
)


@pytest.mark.parametrize(("bits", "byteorder", "machine"), SHAPES)
@pytest.mark.parametrize("extended", [False, True])
def test_the_kernel_sees_neither_versions_nor_version_magic(
    bits: Literal[32, 64], byteorder: Literal["little", "big"], machine: ElfMachine, extended: bool
) -> None:
    spec = ModuleSpec(bits=bits, byteorder=byteorder, machine=machine, extended_versions=extended)
    image = write_module(spec)
    module = ModuleFile.parse(without_checks(image, IGNORED))
    before = ModuleFile.parse(image)
    assert module.modinfo() == tuple(each for each in before.modinfo() if each[0] != "vermagic")
    changed = [
        mine.name
        for mine, theirs in zip(module.elf.sections, before.elf.sections, strict=True)
        if mine.flags != theirs.flags
    ]
    assert changed == (
        ["__version_ext_crcs", "__version_ext_names"] if extended else ["__versions"]
    )
    assert without_checks(image, InsertFlags.NONE) == image


def test_a_kernel_loads_what_it_has_nothing_left_to_compare_of() -> None:
    image = write_module(
        ModuleSpec(vermagic="1.0 other", imports=(Import("kfree", crc=1), Import("_printk", crc=2)))
    )
    with pytest.raises(KernelError):
        emulated_kernel().init_module(image, "", InsertFlags.NONE)
    emulated_kernel().init_module(without_checks(image, IGNORED), "", InsertFlags.NONE)
