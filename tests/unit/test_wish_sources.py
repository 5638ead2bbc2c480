# SPDX-License-Identifier: Apache-2.0
"""The files that wishes are read from, and those that they are not read from."""

import os
from pathlib import Path

import pytest

from kmodd.desired.document import MAX_TEXT
from kmodd.errors import LimitError, RequestError
from kmodd.namespace.wish_memory import WishMemory
from kmodd.namespace.wish_sources import MAX_FILES, MAX_REVISION, WishSources
from kmodd.state import APPLIED_MAX, AppliedStore, BootStore
from tests.support.wishes import wishes


def write(directory: Path, **texts: str) -> None:
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        (directory / f"{name}.toml").write_text(text)


def told(sources: WishSources) -> list[tuple[str, list[str], list[str]]]:
    return [
        (Path(each.name).name, [wish.name for wish in each.document.wishes], [*each.problems])
        for each in sources.read()
    ]


def test_files_are_read_in_order_of_their_names_and_what_is_none_is_left_out(
    tmp_path: Path,
) -> None:
    write(tmp_path, b=wishes("b loaded"), a=wishes("a loaded"))
    (tmp_path / ".c.toml").write_text("wrong")
    (tmp_path / "d.conf").write_text("wrong")
    (tmp_path / "e.toml").symlink_to("/dev/null")
    assert told(WishSources(tmp_path)) == [("a.toml", ["a"], []), ("b.toml", ["b"], [])]
    assert told(WishSources(tmp_path / "none")) == told(WishSources()) == []


def test_what_is_no_file_is_told_and_opened_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    (tmp_path / "b.toml").mkdir()
    assert told(WishSources(tmp_path)) == [
        (name, [], [f"{tmp_path}/{name}: not a regular file, ignored"])
        for name in ("a.toml", "b.toml")
    ]


def test_too_many_files_are_told(tmp_path: Path) -> None:
    write(tmp_path, **{f"f{at:04}": "" for at in range(MAX_FILES + 1)})
    *_, last = told(WishSources(tmp_path))
    assert last[2] == [
        f"{tmp_path}/f{MAX_FILES:04}.toml: more than {MAX_FILES} files, the rest ignored"
    ]


def test_what_others_could_have_written_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "w", a=wishes("a loaded"))
    (tmp_path / "w").chmod(0o777)
    ((name, read, problems),) = told(WishSources(tmp_path / "w", trusted_only=True))
    assert (name, read) == ("w", [])
    assert problems[0].startswith(f"{tmp_path}/w is not read: ")


def test_a_wrong_text_leaves_what_was_said_before_and_tells_of_itself(tmp_path: Path) -> None:
    sources = WishSources(tmp_path)
    write(tmp_path, a=wishes("a loaded"))
    sources.read()
    write(tmp_path, a="wrong")
    for _ in range(2):
        ((name, read, problems),) = told(sources)
        assert (name, read) == ("a.toml", ["a"])
        assert problems[0].startswith(f"{tmp_path}/a.toml:1: ")
    write(tmp_path, a=wishes("b loaded"))
    assert told(sources) == [("a.toml", ["b"], [])]


def test_what_cannot_be_kept_is_in_force_and_kept_once_that_can_be(tmp_path: Path) -> None:
    place = tmp_path / "var" / "applied"
    (tmp_path / "var").touch()
    sources = WishSources(None, AppliedStore(place))
    sources.apply("a", wishes("a loaded").encode())
    assert told(sources) == [("a", ["a"], [])]
    (tmp_path / "var").unlink()
    sources.keep()
    assert AppliedStore(place).load().keys() == {"a"}
    AppliedStore(place).save("old", wishes("old loaded").encode())
    assert told(sources) == [("a", ["a"], []), ("old", ["old"], [])]
    assert told(WishSources(None, AppliedStore(place))) == told(sources)


def test_no_more_sources_are_applied_than_there_may_be() -> None:
    sources = WishSources()
    text = wishes("a loaded").encode()
    for at in range(APPLIED_MAX):
        sources.apply(f"s{at}", text)
    with pytest.raises(LimitError):
        sources.apply("more", text)
    sources.apply("s0", text)


@pytest.mark.parametrize(
    "facts",
    [
        {"left_alone": 1},
        {"left_alone": [1, ["a"], ["a", 1, "c"]], "taken": "a"},
        {"taken": [["a", "b", "c"], ["a", {}, "c", "d"]]},
    ],
)
def test_a_memory_that_makes_no_sense_is_dropped(tmp_path: Path, facts: dict[str, object]) -> None:
    store = BootStore(tmp_path / "facts", "b")
    store.store(facts)
    memory = WishMemory(store)
    memory.recall()
    assert memory.left_alone() == {}
    assert memory.taken() == {}


def test_the_revision_of_what_was_applied_is_kept_with_it(tmp_path: Path) -> None:
    text = wishes("a loaded").encode()
    text += b"#" * (MAX_TEXT - len(text))
    sources = WishSources(None, AppliedStore(tmp_path))
    sources.apply("a", text, MAX_REVISION)
    sources.apply("b", wishes("b loaded").encode())
    for each in (sources, WishSources(None, AppliedStore(tmp_path))):
        assert told(each) == [("a", ["a"], []), ("b", ["b"], [])]
        assert [source.revision for source in each.read()] == [MAX_REVISION, 0]
        assert (each.revision("a"), each.revision("b"), each.revision("c")) == (MAX_REVISION, 0, 0)
    with pytest.raises(RequestError, match="a revision is at most"):
        sources.apply("a", text, MAX_REVISION + 1)
    sources.apply("a", b"", 5)
    assert sources.revision("a") == 0
    assert told(sources) == [("b", ["b"], [])]
