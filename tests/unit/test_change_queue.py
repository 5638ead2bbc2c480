# SPDX-License-Identifier: Apache-2.0
"""What the queue of changes tells that watchdog, which reads it, keeps to itself."""

import ctypes
import errno
import os
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from kmodd.trees.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_IGNORED,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    ChangeQueue,
)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_what_has_been_told_comes_at_once_and_what_has_not_is_not_waited_for(
    tmp_path: Path,
) -> None:
    queue = ChangeQueue(str(tmp_path))
    assert list(queue.events()) == []
    (tmp_path / "one").touch()
    (tmp_path / "one").rename(tmp_path / "two")
    told = [(event.mask, event.name) for event in queue.events()]
    assert (IN_CREATE, "one") in told
    assert told[-1] == (IN_MOVED_TO, "two")
    assert list(queue.events()) == []
    queue.close()


def test_a_queue_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        ChangeQueue(str(tmp_path / "missing"))
    assert descriptors() == before
    queue = ChangeQueue(str(tmp_path))
    assert not os.get_inheritable(queue.fd)
    queue.close()
    assert descriptors() == before


def test_a_directory_that_may_not_be_watched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = ChangeQueue(str(tmp_path))

    def refuse(_fd: int, _path: bytes, _mask: int) -> int:
        ctypes.set_errno(errno.EACCES)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        queue.add(str(tmp_path))
    queue.close()


def test_what_was_told_before_a_watch_was_ended_is_heard(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    queue = ChangeQueue(str(tmp_path))
    watch = queue.add(str(below))
    (below / "one").touch()
    queue.remove(watch)
    told = [(event.mask, event.name) for event in queue.events() if event.watch == watch]
    assert told[0] == (IN_CREATE, "one")
    assert told[-1] == (IN_IGNORED, "")
    queue.close()


def test_names_of_every_length_are_told_of_without_a_loss(tmp_path: Path) -> None:
    queue = ChangeQueue(str(tmp_path))
    names = ["n" * length for length in range(1, 256)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name).rmdir()
    told = list(queue.events())
    assert [event.name for event in told if event.mask & IN_DELETE] == names
    assert not [event for event in told if event.mask & IN_Q_OVERFLOW]
    queue.close()


def test_events_that_are_lost_are_told_of(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    queue = ChangeQueue(str(tmp_path))
    for _ in range(limit // 2 + 1):
        (tmp_path / "one").mkdir()
        (tmp_path / "one").rmdir()
    assert [event.watch for event in queue.events() if event.mask & IN_Q_OVERFLOW] == [-1]
    (tmp_path / "one").mkdir()
    assert [event.name for event in queue.events()] == ["one"]
    queue.close()


def test_a_path_that_watchdog_has_under_two_numbers_is_a_loss_that_is_told_of(
    tmp_path: Path,
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    queue = ChangeQueue(str(tmp_path))
    old = queue.add(str(first))
    first.rename(tmp_path / "aside")
    first.mkdir()
    queue.add(str(first))
    first.rename(tmp_path / "second")
    queue.remove(old)
    assert [event.mask for event in queue.events()] == [IN_Q_OVERFLOW]
    (tmp_path / "after").mkdir()
    assert [event.name for event in queue.events()] == ["after"]
    queue.close()
