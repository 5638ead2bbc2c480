# SPDX-License-Identifier: Apache-2.0
"""Images that are damaged at random: each is read, or refused with the one error."""

import os
import random
from pathlib import Path

import pytest

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf import Btf, Layouts
from kmodd.kernelimage.reading import read_facts
from tests.support.damage import damaged
from tests.support.image_questions import TYPES, VMLINUX, ask, ask_types, images

MUTATIONS = int(os.environ.get("KMODD_MUTATIONS", "6000"))
"""Damaged images that are read: 100,000 take about two minutes."""

SEEDS = 4


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_image_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "image"
    wholes = images()
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
