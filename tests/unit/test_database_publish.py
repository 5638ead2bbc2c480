# SPDX-License-Identifier: Apache-2.0
"""Publishing: whole files, only those that changed, and nothing left behind."""

import dataclasses
import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kmodd.database import publish as publish_module
from kmodd.database.publish import UnfinishedError, is_temporary, publish, withdraw
from kmodd.errors import Reason, TreeError
from tests.support.require import require

FILES = {"modules.dep": b"a:\n", "modules.alias": b"# Aliases\n", "modules.dep.bin": bytes(70_000)}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def given_up_at(
    question: str, asked: int, files: dict[str, bytes], directory: Path
) -> UnfinishedError:
    """Publish, answer one of the questions with no when it is asked that often, return the end."""
    answers = iter([True] * (asked - 1) + [False])

    def answer(to: str) -> bool:
        return to != question or next(answers)

    with pytest.raises(UnfinishedError) as caught:
        publish(
            files,
            str(directory),
            wanted=lambda: answer("wanted"),
            whole=lambda: answer("whole"),
        )
    return caught.value


def test_files_appear_whole_readable_by_all_and_alone(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        published = publish(FILES, str(tmp_path))
    finally:
        os.umask(before)
    assert contents(tmp_path) == FILES
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    assert published.written == tuple(FILES)
    assert published.stands()


def test_a_directory_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(TreeError) as caught:
        publish(FILES, str(tmp_path / "6.1"))
    assert (caught.value.reason, caught.value.errno) == (Reason.TREE_NOT_WRITABLE, errno.ENOENT)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("question", "asked"), [("wanted", 1), ("wanted", 2), ("wanted", 3), ("whole", 1), ("whole", 2)]
)
def test_what_is_not_wanted_any_more_leaves_nothing(
    tmp_path: Path, question: str, asked: int
) -> None:
    given_up = given_up_at(question, asked, FILES, tmp_path)
    assert given_up.reason is Reason.TREE_NOT_FOUND
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("question", "asked", "replaced"),
    [("wanted", 1, 0), ("wanted", 2, 1), ("wanted", 3, 2), ("whole", 1, 0), ("whole", 2, 2)],
)
def test_what_is_given_up_leaves_a_file_wherever_one_stood(
    tmp_path: Path, question: str, asked: int, replaced: int
) -> None:
    stood = dict(list(FILES.items())[:2])
    before = publish(stood, str(tmp_path))
    new = {name: content + b"new" for name, content in FILES.items()}
    left = given_up_at(question, asked, new, tmp_path).left
    assert contents(tmp_path) == stood | dict(list(new.items())[:replaced])
    assert list(left) == list(stood)[:replaced]
    withdraw(dataclasses.replace(before, stamps={**before.stamps, **left}))
    assert not tmp_path.exists()


@pytest.mark.parametrize("goes", ["modules.alias", "modules.order"])
def test_a_file_that_goes_meanwhile_does_not_come_back(tmp_path: Path, goes: str) -> None:
    publish(FILES, str(tmp_path))
    (tmp_path / "modules.order").touch()

    def removing() -> bool:
        (tmp_path / goes).unlink(missing_ok=True)
        return True

    new = {name: content + b"new" for name, content in FILES.items()}
    with pytest.raises(TreeError) as caught:
        publish(new, str(tmp_path), wanted=removing)
    assert caught.value.reason is Reason.TREE_NOT_FOUND
    assert not (tmp_path / goes).exists()
    assert contents(tmp_path).items() <= FILES.items() | {"modules.order": b""}.items()


