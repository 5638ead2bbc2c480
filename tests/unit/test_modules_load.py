# SPDX-License-Identifier: Apache-2.0
"""modules-load.d: which files count, and what they say."""

from pathlib import Path

import pytest

from kmodd.config.modules_load import modules_to_load


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def names(root: Path, command_line: str = "") -> list[str]:
    problems: list[str] = []
    found = [each.name for each in modules_to_load(root, command_line, problems)]
    assert problems == []
    return found


def test_files_are_read_by_their_names_and_the_first_directory_wins(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/modules-load.d/b.conf", "from_usr\n")
    write(tmp_path, "run/modules-load.d/b.conf", "from_run\n")
    write(tmp_path, "usr/lib/modules-load.d/c.conf", "last\n")
    write(tmp_path, "etc/modules-load.d/a.conf", "first\n")
    write(tmp_path, "etc/modules-load.d/readme.txt", "nothing\n")
    assert names(tmp_path) == ["first", "from_run", "last"]


def test_a_link_to_nothing_masks_a_file(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/modules-load.d/b.conf", "from_usr\n")
    (tmp_path / "etc/modules-load.d").mkdir(parents=True)
    (tmp_path / "etc/modules-load.d/b.conf").symlink_to("/dev/null")
    assert names(tmp_path) == []


def test_comments_and_blanks_say_nothing_and_a_name_counts_once(tmp_path: Path) -> None:
    text = "# comment\n; comment\n\n  snd-pcm  \nloop\nloop\npci:v00008086*\n"
    write(tmp_path, "etc/modules-load.d/a.conf", text)
    assert names(tmp_path) == ["snd-pcm", "loop", "pci:v00008086*"]
    problems: list[str] = []
    first = modules_to_load(tmp_path, "", problems)[0]
    assert first.source == f"{tmp_path}/etc/modules-load.d/a.conf:4"


@pytest.mark.parametrize("word", ["modules_load", "modules-load"])
def test_the_command_line_names_modules_first(tmp_path: Path, word: str) -> None:
    write(tmp_path, "etc/modules-load.d/a.conf", "loop\nnbd\n")
    assert names(tmp_path, f"quiet {word}=fuse,nbd,, other=x") == ["fuse", "nbd", "loop"]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc/modules-load.d/a.conf").mkdir(parents=True)
    write(tmp_path, "etc/modules-load.d/b.conf", "\n".join(f"m{n}" for n in range(2000)))
    problems: list[str] = []
    assert len(modules_to_load(tmp_path, "", problems)) == 1024
    assert len(problems) == 2


def test_what_there_is_an_objection_to_is_a_problem_and_not_read(tmp_path: Path) -> None:
    write(tmp_path, "etc/modules-load.d/a.conf", "good\n")
    write(tmp_path, "usr/local/lib/modules-load.d/b.conf", "bad\n")
    bad = tmp_path / "usr/local/lib/modules-load.d"
    problems: list[str] = []
    found = modules_to_load(
        tmp_path, "", problems, lambda _fd, path: "no" if path == str(bad) else ""
    )
    assert [each.name for each in found] == ["good"]
    assert problems == [f"{bad} is not read: no"]
