# SPDX-License-Identifier: Apache-2.0
"""Which paths are trusted. The tests lay them out as root; without root nothing new is trusted."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.access.trusted_files import (
    check_open_file,
    check_tree,
    first_untrusted,
    objection,
)
from kmodd.errors import TreeError
from tests.support.trusted import trusted_directory


@pytest.fixture
def place() -> Iterator[Path]:
    """A trusted directory: root's, and not below /tmp, where everybody may write."""
    with trusted_directory() as directory:
        yield directory


def made(path: Path, *, mode: int = 0o644, uid: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(mode)
    os.chown(path, uid, 0)
    return path


def test_roots_file_in_roots_directories_is_trusted(place: Path) -> None:
    assert first_untrusted(made(place / "a/b/file")) == ""
    assert first_untrusted(place / "a/nothing/there") == ""


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o1777])
def test_what_others_may_write_is_not_trusted(place: Path, mode: int) -> None:
    file = made(place / "a/file", mode=mode)
    assert first_untrusted(file) == (f"{file} may be written by others than root (mode {mode:04o})")


def test_what_is_anothers_is_not_trusted(place: Path) -> None:
    file = made(place / "a/file", uid=1000)
    assert first_untrusted(file) == f"{file} belongs to user 1000, not to root"


@pytest.mark.parametrize("parent", ["a", "a/b"])
def test_a_parent_that_others_may_write_spoils_all_below(place: Path, parent: str) -> None:
    file = made(place / "a/b/file")
    (place / parent).chmod(0o777)
    assert first_untrusted(file).startswith(f"{place / parent} may be written by others")


@pytest.mark.parametrize("mode", [0o1775, 0o1777])
def test_a_sticky_directory_is_good_on_the_way_to_what_is_roots(place: Path, mode: int) -> None:
    file = made(place / "nix/store/abc-etc/modprobe.d/nixos.conf")
    single = made(place / "nix/store/def-nixos.conf")
    (place / "nix/store/ghi-link").symlink_to("abc-etc")
    (place / "etc").symlink_to(place / "nix/store/ghi-link")
    (place / "nix/store").chmod(mode)
    for path in (file, file.parent, single, place / "etc/modprobe.d/nixos.conf"):
        assert first_untrusted(path) == ""
    assert first_untrusted(place / "nix/store/../store/abc-etc") == ""
    assert first_untrusted(place / "nix/store/..") == ""


def test_a_sticky_directory_is_not_good_for_what_others_can_put_there(place: Path) -> None:
    made(place / "tmp/theirs/file")
    shared = place / "tmp"
    os.chown(shared / "theirs", 1000, 1000)
    (shared / "by-them").symlink_to(place)
    os.lchown(shared / "by-them", 1000, 1000)
    made(shared / "open/file")
    (shared / "open").chmod(0o777)
    shared.chmod(0o1777)
    for name in ("theirs", "by-them"):
        complaint = f"{shared}/{name} belongs to user 1000, not to root"
        assert first_untrusted(shared / name / "file") == complaint
    complaint = f"{shared} may be written by others than root (mode 1777)"
    assert first_untrusted(shared / "missing/file") == complaint
    assert first_untrusted(shared / "open/file").startswith(f"{shared}/open may be written")


@pytest.mark.parametrize(
    "path", ["tmp", "tmp/.", "tmp/good/..", "to-it", "tmp/good/up", "there/tmp"]
)
def test_a_sticky_directory_is_not_good_to_be_listed(place: Path, path: str) -> None:
    made(place / "tmp/good/file")
    (place / "to-it").symlink_to("tmp")
    (place / "there").symlink_to(".")
    (place / "tmp/good/up").symlink_to("..")
    (place / "tmp").chmod(0o1777)
    complaint = f"{place}/tmp may be written by others than root (mode 1777)"
    assert first_untrusted(place / path) == complaint
    assert first_untrusted(place / "tmp/good") == ""


def test_a_sticky_directory_of_anothers_is_not_trusted(place: Path) -> None:
    file = made(place / "a/file")
    (place / "a").chmod(0o1755)
    os.chown(place / "a", 1000, 0)
    assert first_untrusted(file) == f"{place}/a belongs to user 1000, not to root"


def test_a_path_is_taken_from_where_the_daemon_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(place / "good/file")
    made(place / "bad", mode=0o666)
    monkeypatch.chdir(place / "good")
    assert first_untrusted(Path("file")) == ""
    assert first_untrusted(Path("../bad")).startswith(f"{place}/bad may be written")


def test_a_link_leads_to_where_it_leads(place: Path) -> None:
    made(place / "good/file")
    made(place / "bad/file")
    (place / "bad").chmod(0o777)
    (place / "to-good").symlink_to("good")
    (place / "to-bad").symlink_to(place / "bad")
    (place / "good/up").symlink_to("../good/file")
    assert first_untrusted(place / "to-good/file") == ""
    assert first_untrusted(place / "good/up") == ""
    assert first_untrusted(place / "to-bad/file").startswith(f"{place / 'bad'} may")
    os.lchown(place / "to-good", 1000, 0)
    assert first_untrusted(place / "to-good/file").startswith(f"{place / 'to-good'} belongs")


def test_links_in_a_circle_are_refused(place: Path) -> None:
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("one")
    assert "Too many levels" in first_untrusted(place / "one")


def test_a_root_is_not_left_by_its_links(place: Path) -> None:
    made(place / "root/etc/real.conf", uid=1000)
    (place / "root/etc/x.conf").symlink_to("/../etc/real.conf")
    complaint = first_untrusted(place / "root/etc/x.conf", place / "root")
    assert complaint == f"{place}/root/etc/real.conf belongs to user 1000, not to root"


def test_the_directory_for_everybodys_files_is_no_place_for_a_tree(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="refused: /") as caught:
        check_tree(Path(tempfile.gettempdir()) / "lib/modules/6.1.0")
    assert caught.value.errno == 1
    assert tmp_path.exists()


def test_there_is_no_objection_to_what_is_open_and_roots_below_a_root(place: Path) -> None:
    made(place / "root/srv/real.conf")
    path = place / "root/etc/x.conf"
    path.parent.mkdir()
    path.symlink_to("/srv/real.conf")
    with (place / "root/srv/real.conf").open() as file:
        assert objection(file.fileno(), path, place / "root") == ""
        (place / "root/srv").chmod(0o775)
        complaint = f"{place}/root/srv may be written by others than root (mode 0775)"
        assert objection(file.fileno(), path, place / "root") == complaint


def test_an_open_file_is_judged_by_itself_and_by_its_path(place: Path) -> None:
    path = made(place / "a/m.ko")
    with path.open("rb") as file:
        check_open_file(file.fileno(), path)
        os.fchown(file.fileno(), 1000, 0)
        with pytest.raises(TreeError, match="belongs to user 1000"):
            check_open_file(file.fileno(), path)
        path.unlink()
        made(path)
        with pytest.raises(TreeError, match="belongs to user 1000"):
            check_open_file(file.fileno(), path)
