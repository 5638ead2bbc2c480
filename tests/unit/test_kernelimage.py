# SPDX-License-Identifier: Apache-2.0
"""Kernel images: where they are, what they are wrapped in, what they say of their kernels."""

import os
import struct
from pathlib import Path

import pytest

from kmodd.errors import KernelImageError, Reason
from kmodd.kernelimage.facts import ImageFacts
from kmodd.kernelimage.lz4 import Lz4Error, unpack_block
from kmodd.kernelimage.payload import unwrapped
from kmodd.kernelimage.places import find_image
from kmodd.kernelimage.reading import layouts_of, opened, read_facts
from tests.support.btf_writer import BtfWriter
from tests.support.kernel_image import (
    BANNER,
    BASE,
    CERTIFICATES,
    EXPORTS,
    PACKINGS,
    RELEASE,
    VERMAGIC,
    Linked,
    bz_image,
    flat_kernel,
    lz4_literals,
    lz4_match,
    pack,
    trusted_list,
    unified_image,
    vmlinux_sections,
    write_vmlinux,
    zboot_image,
)
from tests.support.require import require

VMLINUX = write_vmlinux(vmlinux_sections())


def image(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "vmlinuz"
    path.write_bytes(data)
    return str(path)


def facts(tmp_path: Path, data: bytes) -> ImageFacts:
    return read_facts(image(tmp_path, data))


def with_section(name: str, data: bytes) -> bytes:
    """Return the small kernel with another section in the place of its own."""
    return write_vmlinux(
        [
            Linked(each.name, each.address, data) if each.name == name else each
            for each in vmlinux_sections()
        ]
    )


@pytest.mark.parametrize(
    "place", ["boot/vmlinuz-6.1", "usr/lib/modules/6.1/vmlinuz", "lib/modules/6.1/vmlinuz"]
)
def test_an_image_is_found_where_packages_have_it(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    assert find_image(tmp_path, "6.1") is None
    (tmp_path / place).touch()
    assert find_image(tmp_path, "6.1") == tmp_path / place
    assert find_image(tmp_path, "6.2") is None


def test_a_link_to_an_image_is_followed_within_the_root_alone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (tmp_path / "outside").touch()
    (root / "boot/inside").touch()
    (root / "boot/vmlinuz-a").symlink_to("inside")
    (root / "boot/vmlinuz-b").symlink_to(tmp_path / "outside")
    (root / "boot/vmlinuz-c").symlink_to("../../outside")
    assert find_image(root, "a") == root / "boot/vmlinuz-a"
    assert find_image(root, "b") is None
    assert find_image(root, "c") is None


def test_an_elf_file_says_all_of_its_kernel(tmp_path: Path) -> None:
    found = facts(tmp_path, VMLINUX)
    assert found == ImageFacts(
        release=RELEASE,
        banner=BANNER.strip(),
        vermagic=VERMAGIC,
        exports=EXPORTS,
        directories=frozenset({"kernel", "loud", "with_version"}),
        certificates=CERTIFICATES,
    )


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_it_is_packed_with_makes_no_difference(tmp_path: Path, packing: str) -> None:
    plain = facts(tmp_path, VMLINUX)
    packed = pack(VMLINUX, packing)
    assert facts(tmp_path, packed) == plain
    assert facts(tmp_path, bz_image(packed)) == plain
    assert facts(tmp_path, bz_image(packed, sectors=0x27)) == plain
    assert facts(tmp_path, zboot_image(packed, packing)) == plain
    assert facts(tmp_path, unified_image(bz_image(packed))) == plain


def test_a_flat_kernel_says_what_needs_no_table(tmp_path: Path) -> None:
    contents = BANNER.encode() + b"\0" + VERMAGIC.encode() + b"aarch64\0"
    contents += bytes(-len(contents) % 8) + trusted_list()
    found = facts(tmp_path, pack(flat_kernel(contents), "gzip"))
    assert found == ImageFacts(
        RELEASE, BANNER.strip(), VERMAGIC + "aarch64", None, None, CERTIFICATES
    )
    assert facts(tmp_path, zboot_image(pack(flat_kernel(contents), "zstd"), "zstd")) == found


def test_a_kernel_of_few_sections_says_little(tmp_path: Path) -> None:
    said = Linked(".rodata", BASE, BANNER.encode() + b"\0")
    assert facts(tmp_path, write_vmlinux([said])) == ImageFacts(RELEASE, BANNER.strip())


def test_a_file_of_types_alone_tells_its_types(tmp_path: Path) -> None:
    """As headers packages have a ``vmlinux`` of one section, for modules to be built with."""
    writer = BtfWriter()
    number = writer.integer("long unsigned int", 8)
    path = image(tmp_path, write_vmlinux([Linked(".BTF", 0, writer.data())]))
    with opened(path) as kernel:
        layouts = layouts_of(kernel)
        assert layouts is not None
        assert layouts.size_of(number) == 8
    with pytest.raises(KernelImageError, match="no banner"):
        read_facts(path)
    for kernel_file in (flat_kernel(bytes(20) + writer.data()), write_vmlinux([])):
        with opened(image(tmp_path, kernel_file)) as kernel:
            layouts = layouts_of(kernel)
            assert (layouts is None) is kernel_file.startswith(b"\x7fELF")
            assert layouts is None or layouts.pointer_size == 8


def test_lz4_repeats_what_it_has_written() -> None:
    block = lz4_match(b"ab", 2, 7) + lz4_match(b"", 1, 600) + lz4_literals(b"end" * 100)
    assert unpack_block(block) == b"ab" + b"abababa" + b"a" * 600 + b"end" * 100


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"", "within a sequence"),
        (lz4_match(b"ab", 3, 4) + b"\0", "3 bytes back, of 2"),
        (lz4_match(b"ab", 0, 4) + b"\0", "0 bytes back"),
        (lz4_match(b"ab", 1, 9 << 20) + b"\0", "more than"),
        (lz4_match(b"ab", 2, 4), "within a sequence"),
        (b"\x30ab", "past the end"),
        (b"\xf0\xff\xff", "within a sequence"),
    ],
)
def test_a_block_of_lz4_that_is_damaged_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(Lz4Error, match=why):
        unpack_block(block)


