# SPDX-License-Identifier: Apache-2.0
"""Answers that are kept for as long as the files are the same that they were read from."""

import os
from pathlib import Path

import pytest

from kmodd.service import kept_infos
from kmodd.service.kept_infos import LONGEST, MOST, KeptInfos


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose last change counts as long ago."""
    monkeypatch.setattr(kept_infos, "SETTLED", -(10**12))
    found = tmp_path / "greet.ko"
    found.write_bytes(b"one")
    return found


def test_an_answer_is_kept_for_one_question_and_one_generation(file: Path) -> None:
    infos, generation = KeptInfos(), object()
    infos.keep(b"greet", generation, [str(file)], b"answer")
    assert infos.find(b"greet", generation) == b"answer"
    assert infos.find(b"world", generation) is None
    assert infos.find(b"greet", object()) is None


def test_a_file_that_is_written_replaced_or_gone_is_read_again(file: Path) -> None:
    infos = KeptInfos()

    def kept() -> bytes | None:
        return infos.find(b"greet", None)

    def keep() -> None:
        infos.keep(b"greet", None, [str(file)], b"answer")
        assert kept() == b"answer"

    keep()
    status = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns - 1))
    assert kept() is None
    keep()
    beside = file.with_name("beside")
    beside.write_bytes(b"two")
    beside.rename(file)
    assert kept() is None
    keep()
    file.unlink()
    assert kept() is None
    infos.keep(b"greet", None, [str(file)], b"answer")
    assert kept() is None


def test_what_has_just_changed_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_infos, "SETTLED", 10**12)
    infos = KeptInfos()
    infos.keep(b"greet", None, [str(file)], b"answer")
    assert infos.find(b"greet", None) is None
    infos.keep(b"builtin", None, [], b"answer")
    assert infos.find(b"builtin", None) == b"answer"


def test_neither_long_ones_nor_many_are_kept() -> None:
    infos = KeptInfos()
    infos.keep(b"long", None, [], bytes(LONGEST + 1))
    assert infos.find(b"long", None) is None
    for number in range(MOST + 1):
        infos.keep(b"%d" % number, None, [], b"answer")
    assert infos.find(b"0", None) is None
    assert infos.find(b"%d" % MOST, None) == b"answer"
