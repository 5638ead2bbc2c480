# SPDX-License-Identifier: Apache-2.0
"""The quick reader of what depmod needs: never another answer than the careful one's."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmodd.errors import ModuleFileError
from kmodd.modulefile import Compression, ElfMachine, ModuleFile
from kmodd.modulefile.quick import MAX_PLAIN, Contents, read_careful, read_contents, read_plain
from tests.support.compression import SUFFIXES, compress
from tests.support.debian import DebianTree
from tests.support.elf_object import STB_LOCAL, ElfObject, ObjectSymbol
from tests.support.elf_patch import with_modinfo
from tests.support.elf_writer import (
    Export,
    ExtraSection,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.modules import MODULES
from tests.support.patient import SPEC, Patient
from tests.unit.test_modulefile_hostile import MUTATIONS, damaged

FULL = ModuleSpec(
    modinfo=(
        ("alias", "pci:v*"),
        ("softdep", "pre: one"),
        ("license", "GPL"),
        ("alias", "of:N*"),
        ("weakdep", "two"),
        ("vermagic", "again"),
    ),
    exports=(Export("one_do"), Export("other_do", gpl_only=True, namespace="SPACE")),
    imports=(Import("printk"), Import("kfree", weak=True), Import("printk_more")),
)

PLAIN = [
    with_modinfo(write_module(FULL), b"alias=a\nb\0\0weakdep=w\0x\0softdep=to the end"),
    with_modinfo(write_module(FULL), b"\0\0alias\0alias=\0\n"),
    append_signature(write_module(FULL), b"opaque"),
    write_module(ModuleSpec()),
    write_module(ModuleSpec(crcs="absolute", exports=FULL.exports)),
    write_module(ModuleSpec(crcs="none", exports=FULL.exports)),
    write_module(ModuleSpec(extended_versions=True, imports=FULL.imports)),
    write_module(ModuleSpec(modinfo=(("description", "größer"), ("alias", "\udcff*")))),
    write_module(ModuleSpec(modinfo=(("description", "first"), ("description", "second")))),
    write_module(ModuleSpec(modinfo=(("description", "long " * 1000),))),
    *(path.read_bytes() for path in MODULES),
]


def plain(image: bytes) -> Contents | None:
    return read_plain(image, lambda of, size, offset: of[offset : offset + size], len(image))


def careful(image: bytes) -> Contents | None:
    """The careful reader's answer, None where that is an error."""
    try:
        return read_careful(ModuleFile.parse(image))
    except ModuleFileError:
        return None


@pytest.mark.parametrize("image", PLAIN)
def test_ordinary_modules_are_read_alike(image: bytes) -> None:
    assert plain(image) == careful(image) is not None


def test_each_of_debians_modules_is_read_alike(debian_tree: DebianTree) -> None:
    paths = sorted(debian_tree.directory.rglob("*.ko"))
    different = [path for path in paths if not alike(path)]
    assert len(paths) > 500
    assert different == []


def alike(path: Path) -> bool:
    image = path.read_bytes()
    return plain(image) == careful(image) is not None


@pytest.mark.parametrize("seed", range(4))
def test_damaged_modules_are_read_alike_or_not_at_all(seed: int) -> None:
    randomness = random.Random(seed)
    answers = 0
    for _ in range(MUTATIONS // 4):
        image = damaged(randomness.choice(PLAIN), randomness)
        found = plain(image)
        assert found is None or found == careful(image)
        answers += found is not None
    assert answers > MUTATIONS // 20


@pytest.mark.parametrize(
    "spec",
    [
        ModuleSpec(bits=32, machine=ElfMachine.ARM, exports=FULL.exports),
        ModuleSpec(byteorder="big", machine=ElfMachine.PPC64, exports=FULL.exports),
        ModuleSpec(imports=(Import("größer"),)),
        ModuleSpec(sections=tuple(ExtraSection(f".s{number}") for number in range(300))),
    ],
)
def test_an_unusual_module_is_left_to_the_careful_reader(spec: ModuleSpec, tmp_path: Path) -> None:
    image = write_module(spec)
    assert plain(image) is None
    assert from_file(tmp_path, image) == careful(image) is not None


def from_file(directory: Path, image: bytes, suffix: str = ".ko") -> Contents:
    path = directory / f"module{suffix}"
    path.write_bytes(image)
    with open(path, "rb") as file:
        return read_contents(file.fileno(), str(path), os.stat(path))


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.XZ, Compression.ZSTD])
def test_compressed_modules_are_read_alike(compression: Compression, tmp_path: Path) -> None:
    for image in (PLAIN[0], write_module(ModuleSpec(bits=32, machine=ElfMachine.ARM))):
        packed = compress(image, compression)
        assert from_file(tmp_path, packed, SUFFIXES[compression]) == careful(image)


def test_what_is_no_module_is_told_in_the_careful_readers_words(tmp_path: Path) -> None:
    for image in (b"", b"\x7fELF", PLAIN[0][:200], compress(b"nothing", Compression.ZSTD)):
        with pytest.raises(ModuleFileError) as quick:
            from_file(tmp_path, image)
        with pytest.raises(ModuleFileError) as slow:
            read_careful(ModuleFile.open(tmp_path / "module.ko"))
        assert str(quick.value) == str(slow.value)


def test_what_costs_time_or_memory_is_left_to_the_careful_reader() -> None:
    for image in expensive():
        assert plain(image) is None


def expensive() -> Sequence[bytes]:
    """Modules with a huge table, with a huge number of names, and with one stretch named often."""
    wide = Patient(write_module(SPEC))
    wide.section(".symtab", "size", (MAX_PLAIN // 24 + 1) * 24)
    many = ModuleSpec(imports=tuple(Import(f"n{number}") for number in range(20_000)))
    image = ElfObject(64, "little", ElfMachine.X86_64)
    for number in range(64):
        section = image.add(f".narrow{number}", bytes(4))
        image.define(ObjectSymbol(f"__crc_{number}", section, binding=STB_LOCAL))
    return [bytes(wide.image) + bytes(MAX_PLAIN + 24), write_module(many), image.link()]