def test_what_lz4_itself_makes_is_understood(tmp_path: Path) -> None:
    tool = require("lz4", "a frame that is not ours needs lz4")
    path = tmp_path / "vmlinux"
    path.write_bytes(VMLINUX)
    os.spawnl(os.P_WAIT, tool, "lz4", "-q", "-l", "-9", str(path), str(path) + ".lz4")
    packed = Path(f"{path}.lz4").read_bytes()
    assert len(packed) < len(VMLINUX)
    assert facts(tmp_path, bz_image(packed + struct.pack("<I", len(VMLINUX)))).release == RELEASE


PACKED = pack(VMLINUX, "xz")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither a kernel nor"),
        (b"\x7fELF", "too short for an ELF header"),
        (b"#!/bin/sh\n", "neither a kernel nor"),
        (bytes(4096), "neither a kernel nor"),
        (bz_image(PACKED)[:0x240], "cut short"),
        (bz_image(PACKED)[:-200], "is not within the file"),
        (bz_image(b""), "its payload, 0 bytes"),
        (bz_image(PACKED, version=0x207), "boot protocol 2.07"),
        (bz_image(PACKED[:-40]), "damaged xz stream|cut short"),
        (bz_image(PACKED[:200]), "cut short"),
        (bz_image(b"\x89LZO" + bytes(60)), "compressed as lzo, which is not read"),
        (bz_image(PACKED[:8] + b"\1" + PACKED[9:]), "damaged xz stream"),
        (zboot_image(PACKED, "xz")[:600], "is not within the file"),
        (zboot_image(PACKED, "xz")[:12], "reach past the end of the file"),
        (unified_image(VMLINUX, b".text"), "without a kernel"),
        (unified_image(VMLINUX)[:80], "past the end"),
        (b"MZ" + bytes(62), "neither a kernel nor a PE file"),
        (pack(pack(pack(pack(PACKED, "gzip"), "gzip"), "gzip"), "gzip"), "more than 4 wrappings"),
        (write_vmlinux([Linked(".rodata", BASE, b"Linux version of nothing")]), "no banner"),
        (pack(b"BZh9" + bytes(50), "gzip"), "bzip2 stream cannot be unpacked"),
        (pack(b"\x02\x21\x4c\x18\xff\xff\xff\xff" + bytes(50), "gzip"), "4294967295 bytes"),
        (with_section("__ksymtab", b"\0" * 25), "__ksymtab, 25 bytes, names no symbols"),
        (with_section("__ksymtab", b"\0" * 24), "__ksymtab, 24 bytes, names no symbols"),
        (with_section("__kcrctab", b"\0" * 4), "__kcrctab has 4 bytes for 2 symbols"),
        (with_section("__param", b"\0" * 41), "__param has 41 bytes"),
    ],
)
def test_what_is_no_image_or_lies_about_itself_is_refused(
    tmp_path: Path, data: bytes, why: str
) -> None:
    with pytest.raises(KernelImageError, match=why) as refused:
        facts(tmp_path, data)
    assert refused.value.reason is Reason.TREE_UNREADABLE
    assert refused.value.message.startswith(f"{tmp_path}/vmlinuz: ")


def test_what_is_no_file_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (("pipe", "not a file"), ("", "not a file|cannot be read"), ("no", "No such")):
        with pytest.raises(KernelImageError, match=why):
            read_facts(str(tmp_path / path))


def test_an_image_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodd.kernelimage.unpacking.UNPACKED_MAX", 1 << 20)
    path = image(tmp_path, bz_image(pack(bytes(64 << 20), "zstd")))
    with pytest.raises(KernelImageError, match="unpacks to more than 1048576 bytes"):
        read_facts(path)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with unwrapped(image(tmp_path, bz_image(PACKED))) as kernel:
        assert kernel.image.size == len(VMLINUX)
        assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    with pytest.raises(KernelImageError):
        facts(tmp_path, bz_image(PACKED[:200]))
    assert len(os.listdir("/proc/self/fd")) == len(before)
