# SPDX-License-Identifier: Apache-2.0
"""Module files made to cost time or memory, and damage that nobody thought of."""

import os
import random
import struct
import time

import pytest

from kmodd.errors import ModuleFileError
from kmodd.modulefile import Compression, ElfMachine, ModuleFile
from tests.support.compression import compress
from tests.support.elf_object import STB_LOCAL, ElfObject, ObjectSymbol
from tests.support.elf_writer import (
    ExtraSection,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.patient import SPEC, Patient, ask_everything

MUTATIONS = int(os.environ.get("KMODD_MUTATIONS", "6000"))
"""Damaged modules that are read: 100,000 take about a minute."""

SEEDS = 4


def test_one_giant_name_is_refused_however_many_symbols_have_it() -> None:
    module = ModuleFile.parse(write_module(ModuleSpec(imports=(Import("x" * 4096),))))

    with pytest.raises(ModuleFileError, match="name is longer than"):
        module.undefined()


def test_names_that_share_their_tails_are_refused_when_they_come_to_too_much() -> None:
    count = 40_000
    names = tuple(Import(f"n{number}") for number in range(count))
    image = bytearray(write_module(ModuleSpec(imports=(Import("x" * 2000), *names))))
    module = ModuleFile.parse(bytes(image))
    symtab, strtab = module.section(".symtab"), module.section(".strtab")
    assert symtab is not None
    assert strtab is not None
    long_name = image.index(b"x" * 2000) - strtab.offset
    for number in range(count):
        place = symtab.offset + symtab.size - 24 * (number + 1)
        struct.pack_into("<I", image, place, long_name + number % 100)

    with pytest.raises(ModuleFileError, match="names of symbols come to more than"):
        ModuleFile.parse(bytes(image)).dependency_symbols()


def test_many_sections_on_one_stretch_of_file_are_not_all_read() -> None:
    image = ElfObject(64, "little", ElfMachine.X86_64)
    wide = image.add(".wide", bytes(1 << 20))
    for number in range(64):
        section = image.add(f".narrow{number}", bytes(4))
        image.define(ObjectSymbol(f"__crc_{number}", section, binding=STB_LOCAL))
    patient = Patient(image.link())
    stretch = ModuleFile.parse(bytes(patient.image)).section(wide.name)
    assert stretch is not None
    for number in range(64):
        patient.section(f".narrow{number}", "offset", stretch.offset)
        patient.section(f".narrow{number}", "size", stretch.size)

    with pytest.raises(ModuleFileError, match="more than the"):
        patient.parse().symbol_crcs()


def test_names_of_sections_that_repeat_are_searched_once() -> None:
    # Each place of the name among the names is a candidate, and each section a place.
    repeated = ".modinfo\0" * 200_000
    sections = tuple(ExtraSection(f".s{number}") for number in range(5000))
    image = write_module(ModuleSpec(sections=(*sections, ExtraSection(repeated))))
    started = time.process_time()
    assert ModuleFile.parse(image).modinfo_get("license") == "GPL"

    # It takes some 0.05 s; all places times all sections would be minutes.
    assert time.process_time() - started < 5


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_damage_gives_an_answer_or_the_one_error(seed: int) -> None:
    randomness = random.Random(seed)
    images = [
        append_signature(write_module(SPEC), b"opaque"),
        write_module(
            ModuleSpec(bits=32, byteorder="big", machine=ElfMachine.MIPS, exports=SPEC.exports)
        ),
        write_module(
            ModuleSpec(machine=ElfMachine.ARM, bits=32, crcs="absolute", exports=SPEC.exports)
        ),
        write_module(
            ModuleSpec(extended_versions=True, exports=SPEC.exports, imports=SPEC.imports)
        ),
    ]
    count = MUTATIONS // SEEDS
    words = [refusal(damaged(randomness.choice(images), randomness)) for _ in range(count)]

    refusals = [text for text in words if text]
    assert all(text.startswith("sick.ko: ") for text in refusals)
    assert count / 3 < len(refusals) < count


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.XZ, Compression.ZSTD])
def test_random_damage_to_a_compressed_file_gives_the_one_error(compression: Compression) -> None:
    randomness = random.Random(1)
    packed = compress(write_module(SPEC), compression)
    words = [refusal(damaged(packed, randomness)) for _ in range(200)]

    refusals = [text for text in words if text]
    assert all(text.startswith("sick.ko: ") for text in refusals)
    assert len(refusals) > 150


def refusal(data: bytes) -> str:
    """Ask everything of the module in ``data``; return the words of the error, "" without one."""
    try:
        ask_everything(ModuleFile.parse(data, path="sick.ko"))
    except ModuleFileError as error:
        return str(error)
    return ""


def damaged(image: bytes, randomness: random.Random) -> bytes:
    """Return ``image`` with some bytes or words of it changed, or with its end cut off."""
    damage = bytearray(image)
    for _ in range(randomness.choice((1, 1, 2, 4))):
        # The tables are at the end, and in them most damage makes a difference.
        front = randomness.choice((0, max(0, len(image) - 1500)))
        place = randomness.randrange(front, len(image))
        words = (0, 1, 0xFF, len(image), 2**16 - 1, 2**31, 2**32 - 1, randomness.getrandbits(32))
        size = randomness.choice((1, 1, 2, 4))
        value = randomness.choice(words) & (2 ** (8 * size) - 1)
        damage[place : place + size] = value.to_bytes(size, randomness.choice(("little", "big")))
    if randomness.random() < 0.1:
        del damage[randomness.randrange(len(damage)) :]
    return bytes(damage)
