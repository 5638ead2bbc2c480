# SPDX-License-Identifier: Apache-2.0
"""Images that are damaged at random: each is read, or refused with the one error."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf import Btf, BtfKind, Layouts
from kmodd.kernelimage.facts import dump_facts, load_facts, stamp_of
from kmodd.kernelimage.questions import LayoutQuestion
from kmodd.kernelimage.reading import layouts_of, opened, read_facts
from tests.support.btf_writer import BtfWriter
from tests.support.damage import damaged
from tests.support.kernel_image import (
    BASE,
    Linked,
    bz_image,
    pack,
    unified_image,
    vmlinux_sections,
    write_vmlinux,
    zboot_image,
)

MUTATIONS = int(os.environ.get("KMODD_MUTATIONS", "6000"))
"""Damaged images that are read: 100,000 take about two minutes."""

SEEDS = 4

QUESTIONS = (
    LayoutQuestion(("outer",), (), is_size=True),
    LayoutQuestion(("gone", "outer"), ("y", "all"), is_size=False),
    LayoutQuestion(("alias",), ("x",), is_size=True),
)


def types() -> bytes:
    """Return types of each kind."""
    writer = BtfWriter()
    long, number = writer.integer("long unsigned int", 8), writer.integer("int", 4)
    pointer = writer.add(BtfKind.PTR, rest=long)
    array = writer.add(BtfKind.ARRAY, once=(pointer, number, 3))
    inner = writer.structure("", 8, [("x", number, 0), ("y", number, 32)], kind=BtfKind.UNION)
    writer.structure("outer", 40, [("z", number, 0), ("", inner, 64), ("all", array, 128)])
    writer.add(BtfKind.TYPEDEF, "alias", inner)
    writer.add(BtfKind.ENUM, "mode", 4, parts=[("MODE_ABS", 0)])
    writer.add(BtfKind.ENUM64, "big", 8, parts=[("HIGH", 1, 2)])
    prototype = writer.add(BtfKind.FUNC_PROTO, "", number, parts=[("size", long), (0, 0)])
    writer.add(BtfKind.FUNC, "kmalloc", prototype)
    writer.function("_printk", pointer, pointer, number, variadic=True)
    variable = writer.add(BtfKind.VAR, "current_task", long, once=(1,))
    writer.add(BtfKind.DATASEC, ".data..percpu", 64, parts=[(variable, 0, 8)])
    return writer.data()


TYPES = types()
VMLINUX = write_vmlinux([*vmlinux_sections(), Linked(".BTF", BASE + 0x40000, TYPES)])


def ask_types(layouts: Layouts) -> None:
    """Ask all that there is to ask, each question for itself."""
    btf = layouts.btf
    attempt(layouts.fields, "outer")
    attempt(layouts.field, "outer", "all")
    attempt(layouts.field, "alias", "y")
    attempt(layouts.enumerator, "HIGH")
    attempt(layouts.prototype, "kmalloc")
    attempt(layouts.variables, ".data..percpu")
    for number in range(btf.count + 1):
        attempt(layouts.size_of, number)
        attempt(btf.name, number)


def attempt(question: Callable[..., object], *about: object) -> None:
    """Ask a question, and take the one error for an answer."""
    with suppress(KernelImageError):
        question(*about)


def ask(path: str) -> bool:
    """Ask all of the image at ``path``; returns whether it could be read."""
    with suppress(KernelImageError), opened(path) as kernel:
        layouts = layouts_of(kernel)
        if layouts is not None:
            ask_types(layouts)
    try:
        facts = read_facts(path, QUESTIONS)
    except KernelImageError:
        return False
    stamp = stamp_of(path)
    assert load_facts(dump_facts(facts, stamp, QUESTIONS), stamp, QUESTIONS) == facts
    return True


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_image_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "image"
    wholes = [
        VMLINUX,
        VMLINUX,
        VMLINUX,
        bz_image(pack(VMLINUX, "zstd")),
        bz_image(pack(VMLINUX, "lz4")),
        zboot_image(pack(VMLINUX, "gzip"), "gzip"),
        unified_image(VMLINUX),
        bz_image(pack(VMLINUX, "xz")),
        bz_image(pack(VMLINUX, "bzip2")),
        pack(VMLINUX, "lzma"),
    ]
    read = 0
    for number in range(MUTATIONS // SEEDS):
        path.write_bytes(damaged(wholes[number % len(wholes)], dice))
        read += ask(str(path))
    # Damage to what nobody looks at is no damage, and much of it is seen.
    assert MUTATIONS // SEEDS // 20 < read < MUTATIONS // SEEDS


def test_damaged_types_are_read_or_refused() -> None:
    dice = random.Random(7)
    refused = 0
    for _ in range(MUTATIONS // 4):
        try:
            layouts = Layouts(Btf(damaged(TYPES, dice), "image"))
        except KernelImageError:
            refused += 1
        else:
            ask_types(layouts)
    assert 0 < refused < MUTATIONS // 4


def test_sections_on_one_stretch_of_file_are_not_all_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodd.kernelimage.sections.READ_MAX", len(VMLINUX) // 4)
    path = tmp_path / "image"
    path.write_bytes(VMLINUX)
    with pytest.raises(KernelImageError, match="more than the"):
        read_facts(str(path))
