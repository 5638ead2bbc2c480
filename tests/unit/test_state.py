# SPDX-License-Identifier: Apache-2.0
"""What is remembered over a restart."""

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.state import (
    ASKED,
    IMAGES_MAX,
    AppliedStore,
    AskedStore,
    BootStore,
    ImageStore,
    RecordStore,
    Retries,
)
from kmodd.trees import Trees
from tests.support.modules import module_tree


@contextmanager
def no_room() -> Iterator[None]:
    """Have no file of this process grow beyond some bytes, as on a full file system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


def test_what_was_read_of_an_image_is_kept_for_that_one(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "state")
    assert store.load("/boot/vmlinuz-a") is None
    store.save("/boot/vmlinuz-a", b"a")
    store.save("/boot/vmlinuz-b", b"b")
    assert (store.load("/boot/vmlinuz-a"), store.load("/boot/vmlinuz-b")) == (b"a", b"b")
    for path in (tmp_path / "state").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o620)
    assert store.load("/boot/vmlinuz-a") is None
    for path in (tmp_path / "state").iterdir():
        path.unlink()
        path.symlink_to("/etc/passwd")
    assert store.load("/boot/vmlinuz-b") is None


def test_the_last_images_are_kept_and_no_others(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    (tmp_path / "other").touch()
    for number in range(IMAGES_MAX + 3):
        store.save(f"/boot/{number}", b"x")
        (path,) = (each for each in tmp_path.glob("*.image") if each.stat().st_mtime_ns > 10**12)
        os.utime(path, ns=(number, number))
    kept = [number for number in range(IMAGES_MAX + 3) if store.load(f"/boot/{number}")]
    assert kept == list(range(3, IMAGES_MAX + 3))
    assert (tmp_path / "other").exists()


def test_where_no_image_can_be_kept_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = ImageStore(tmp_path / "file/state")
    store.save("/boot/a", b"x")
    store.save("/boot/a", b"x")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_directory_that_takes_nothing_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = AskedStore(tmp_path / "file", "b")
    with caplog.at_level(logging.WARNING):
        store.store(["ext4"])
        store.store(["crc16"])
    assert len(caplog.records) == 1


def test_what_there_is_no_room_for_leaves_nothing_behind_and_what_was_there_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = AskedStore(tmp_path / "run", "b")
    store.store(["ext4"])
    with no_room():
        store.store(["ext4", "crc16"])
    assert "cannot be kept: File too large" in caplog.text
    assert [path.name for path in (tmp_path / "run").iterdir()] == [ASKED]
    assert store.load() == {"ext4"}


def test_what_cannot_be_kept_is_tried_again_later_or_when_it_has_changed() -> None:
    retries = Retries()
    assert retries.are_due("one")
    retries.put_off("one")
    assert not retries.are_due("one")
    assert retries.are_due("another")


def test_the_records_of_a_tree_for_which_there_is_no_room_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = module_tree(tmp_path / "root")
    trees = Trees(tree.root, tree.release, publish=False, store=RecordStore(tmp_path / "state"))
    trees.rebuild()
    with no_room():
        for _ in range(3):
            trees.tree().keep_records()
            trees.tree().keep_records(insist=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert list((tmp_path / "state").iterdir()) == []
    trees.tree().keep_records()
    assert list((tmp_path / "state").iterdir()) == [], "it is not time yet"
    trees.tree().keep_records(insist=True)
    (kept,) = (tmp_path / "state").iterdir()
    assert kept.suffix == ".records"


def test_facts_are_kept_for_one_life_of_the_kernel(tmp_path: Path) -> None:
    place = tmp_path / "facts.json"
    assert BootStore(place, "one").load() == {}
    BootStore(place, "one").store({"left": ["a"]})
    assert BootStore(place, "one").load()["left"] == ["a"]
    assert BootStore(place, "two").load() == {}
    for damaged in (b"[]", b"{", b"\xff", b"[" * 100_000):
        place.write_bytes(damaged)
        assert BootStore(place, "one").load() == {}
    place.chmod(0o666)
    assert BootStore(place, "one").load() == {}


def test_applied_texts_are_kept_each_in_a_file_that_nobody_else_may_write(tmp_path: Path) -> None:
    store = AppliedStore(tmp_path / "applied")
    assert store.load() == {}
    assert store.save("b", b"two")
    assert store.save("a", b"one")
    assert list(store.load().items()) == [("a", b"one"), ("b", b"two")]
    (tmp_path / "applied/b.toml").chmod(0o666)
    assert store.save("a", b"")
    assert store.save("a", b"")
    assert store.load() == {}
    (tmp_path / "file").touch()
    assert not AppliedStore(tmp_path / "file").save("a", b"one")
    assert AppliedStore(tmp_path / "file").load() == {}
