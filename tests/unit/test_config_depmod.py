# SPDX-License-Identifier: Apache-2.0
"""depmod.d: which files are read, and what their lines mean."""

from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig, read_depmod_config

RELEASE = "6.1.0-56-amd64"


def config_of(tmp_path: Path, text: str) -> DepmodConfig:
    file = tmp_path / "depmod.conf"
    file.write_text(text)
    return read_depmod_config(tmp_path, RELEASE, paths=[file])


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_every_directive_is_taken_in_the_order_of_the_lines(tmp_path: Path) -> None:
    assert config_of(
        tmp_path,
        "# a comment\n"
        "search updates\tbuilt-in \\\n  external\n"
        "search extra\n"
        "override foo * kernel/a\n"
        "override foo-bar 6.1 weak/updates\n"
        "external * /opt/mods /srv/mods/\n"
        "exclude old  tmp\n",
    ) == DepmodConfig(
        search=("updates", "built-in", "external", "extra"),
        overrides=("kernel/a/foo", "weak/updates/foo-bar"),
        externals=("/opt/mods", "/srv/mods"),
        excludes=frozenset({"old", "tmp"}),
    )


def test_files_of_the_first_directory_hide_those_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, "etc/depmod.d/b.conf", "search etc-b")
    write(tmp_path, "run/depmod.d/b.conf", "search run-b")
    write(tmp_path, "usr/lib/depmod.d/a.conf", "search usr-a")
    write(tmp_path, "lib/depmod.d/c.conf", "search lib-c")
    write(tmp_path, "lib/depmod.d/c.txt", "search no")
    write(tmp_path, "etc/modprobe.d/d.conf", "search no")
    assert read_depmod_config(tmp_path, RELEASE).search == ("usr-a", "etc-b", "lib-c")


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "outside.conf", "search outside")
    write(root, "outside.conf", "search inside")
    write(root, "srv/depmod.d/b.conf", "search linked")
    (root / "etc/depmod.d").mkdir(parents=True)
    (root / "etc/depmod.d/a.conf").symlink_to("/outside.conf")
    (root / "etc/depmod.d/c.conf").symlink_to(tmp_path / "outside.conf")
    (root / "etc/depmod.d/d.conf").symlink_to("../../../outside.conf")
    (root / "run").mkdir()
    (root / "run/depmod.d").symlink_to("/srv/depmod.d")
    # c leads to nothing in there, and d climbs no further than the root.
    assert read_depmod_config(root, RELEASE).search == ("inside", "linked", "inside")


@pytest.mark.parametrize(
    ("version", "concerned"),
    [
        ("*", True),
        ("6.1", True),
        ("^6\\\\.1\\\\.0-.*-amd64$", True),
        ("(5|6)[.][0-9]+", True),
        ("[[:digit:]]{2}-amd64", True),
        ("^1", False),
        ("6.2", False),
    ],
)
def test_a_version_is_an_expression_that_matches_anywhere(
    tmp_path: Path, version: str, concerned: bool
) -> None:
    config = config_of(tmp_path, f"override m {version} dir\nexternal {version} /x\n")
    assert config.overrides == (("dir/m",) if concerned else ())
    assert config.externals == (("/x",) if concerned else ())
    assert config.problems == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bogus x", "ignoring bad line starting with 'bogus'"),
        ("override m *", "ignoring bad line starting with 'override'"),
        ("external *", "ignoring bad line starting with 'external'"),
        (" # not at the start", "ignoring bad line starting with '#'"),
        ("override m ( dir", "(: the expression ends too soon"),
        ("external * relative", "relative is no absolute path"),
    ],
)
def test_a_wrong_line_is_named_and_the_others_stay_in_force(
    tmp_path: Path, line: str, problem: str
) -> None:
    config = config_of(tmp_path, f"search a\n{line}\nsearch b\n")
    assert config.search == ("a", "b")
    assert config.problems == (f"ERROR: {tmp_path}/depmod.conf:2: {problem}",)


def test_directives_that_depmod_never_implemented_are_taken_in_silence(tmp_path: Path) -> None:
    assert config_of(tmp_path, "include x\nmake_map_files no\nsearch\nexclude\n") == DepmodConfig()


def test_without_files_updates_come_first(tmp_path: Path) -> None:
    config = read_depmod_config(tmp_path, RELEASE)
    assert config == DepmodConfig()
    assert config.rank("updates/m.ko") < config.rank("kernel/m.ko")


def test_the_last_override_wins_over_those_before_it() -> None:
    config = DepmodConfig(overrides=("a/m", "b/m"))
    assert config.rank("b/m.ko.xz") < config.rank("a/m.ko") < config.rank("updates/m.ko")


def test_a_directory_of_search_covers_what_is_below_it_and_no_more() -> None:
    config = DepmodConfig(search=("kernel/net",))
    assert config.rank("kernel/net/a/m.ko") < config.rank("kernel/network/m.ko")


def test_nothing_is_read_of_what_there_is_an_objection_to(tmp_path: Path) -> None:
    for place, word in (("usr/local/lib/depmod.d", "bad"), ("etc/depmod.d", "good")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / f"{word}.conf").write_text(f"search {word}\n")
    bad = tmp_path / "usr/local/lib/depmod.d"
    config = read_depmod_config(
        tmp_path, RELEASE, objection=lambda _fd, path: "no" if path == str(bad) else ""
    )
    assert (config.search, config.problems) == (("good",), ())
    assert config.unread == (f"{bad} is not read: no",)
