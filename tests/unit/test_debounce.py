# SPDX-License-Identifier: Apache-2.0
"""How long a tree must be quiet before it is read anew: by what came, on a clock of the test's."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kmodd.settings import Timing
from kmodd.trees import debounce, observer
from kmodd.trees.debounce import READY, Debouncer
from kmodd.trees.observer import DirectoryObserver
from tests.support.daemon import wait_until

TIMING = Timing(debounce=30.0, debounce_removal=300.0, debounce_max=100.0)


class Clock:
    """A clock that stands still but for what a test does."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(debounce, "time", clock)
    return clock


@pytest.fixture
def debouncer(clock: Clock) -> Iterator[Debouncer]:
    waiting = Debouncer(lambda _: None, TIMING)
    yield waiting
    clock.now += 1e6
    waiting.stop()


def left(debouncer: Debouncer, clock: Clock) -> float:
    return round(debouncer._due["tree"] - clock.now, 6)


def test_what_is_complete_needs_no_longer_a_quiet_than_it_took(
    debouncer: Debouncer, clock: Clock
) -> None:
    debouncer.touch("tree")
    assert left(debouncer, clock) == 30.0 * READY
    clock.now += 7.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 7.0
    clock.now += 5.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 12.0
    clock.now += 25.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 30.0


def test_what_is_not_complete_needs_all_of_it(debouncer: Debouncer, clock: Clock) -> None:
    debouncer.touch("tree", going_on=True)
    assert left(debouncer, clock) == 30.0
    clock.now += 85.0
    debouncer.touch("tree", going_on=True)
    assert left(debouncer, clock) == 100.0 - 85.0


def test_files_that_come_one_by_one_are_waited_for_ever_longer(
    clock: Clock,
) -> None:
    acts: list[float] = []
    waiting = Debouncer(lambda _: acts.append(clock.now), TIMING)
    for _ in range(30):
        waiting.touch("tree")
        due = waiting._due["tree"]
        clock.now += 10.0
        if due <= clock.now:
            waiting.touch("other")  # wakes the thread, which looks at the clock
            wait_until(lambda: "tree" not in waiting._due)
    assert len(acts) <= 5
    clock.now += 1e6
    waiting.stop()


def test_after_a_pause_it_begins_anew(debouncer: Debouncer, clock: Clock) -> None:
    debouncer.touch("tree")
    clock.now += 29.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 29.0
    clock.now += 31.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 30.0 * READY


def test_what_is_only_removed_needs_more_until_something_comes(
    debouncer: Debouncer, clock: Clock
) -> None:
    debouncer.touch("tree", removal=True)
    assert left(debouncer, clock) == 300.0
    debouncer.touch("tree")
    assert left(debouncer, clock) == 30.0 * READY
    debouncer.touch("tree", removal=True)
    assert left(debouncer, clock) == 30.0 * READY


Told = list[tuple[str, object]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def watch(tmp_path: Path, told: Told) -> Iterator[Callable[[], Told]]:
    """Return what gives all that was told since the last time."""
    (tmp_path / "modules/6.1/kernel/net").mkdir(parents=True)
    watching = DirectoryObserver(
        tmp_path / "modules",
        touch=lambda release, going_on: told.append((release, going_on)),
        removed=lambda release: told.append((release, "removed")),
        touch_all=lambda: told.append(("*", "")),
        mounted=lambda: None,
    )
    assert watching.watch([tmp_path / "modules", tmp_path])

    def take() -> Told:
        watching.last_change("6.1", None)
        found = list(dict.fromkeys(told))
        told.clear()
        return found

    yield take
    watching.stop()


def test_a_file_that_is_written_goes_on_until_it_is_closed(
    tmp_path: Path, watch: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "WRITING", 3600.0)
    with (tmp_path / "modules/6.1/kernel/x.ko").open("wb", buffering=0) as file:
        file.write(b"one")
        assert ("6.1", True) in watch()
        (tmp_path / "modules/6.1/kernel/other.ko").touch()
        assert ("6.1", True) in watch()
    assert watch()[-1] == ("6.1", False)


def test_a_tree_that_is_taken_away_only_loses(tmp_path: Path, watch: Callable[[], Told]) -> None:
    (tmp_path / "modules/6.1/kernel/net/x.ko").touch()
    watch()
    shutil.rmtree(tmp_path / "modules/6.1")
    assert watch() == [("6.1", "removed")]


def test_what_depmod_writes_is_not_told_and_what_a_build_leaves_is(
    tmp_path: Path, watch: Callable[[], Told]
) -> None:
    (tmp_path / "modules/6.1/modules.dep").write_bytes(b"x")
    assert watch() == []
    (tmp_path / "modules/6.1/modules.order").write_bytes(b"x")
    assert {release for release, _ in watch()} == {"6.1"}


def test_a_directory_of_configuration_concerns_all_trees(
    tmp_path: Path, watch: Callable[[], Told]
) -> None:
    (tmp_path / "local.conf").touch()
    assert watch() == [("*", "")]


def test_a_directory_that_was_moved_away_is_not_watched_any_more(
    tmp_path: Path, watch: Callable[[], Told]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "modules/6.1/kernel/net").rename(tmp_path / "elsewhere/net")
    assert ("6.1", False) in watch()
    (tmp_path / "elsewhere/net/x.ko").touch()
    assert watch() == []


def test_the_directories_of_the_kernels_sources_are_not_watched(
    tmp_path: Path, watch: Callable[[], Told]
) -> None:
    (tmp_path / "modules/6.1/build/include").mkdir(parents=True)
    watch()
    (tmp_path / "modules/6.1/build/include/autoconf.h").touch()
    assert watch() == []
