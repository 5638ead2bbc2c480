# SPDX-License-Identifier: Apache-2.0
"""States of guests: kept whole, checked before they are used, and bounded in number."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kmodd.kernel.vm.saved_state import ABANDONED, STATES_MAX, SavedStates, key_of
from tests.support.daemon import wait_until

KEY = key_of("6.1", b"image")


def writing(contents: bytes) -> Callable[[int], None]:
    return lambda fd: wait_until(lambda: os.write(fd, contents) == len(contents))


def contents_of(states: SavedStates, key: str = KEY) -> bytes | None:
    fd = states.open(key)
    if fd is None:
        return None
    with open(fd, "rb") as file:
        return file.read()


@pytest.fixture
def states(tmp_path: Path) -> SavedStates:
    """States in a directory that is not there yet."""
    return SavedStates(tmp_path / "guests")


def only_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "guests").iterdir()
    return path


def test_what_was_saved_is_given_back_from_its_beginning(states: SavedStates) -> None:
    assert contents_of(states) is None
    assert states.save(KEY, writing(b"a guest"))
    assert contents_of(states) == b"a guest"
    assert states.save(KEY, writing(b"another"))
    assert contents_of(states) == b"another"
    states.forget(KEY)
    assert contents_of(states) is None


def test_a_key_tells_its_parts_apart() -> None:
    keys = {key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("ab", b"c", "")}
    assert len(keys) == 4


def test_a_state_that_is_damaged_or_cut_short_is_dropped(
    states: SavedStates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for damaged in (b"a guesT", b"a gues", b""):
        states.save(KEY, writing(b"a guest"))
        only_file(tmp_path).write_bytes(damaged)
        assert contents_of(states) is None
        assert not list((tmp_path / "guests").iterdir())
    assert caplog.text.count("it is damaged") == 3


def test_a_state_that_others_could_have_written_is_dropped(
    states: SavedStates, tmp_path: Path
) -> None:
    states.save(KEY, writing(b"a guest"))
    path = only_file(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)
    assert contents_of(states) is None
    states.save(KEY, writing(b"a guest"))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert contents_of(states) is None


def test_what_fails_while_it_is_written_leaves_nothing(
    states: SavedStates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    def refused(_: int) -> None:
        raise KeyError

    assert not states.save(KEY, full)
    assert "No space left" in caplog.text
    with pytest.raises(KeyError):
        states.save(KEY, refused)
    assert not list((tmp_path / "guests").iterdir())


def test_a_directory_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    states = SavedStates(tmp_path / "file/guests")
    assert not states.save(KEY, writing(b"a guest"))
    assert contents_of(states) is None


def test_those_that_were_used_last_are_kept(states: SavedStates, tmp_path: Path) -> None:
    keys = [key_of(str(number)) for number in range(STATES_MAX)]
    long_ago = time.time() - ABANDONED - 10
    for age, key in enumerate(keys):
        states.save(key, writing(key.encode()))
        (path,) = (tmp_path / "guests").glob(f"{key}.*")
        os.utime(path, (long_ago + age, long_ago + age))
    assert contents_of(states, keys[0]) == keys[0].encode()  # which is a use
    left_over = tmp_path / "guests" / f"{KEY}.1.new"
    left_over.write_bytes(b"half")
    os.utime(left_over, (long_ago, long_ago))
    states.save(KEY, writing(b"one more"))
    assert contents_of(states, keys[1]) is None
    assert all(contents_of(states, key) for key in (*keys[2:], keys[0], KEY))
    assert not left_over.exists()