def test_a_directory_that_is_moved_away_meanwhile_is_left_alone(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()

    def moving() -> bool:
        if tree.exists():
            tree.rename(tmp_path / "away")
        return True

    with pytest.raises(TreeError):
        publish(FILES, str(tree), wanted=moving)
    assert contents(tmp_path / "away") == {}
    assert not tree.exists()


def test_there_is_no_name_before_the_last_moment(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def looking() -> bool:
        seen.append(sorted(contents(tmp_path)))
        return True

    publish(FILES, str(tmp_path), wanted=looking, whole=looking)
    names = list(FILES)
    assert seen == [[], *(sorted(names[:count]) for count in range(len(names) + 1))]


def test_a_filesystem_without_nameless_files_gets_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "_FILES", str(tmp_path / "no-proc"))
    publish(FILES, str(tmp_path))
    assert contents(tmp_path) == FILES


def test_what_is_withdrawn_are_our_own_files_and_a_directory_that_is_empty_then(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    published = publish(FILES, str(tree))
    (tree / "modules.alias").write_bytes(b"another's")
    assert withdraw(published) == ("modules.dep", "modules.dep.bin")
    assert contents(tree) == {"modules.alias": b"another's"}
    assert withdraw(published) == ()
    (tree / "modules.alias").unlink()
    assert withdraw(publish(FILES, str(tree))) == tuple(FILES)
    assert not tree.exists()


def test_files_that_did_not_change_are_left_alone(tmp_path: Path) -> None:
    publish(FILES, str(tmp_path))
    inode = (tmp_path / "modules.dep").stat().st_ino
    published = publish(FILES | {"modules.alias": b"new"}, str(tmp_path))
    assert published.written == ("modules.alias",)
    assert (tmp_path / "modules.dep").stat().st_ino == inode
    assert (tmp_path / "modules.alias").read_bytes() == b"new"


def test_the_publication_before_saves_reading_but_is_not_believed_blindly(tmp_path: Path) -> None:
    first = publish(FILES, str(tmp_path))
    (tmp_path / "modules.dep").write_bytes(b"b:\n")
    second = publish(FILES, str(tmp_path), first)
    assert second.written == ("modules.dep",)
    third = publish(FILES | {"modules.dep": b"c:\n"}, str(tmp_path), second)
    assert third.written == ("modules.dep",)
    assert (tmp_path / "modules.dep").read_bytes() == b"c:\n"
    (tmp_path / "elsewhere").mkdir()
    elsewhere = publish(FILES, str(tmp_path / "elsewhere"), third)
    assert elsewhere.written == tuple(FILES)


def test_somebody_elses_writing_shows_in_the_stamps(tmp_path: Path) -> None:
    published = publish(FILES, str(tmp_path))
    (tmp_path / "modules.alias").unlink()
    assert not published.stands()
    published = publish(FILES, str(tmp_path))
    (tmp_path / "other").write_bytes(b"# Aliases\n")
    (tmp_path / "other").rename(tmp_path / "modules.alias")
    assert not published.stands()


def test_a_link_in_place_of_a_file_is_replaced_and_its_target_spared(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(FILES["modules.dep"])
    (tmp_path / "modules.dep").symlink_to(target)
    publish(FILES, str(tmp_path))
    assert not (tmp_path / "modules.dep").is_symlink()
    assert target.read_bytes() == FILES["modules.dep"]


def test_the_first_failure_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(FILES, str(tmp_path))
    real = os.fsync

    def full(fd: int) -> None:
        if os.fstat(fd).st_size == len(new["modules.dep.bin"]):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    new = {name: content + b"new" for name, content in FILES.items()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TreeError) as caught:
        publish(new, str(tmp_path))
    assert caught.value.reason is Reason.TREE_NOT_WRITABLE
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.detail == f"{tmp_path}/modules.dep.bin"
    assert contents(tmp_path) == FILES


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ("mount -t tmpfs -o size=1m none {0} && cp -a {0}.old/. {0}", "ENOSPC"),
        ("mount --bind {0}.old {0} && mount -o remount,bind,ro {0}", "EROFS"),
    ],
    ids=["full", "read-only"],
)
def test_a_filesystem_that_takes_nothing_keeps_the_old_files(
    tmp_path: Path, mount: str, expected: str
) -> None:
    unshare = require("unshare", "a filesystem of the test's own needs a mount namespace")
    directory = tmp_path / "tree"
    directory.mkdir()
    directory.with_name("tree.old").mkdir()
    publish(FILES, f"{directory}.old")
    script = f"""
import errno, os
from kmodd.database.publish import publish
from kmodd.errors import TreeError
try:
    publish({{"modules.dep": bytes(10_000), "modules.alias": bytes(9 << 20)}}, {str(directory)!r})
except TreeError as error:
    print(errno.errorcode[error.errno], *sorted(os.listdir({str(directory)!r})))
"""
    shell = f"{mount.format(directory)} && exec {sys.executable} -"
    run = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", shell],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    require("mount:" not in run.stderr, f"mount namespaces are not allowed: {run.stderr.strip()}")
    assert run.stdout.split() == [expected, *sorted(FILES)], run.stderr


def test_a_file_in_place_of_the_directory_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TreeError) as caught:
        publish(FILES, str(tmp_path / "file"))
    assert caught.value.detail == str(tmp_path / "file")
    assert caught.value.reason is Reason.TREE_NOT_WRITABLE


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    publish(FILES, str(tmp_path))
    script = f"""
import os, signal
from kmodd.database.publish import publish
os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
publish({{"modules.dep": b"never seen", "modules.alias": b"nor this"}}, {str(tmp_path)!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = set(contents(tmp_path)) - set(FILES)
    assert len(left) == 1
    assert all(is_temporary(name) for name in left)
    assert {name: contents(tmp_path)[name] for name in FILES} == FILES
    publish(FILES, str(tmp_path))
    assert contents(tmp_path) == FILES


def test_a_lock_that_somebody_sits_on_does_not_stop_publishing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "LOCK_SECONDS", 0.05)
    temporary = tmp_path / f".modules.dep.kmodd-{'0' * 16}"
    temporary.touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        publish(FILES, str(tmp_path))
    finally:
        os.close(fd)
    # It may be another's, who is writing it now.
    assert temporary.exists()
    assert contents(tmp_path) == FILES | {temporary.name: b""}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f".modules.alias.bin.kmodd-{'0123456789abcdef'}", True),
        ("tmpfileAb3dE9", True),
        ("modules.dep.bin.123.456.789", True),
        ("modules.dep", False),
        ("modules.order", False),
        ("tmpfile", False),
        ("kernel", False),
    ],
)
def test_temporary_names_are_known(name: str, expected: bool) -> None:
    assert is_temporary(name) is expected
