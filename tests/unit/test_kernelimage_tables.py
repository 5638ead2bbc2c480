# SPDX-License-Identifier: Apache-2.0
"""The tables of a kernel in the forms that releases and processors have, and its certificates."""

import struct
from pathlib import Path
from typing import Literal

import pytest

from kmodd.errors import KernelImageError
from kmodd.kernelimage.certificates import read_trusted
from kmodd.kernelimage.exports import read_kernel_exports
from kmodd.kernelimage.parameters import read_directories
from kmodd.kernelimage.reading import opened
from kmodd.modulefile.exports import ExportedSymbol
from tests.support.kernel_image import (
    BASE,
    CERTIFICATES,
    EXPORTS,
    Linked,
    crc_table,
    export_sections,
    flat_kernel,
    parameter_sections,
    strings_of,
    symbol_table,
    trusted_list,
    write_vmlinux,
)

Bits = Literal[32, 64]
Order = Literal["<", ">"]


def exports(tmp_path: Path, image: bytes) -> tuple[ExportedSymbol, ...] | None:
    path = tmp_path / "vmlinux"
    path.write_bytes(image)
    with opened(str(path)) as kernel:
        return read_kernel_exports(kernel)


def directories(tmp_path: Path, image: bytes) -> frozenset[str] | None:
    path = tmp_path / "vmlinux"
    path.write_bytes(image)
    with opened(str(path)) as kernel:
        return read_directories(kernel)


def trusted(tmp_path: Path, image: bytes) -> tuple[bytes, ...]:
    path = tmp_path / "vmlinux"
    path.write_bytes(image)
    with opened(str(path)) as kernel:
        return read_trusted(kernel)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "pointer"), [(64, 0), (64, 8), (32, 0), (32, 4)])
@pytest.mark.parametrize("words", [2, 3])
def test_exports_are_read_in_every_form(
    tmp_path: Path, bits: Bits, order: Order, pointer: int, words: int
) -> None:
    base = BASE if bits == 64 else 0xC0008000
    strings = Linked("__ksymtab_strings", base + 0x8000, strings_of(EXPORTS))
    table = symbol_table(EXPORTS, base + 0x1000, strings, order=order, words=words, pointer=pointer)
    sections = [
        strings,
        Linked("__ksymtab", base + 0x1000, table),
        Linked("__kcrctab", base + 0x4000, crc_table(EXPORTS, order)),
    ]
    found = exports(tmp_path, write_vmlinux(sections, bits=bits, order=order))
    expected = [each._replace(gpl_only=False) for each in EXPORTS]
    if words == 2:
        expected = [each._replace(namespace="") for each in expected]
    assert found == tuple(expected)


def test_a_flag_tells_what_is_for_gpl_alone_where_there_is_one_table(tmp_path: Path) -> None:
    strings = Linked("__ksymtab_strings", BASE + 0x8000, strings_of(EXPORTS))
    table = Linked("__ksymtab", BASE, symbol_table(EXPORTS, BASE, strings))
    flags = Linked("__kflagstab", BASE + 0x4000, bytes(each.gpl_only for each in EXPORTS))
    found = exports(tmp_path, write_vmlinux([strings, table, flags]))
    assert found == tuple(each._replace(crc=None) for each in EXPORTS)
    short = Linked("__kflagstab", BASE + 0x4000, b"\0")
    with pytest.raises(KernelImageError, match="__kflagstab has 1 bytes for 4 symbols"):
        exports(tmp_path, write_vmlinux([strings, table, short]))


def test_crcs_that_are_elsewhere_are_looked_up_there(tmp_path: Path) -> None:
    many = tuple(
        ExportedSymbol(f"symbol_{number}", 0x9E3779B9 * number & 0xFFFFFFFF, False, "")
        for number in range(100)
    )
    sections = {each.name: each for each in export_sections(many)}
    assert exports(tmp_path, write_vmlinux([*sections.values()])) == many
    table = sections["__kcrctab"]
    rodata = Linked(".rodata", BASE, crc_table(many))
    offsets = b"".join(
        struct.pack("<i", rodata.address + 4 * number - (table.address + 4 * number))
        for number in range(len(many))
    )
    sections["__kcrctab"] = Linked(table.name, table.address, offsets)
    assert exports(tmp_path, write_vmlinux([rodata, *sections.values()])) == many


