# SPDX-License-Identifier: Apache-2.0
"""What is remembered over a restart."""

import logging
import os
from pathlib import Path

import pytest

from kmodd.state import ASKED, AskedStore


def test_what_was_asked_for_outlives_the_daemon_and_not_the_boot(tmp_path: Path) -> None:
    place = tmp_path / "run"
    assert AskedStore(place, "boot-1").load() == frozenset()
    AskedStore(place, "boot-1").store({"world", "ext4"})
    AskedStore(place, "boot-1").store({"world", "crc16"})
    assert AskedStore(place, "boot-1").load() == {"world", "crc16"}
    assert AskedStore(place, "boot-2").load() == frozenset()
    assert [path.name for path in place.iterdir()] == [ASKED]
    assert (place / ASKED).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"boot_id": "b"}',
        b'{"boot_id": "b", "modules": "ext4"}',
        b'{"boot_id": "b", "modules": [1]}',
        b'{"boot_id": "b", "modules": ["a\\u0000b"]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_is_dropped_and_replaced(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ASKED).write_bytes(damage)
    store = AskedStore(tmp_path, "b")
    assert store.load() == frozenset()
    assert f"{tmp_path / ASKED} is dropped" in caplog.text
    store.store(["ext4"])
    assert store.load() == {"ext4"}


def test_a_record_that_others_could_write_is_dropped(tmp_path: Path) -> None:
    store = AskedStore(tmp_path, "b")
    store.store(["ext4"])
    (tmp_path / ASKED).chmod(0o622)
    assert store.load() == frozenset()
    (tmp_path / ASKED).unlink()
    os.symlink("/etc/passwd", tmp_path / ASKED)
    assert store.load() == frozenset()


def test_a_directory_that_takes_nothing_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = AskedStore(tmp_path / "file", "b")
    with caplog.at_level(logging.WARNING):
        store.store(["ext4"])
        store.store(["crc16"])
    assert len(caplog.records) == 1
