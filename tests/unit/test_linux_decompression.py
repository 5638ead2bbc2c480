# SPDX-License-Identifier: Apache-2.0
"""Compressed modules on a kernel that undoes compression itself, as far as it can."""

import errno
import gzip
import lzma
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kmodd.errors import KernelError, ModuleFileError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.linux import LinuxKernel, syscalls
from kmodd.kernel.linux.decoders import may_undo
from kmodd.modulefile import Compression
from tests.support.compression import (
    LARGEST_DICTIONARY,
    compress,
    xz_with_dictionary,
    zstd_with_window,
)
from tests.support.elf_writer import ModuleSpec, write_module


@dataclass
class Calls:
    """The system calls that were made: the files and the images, and how files are answered."""

    answer: int = 0
    says: str = ""
    files: list[int] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    image_answer: int = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    made = Calls()

    def finit_module(_fd: int, _parameters: str, flags: int) -> None:
        made.files.append(flags)
        if made.says:
            with (tmp_path / "kmsg").open("a") as log:
                log.write(f"3,1,1,-;{made.says}\n")
        if made.answer:
            raise OSError(made.answer, os.strerror(made.answer))

    def init_module(image: bytes, _parameters: str) -> None:
        made.images.append(image)
        if made.image_answer:
            raise OSError(made.image_answer, os.strerror(made.image_answer))

    monkeypatch.setattr(syscalls, "finit_module", finit_module)
    monkeypatch.setattr(syscalls, "init_module", init_module)
    return made


MODULE = write_module(ModuleSpec())


def load(place: Path, contents: bytes) -> None:
    """Load a file on a kernel that undoes xz, or what it is told."""
    (place / "sample.ko").write_bytes(contents)
    (place / "kmsg").touch()
    (place / "module").mkdir(exist_ok=True)
    (place / "module/compression").write_text("xz\n")
    kernel = LinuxKernel(sysfs=place, log_device=place / "kmsg")
    with (place / "sample.ko").open("rb") as file:
        kernel.finit_module(file.fileno(), "", InsertFlags.NONE)


def xz(**options: Any) -> bytes:
    return lzma.compress(MODULE, **options)


LZMA2: dict[str, Any] = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}
BEYOND_KERNELS = {
    "crc64": xz(),
    "sha256": xz(check=lzma.CHECK_SHA256),
    "delta": xz(check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_DELTA, "dist": 1}, LZMA2]),
    "branch offset": xz(
        check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_X86, "start_offset": 16}, LZMA2]
    ),
    "two branches": xz(
        check=lzma.CHECK_CRC32,
        filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_ARM}, LZMA2],
    ),
    "dictionary": xz_with_dictionary(MODULE, LARGEST_DICTIONARY),
    "window": zstd_with_window(MODULE, 28),
    "comment": b"\x1f\x8b\x08\x10" + bytes(6) + b"why\0" + gzip.compress(MODULE, mtime=0)[10:],
}
WITHIN_KERNELS = {
    "crc32": compress(MODULE, Compression.XZ),
    "unchecked": xz(check=lzma.CHECK_NONE),
    "largest preset": xz(check=lzma.CHECK_CRC32, preset=9),
    "branches": xz(check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_X86}, LZMA2]),
    "gzip": compress(MODULE, Compression.GZIP),
    "named": b"\x1f\x8b\x08\x08" + bytes(6) + b"m.ko\0" + gzip.compress(MODULE, mtime=0)[10:],
    "zstd": compress(MODULE, Compression.ZSTD),
    "long": zstd_with_window(MODULE, 27),
}


@pytest.mark.parametrize("contents", BEYOND_KERNELS.values(), ids=BEYOND_KERNELS)
def test_a_file_that_no_kernel_undoes_is_handed_over_uncompressed(
    calls: Calls, tmp_path: Path, contents: bytes
) -> None:
    load(tmp_path, contents)
    assert (calls.files, calls.images) == ([], [MODULE])


@pytest.mark.parametrize("contents", WITHIN_KERNELS.values(), ids=WITHIN_KERNELS)
@pytest.mark.parametrize("says", ["", "decompression failed with status 6"])
@pytest.mark.parametrize("answer", [0, errno.EINVAL, errno.ENOMEM])
def test_a_file_that_the_kernel_has_not_undone_is_handed_over_again(
    calls: Calls, tmp_path: Path, contents: bytes, says: str, answer: int
) -> None:
    calls.answer, calls.says = answer, says
    load(tmp_path, contents)
    assert calls.files == [syscalls.MODULE_INIT_COMPRESSED_FILE]
    assert calls.images == ([MODULE] if answer else [])


def test_a_file_of_several_streams_is_handed_over_again(calls: Calls, tmp_path: Path) -> None:
    calls.answer = errno.ENOEXEC
    halves = MODULE[:1000], MODULE[1000:]
    load(tmp_path, b"".join(compress(each, Compression.XZ) for each in halves))
    assert calls.images == [MODULE]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (errno.ENOEXEC, ""),
        (errno.EPERM, ""),
        (errno.ENOENT, "sample: Unknown symbol f (err -2)"),
        (errno.EINVAL, "sample: `x' invalid for parameter `n'"),
        (errno.EINVAL, "sample: init has its own reasons"),
    ],
)
def test_a_module_that_the_kernel_has_undone_fails_once(
    calls: Calls, tmp_path: Path, answer: int, says: str
) -> None:
    calls.answer, calls.says = answer, says
    with pytest.raises(KernelError) as failed:
        load(tmp_path, compress(MODULE, Compression.XZ))
    assert (failed.value.errno, calls.images) == (answer, [])


def test_a_module_that_is_wrong_in_itself_fails_as_the_kernel_has_it(
    calls: Calls, tmp_path: Path
) -> None:
    calls.answer, calls.image_answer = errno.EINVAL, errno.ENOEXEC
    with pytest.raises(KernelError) as failed:
        load(tmp_path, compress(MODULE, Compression.XZ))
    assert (failed.value.errno, calls.images) == (errno.ENOEXEC, [MODULE])


def test_a_damaged_file_fails_as_the_kernel_has_it(calls: Calls, tmp_path: Path) -> None:
    calls.answer, calls.says = errno.EINVAL, "decompression failed with status 7"
    with pytest.raises(KernelError) as failed:
        load(tmp_path, compress(MODULE, Compression.XZ)[:-20])
    assert (failed.value.errno, failed.value.log) == (errno.EINVAL, (calls.says,))
    with pytest.raises(ModuleFileError, match="truncated") as told:
        load(tmp_path, BEYOND_KERNELS["crc64"][:-20])
    assert (told.value.errno, calls.images) == (errno.EINVAL, [])


@pytest.mark.parametrize("size", [6, 7, 8, 12, 13, 14, 15, 16, 17])
def test_a_file_that_ends_within_its_header_is_left_to_the_kernel(size: int) -> None:
    for contents in WITHIN_KERNELS.values():
        assert may_undo(contents[:size])
