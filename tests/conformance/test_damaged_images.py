# SPDX-License-Identifier: Apache-2.0
"""Damaged images of a kernel, up to the kernel that is booted of what can be read in them."""

import re
from itertools import islice
from pathlib import Path

import pytest

from tests.conformance import mutate_images
from tests.conformance.mutate_images import main, mutants, run, whole_images
from tests.support.require import require_emulator

IMAGES = 300
"""For more: ``python -m tests.conformance.mutate_images``."""


def test_a_damaged_image_runs_no_code_or_the_kernel_answers() -> None:
    require_emulator()
    tally = run(IMAGES, float("inf"), seed=22, boot_every=20)
    assert tally.faults == []
    assert tally.images == IMAGES == tally.ends["read"] + tally.ends["no code is run"]
    assert min(tally.ends["read"], tally.ends["no code is run"]) > IMAGES // 5
    assert tally.boots >= 5
    assert tally.ends["load: ran"] > 0


def test_the_same_seed_damages_in_the_same_way() -> None:
    first, again, other = (list(islice(mutants(seed), 20)) for seed in (1, 1, 2))
    assert first == again != other
    assert not set(first) <= set(whole_images())


def test_what_must_not_come_of_an_image_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def source(*_: object) -> object:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(mutate_images, "VmlinuxSource", source)
    assert main(["3", "--keep", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert told.startswith("3 images, 0 booted")
    assert len(re.findall(r"/image-0-\d: ZeroDivisionError: a mistake", told)) == 3