def test_a_kernel_without_exports_is_not_one_that_does_not_tell(tmp_path: Path) -> None:
    strings = Linked("__ksymtab_strings", BASE, b"\0")
    assert exports(tmp_path, write_vmlinux([strings])) == ()
    assert exports(tmp_path, write_vmlinux([])) is None
    assert exports(tmp_path, flat_kernel(bytes(100))) is None


def test_a_name_without_an_end_is_no_name(tmp_path: Path) -> None:
    strings = Linked("__ksymtab_strings", BASE + 0x8000, b"x" * 5000 + b"\0")
    table = struct.pack("<iii", 0, strings.address - (BASE + 4), 0)
    with pytest.raises(KernelImageError, match="names no symbols"):
        exports(tmp_path, write_vmlinux([strings, Linked("__ksymtab", BASE, table)]))


def test_parameters_without_a_file_make_no_directory(tmp_path: Path) -> None:
    sections = parameter_sections([("a.x", 0), ("b.x", 0o400), ("c.d.e", 0o600), ("plain", 0)])
    found = directories(tmp_path, write_vmlinux(sections))
    assert found == frozenset({"b", "c", "with_version"})


def test_versions_are_found_behind_pointers_too(tmp_path: Path) -> None:
    names, table, versions = parameter_sections()
    behind = Linked(".more", versions.address + 0x100, versions.data)
    pointers = Linked("__modver", versions.address, struct.pack("<Q", behind.address))
    found = directories(tmp_path, write_vmlinux([names, table, pointers, behind]))
    assert found == frozenset({"kernel", "loud", "with_version"})


def test_a_kernel_whose_pointers_are_elsewhere_does_not_tell_its_directories(
    tmp_path: Path,
) -> None:
    names, table, _ = parameter_sections()
    unfilled = Linked(table.name, table.address, bytes(len(table.data)))
    assert directories(tmp_path, write_vmlinux([names, unfilled])) is None
    assert directories(tmp_path, write_vmlinux([])) is None


def in_init(data: bytes) -> bytes:
    return write_vmlinux([Linked(".init.data", BASE, data)])


def test_the_list_of_trusted_certificates_tells_its_size(tmp_path: Path) -> None:
    assert trusted(tmp_path, in_init(b"\x55" * 8 + trusted_list() + b"\x55" * 9)) == CERTIFICATES
    assert trusted(tmp_path, in_init(trusted_list(made=0))) == CERTIFICATES
    room = bytes(4096)
    listed = b"".join(CERTIFICATES) + room
    sizes = trusted_list()[-16:]
    spaced = listed + bytes(-len(listed) % 8) + sizes
    assert trusted(tmp_path, in_init(spaced)) == CERTIFICATES


@pytest.mark.parametrize(
    "data",
    [
        b"".join(CERTIFICATES) + bytes(64),
        b"\x55" + trusted_list(),
        trusted_list()[:-16],
        trusted_list(made=1),
        trusted_list([CERTIFICATES[0], CERTIFICATES[0][:-1]]),
        trusted_list([b"\x30\x82\xff\xff" + CERTIFICATES[0][4:]]),
    ],
)
def test_certificates_that_are_in_no_such_list_are_not_trusted(tmp_path: Path, data: bytes) -> None:
    assert trusted(tmp_path, in_init(data)) == ()


def test_the_first_such_list_is_the_trusted_one(tmp_path: Path) -> None:
    revoked = trusted_list(CERTIFICATES[1:], made=0)
    assert trusted(tmp_path, in_init(trusted_list(CERTIFICATES[:1]) + revoked)) == CERTIFICATES[:1]
