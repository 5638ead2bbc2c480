# SPDX-License-Identifier: Apache-2.0
"""Directories that are reached step by step."""

import os
import stat
from pathlib import Path

import pytest

from kmodd.host.directories import is_private, open_directory
from tests.support.require import require

STRANGER = 65534


def opened(path: Path) -> tuple[int, int]:
    """Return the device and number of what is opened."""
    fd = open_directory(path)
    try:
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    finally:
        os.close(fd)


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def test_links_of_our_own_are_followed_and_what_lacks_behind_them_is_made(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "link")
    found = opened(tmp_path / "absolute" / "a" / ".." / "b")
    assert found == identity(tmp_path / "real" / "b")


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_link_that_others_may_replace_is_not_followed_and_is_named(
    tmp_path: Path, mode: int
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "admin").mkdir()
    (shared / "link").symlink_to(tmp_path / "admin")
    shared.chmod(mode)
    with pytest.raises(OSError, match=f"others may replace.*{shared}/link"):
        opened(shared / "link" / "run")
    assert list((tmp_path / "admin").iterdir()) == []


def test_a_link_of_a_stranger_in_a_sticky_directory_is_not_followed(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "only root can make a link for another user")
    tmp_path.chmod(0o1777)
    (tmp_path / "real").mkdir()
    for name, owner in (("ours", 0), ("theirs", STRANGER)):
        (tmp_path / name).symlink_to("real")
        os.chown(tmp_path / name, owner, owner, follow_symlinks=False)
    assert opened(tmp_path / "ours") == identity(tmp_path / "real")
    with pytest.raises(OSError, match="theirs"):
        opened(tmp_path / "theirs")


def test_a_real_directory_of_others_may_be_on_the_way(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert opened(shared / "run") == identity(shared / "run")


def test_links_without_an_end_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        opened(tmp_path / "a")


def test_no_descriptor_is_left_of_a_way_that_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(OSError, match="Not a directory"):
            opened(path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("mode", "private"), [(0o755, True), (0o1777, True), (0o777, False), (0o770, False)]
)
def test_a_directory_is_private_where_nobody_else_may_replace_its_entries(
    tmp_path: Path, mode: int, private: bool
) -> None:
    tmp_path.chmod(mode)
    fd = open_directory(tmp_path)
    try:
        assert is_private(fd) is private
        assert stat.S_IMODE(os.fstat(fd).st_mode) == mode
    finally:
        os.close(fd)
