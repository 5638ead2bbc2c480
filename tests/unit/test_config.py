# SPDX-License-Identifier: Apache-2.0
"""The syntax of modprobe.d and of the kernel's command line, and what a Config answers."""

import pytest

from kmodd.config import (
    Alias,
    Blacklist,
    Command,
    Config,
    Options,
    SoftDependency,
    WeakDependency,
    parse_config,
)
from kmodd.config.cmdline import parse_command_line
from kmodd.config.modprobe import MAX_LINE, MAX_PROBLEMS


def test_every_directive_becomes_an_entry_that_knows_its_line() -> None:
    text = (
        "alias net-pf-10 ipv6\n"
        "blacklist pc-speaker\n"
        "options snd-hda power_save=1 id=a-b\n"
        "install usb-storage /bin/true --x\n"
        "remove usb-storage /bin/false\n"
        "softdep a-b pre: c-d e post: f\n"
        "weakdep a-b g h-i\n"
    )
    config = parse_config(text, "x.conf")
    assert config.aliases == (Alias("net_pf_10", "ipv6", "x.conf", 1),)
    assert config.blacklist == (Blacklist("pc_speaker", "x.conf", 2),)
    assert config.options == (Options("snd_hda", "power_save=1 id=a-b", "x.conf", 3),)
    assert config.installs == (Command("usb_storage", "/bin/true --x", "x.conf", 4),)
    assert config.removes == (Command("usb_storage", "/bin/false", "x.conf", 5),)
    assert config.softdeps == (SoftDependency("a_b", ("c-d", "e"), ("f",), "x.conf", 6),)
    assert config.weakdeps == (WeakDependency("a_b", ("g", "h-i"), "x.conf", 7),)
    assert config.problems == ()


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("  alias\ta \t b\tand more", [("a", "b")]),
        ("alias a \\\n  b\nalias c\\\nd e", [("a", "b"), ("cd", "e")]),
        ("# alias a b\n\n   \nalias c d", [("c", "d")]),
        ("# a comment \\\nalias a b\nalias c d", [("c", "d")]),
        (r"alias a\b c" + "\n" + r"alias d\\* e", [("ab", "c"), (r"d\*", "e")]),
        ("alias x-[a-b]-y z-z", [("x_[a-b]_y", "z_z")]),
        ("alias a b\r\n", [("a", "b\r")]),
        ("alias a b\0c\nalias d e", [("a", "b"), ("d", "e")]),
        ("alias a b\\", [("a", "b")]),
        ("alias \udce9 \udcff", [("\udce9", "\udcff")]),
    ],
)
def test_lines_are_read_as_libkmod_reads_them(text: str, aliases: list[tuple[str, str]]) -> None:
    config = parse_config(text)
    assert [(entry.pattern, entry.module) for entry in config.aliases] == aliases
    assert config.problems == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alias a", "ignoring bad line starting with 'alias'"),
        ("blacklist", "ignoring bad line starting with 'blacklist'"),
        ("options a ", "ignoring bad line starting with 'options'"),
        ("install a", "ignoring bad line starting with 'install'"),
        ("softdep a", "ignoring bad line starting with 'softdep'"),
        ("alias a[b c", "ignoring bad line starting with 'alias'"),
        ("blacklist a]b", "ignoring bad line starting with 'blacklist'"),
        (" #alias a b", "ignoring bad line starting with '#alias'"),
        ("ALIAS a b", "ignoring bad line starting with 'ALIAS'"),
        ("include /etc/x", "command include is deprecated and not parsed anymore"),
        ("config x", "command config is deprecated and not parsed anymore"),
        ("x" * (MAX_LINE + 1), f"ignoring a line of more than {MAX_LINE} characters"),
    ],
)
def test_a_bad_line_is_named_and_the_others_stay_in_force(line: str, problem: str) -> None:
    config = parse_config(f"blacklist one\n{line}\nblacklist two\n", "x.conf")
    assert config.problems == (f"x.conf line 2: {problem}",)
    assert [entry.module for entry in config.blacklist] == ["one", "two"]


def test_a_continued_bad_line_is_named_by_its_first_line() -> None:
    config = parse_config("\nbad \\\n \\\n line\nworse\n", "x.conf")
    assert [problem.partition(":")[0] for problem in config.problems] == [
        "x.conf line 2",
        "x.conf line 5",
    ]


def test_a_file_of_bad_lines_is_not_complained_of_without_end() -> None:
    config = parse_config("bad\n" * 5000, "x.conf")
    assert len(config.problems) == MAX_PROBLEMS + 1
    assert config.problems[-1] == f"x.conf: {5000 - MAX_PROBLEMS} more bad lines ignored"


@pytest.mark.parametrize(
    ("text", "pre", "post"),
    [
        ("pre: a b post: c", ("a", "b"), ("c",)),
        ("post: c pre: a post: d", ("a",), ("c", "d")),
        ("lost pre: a", ("a",), ()),
        ("pre:a b", (), ()),
        ("pre:\ta\vb\fc", ("a", "b", "c"), ()),
        ("pre: a\u2003b", ("a\u2003b",), ()),
    ],
)
def test_softdep_takes_words_by_the_side_they_follow(
    text: str, pre: tuple[str, ...], post: tuple[str, ...]
) -> None:
    (entry,) = parse_config(f"softdep x {text}").softdeps
    assert (entry.pre, entry.post) == (pre, post)


def test_all_aliases_that_match_answer_in_order() -> None:
    config = parse_config("alias a* one\nalias b two\nalias abc three\nalias a?c four\n")
    assert [alias.module for alias in config.aliases_of("abc")] == ["one", "three", "four"]
    assert [alias.module for alias in config.aliases_of("a/b")] == ["one"]
    assert config.aliases_of("c") == ()


def test_options_of_the_module_and_of_the_alias_used_are_joined_in_order() -> None:
    config = parse_config("options m a=1\noptions foo* b=2\noptions other c=3\noptions m d=4\n")
    assert config.options_of("m") == "a=1 d=4"
    assert config.options_of("m", "foo*") == "a=1 b=2 d=4"
    assert config.options_of("foobar") == ""


def test_the_first_command_that_matches_is_the_one() -> None:
    config = parse_config("install f?t one\ninstall fat two\nremove * three\nremove fat four\n")
    assert config.install_of("fat") == "one"
    assert config.install_of("vfat") is None
    assert config.remove_of("fat") == "three"
    assert config.has_command("fat")
    assert not config.has_command("fbt"), "a name is not an answer because a pattern matches it"


def test_a_blacklist_is_for_exact_names() -> None:
    config = parse_config("blacklist a*\nblacklist b-c\n")
    assert config.is_blacklisted("b_c")
    assert not config.is_blacklisted("abc")


@pytest.mark.parametrize(
    ("file", "pre"),
    [
        ("/etc/modprobe.d/a.conf", "configured"),
        ("/etc/modprobe.d/z.conf", "own"),
        ("/zzz/modprobe.d/a.conf", "configured"),
        ("/etc/modprobe.d/modules.conf", "configured"),
    ],
)
def test_a_modules_own_softdeps_count_where_modules_softdep_sorts(file: str, pre: str) -> None:
    config = parse_config("softdep vf* pre: configured\n", file)
    own = ("pre: own", "pre: second")
    assert config.soft_names_of("vfat", own, first_only=True) == ((pre,), ())


def test_a_module_with_no_line_of_its_own_gets_the_configurations() -> None:
    config = parse_config("softdep vfat pre: configured\n", "/etc/modprobe.d/z.conf")
    assert config.soft_names_of("vfat") == (("configured",), ())
    assert config.soft_names_of("fat") == ((), ())


def test_soft_dependencies_of_several_lines_add_up_each_once() -> None:
    config = parse_config("softdep vf* pre: a post: b\nsoftdep vfat pre: c a post: d\n", "z.conf")
    assert config.soft_names_of("vfat", ("pre: own a",)) == (("own", "a", "c"), ("b", "d"))


def test_a_trees_lines_are_sorted_in_by_their_files_name() -> None:
    early = parse_config("softdep x pre: a\nweakdep x a\n", "a.conf")
    late = parse_config("softdep x pre: z\nweakdep x z\n", "z.conf")
    both = Config(
        softdeps=early.softdeps + late.softdeps, weakdeps=early.weakdeps + late.weakdeps
    ).with_tree([("x", "pre: own"), ("y", "post: own")], [("x", "own")])
    assert [entry.file for entry in both.softdeps] == [
        "a.conf",
        "modules.softdep",
        "modules.softdep",
        "z.conf",
    ]
    assert [entry.modules for entry in both.weakdeps] == [("a",), ("own",), ("z",)]
    assert both.softdeps[2] == SoftDependency("y", (), ("own",), "modules.softdep")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("quiet a-b.c-d=1 e.f g=h.i\n", [("a_b", "c-d=1"), ("e", "f")]),
        ('m.p="a b" "m.q=c d" m.r=x"y z"', [("m", 'p="a b"'), ("m", 'q="c d"'), ("m", 'r=x"y z"')]),
        ("m.p=a.b=c", [("m", "p=a.b=c")]),
        ("a.b.c=1 a..b=1 .a=1 =.=. a=.b m.p=", [("m", "p=")]),
        ('"m.p" m."q=1" "m".r=1 "x m.p=1" m."p', []),
        ('m.p="never closed m.q=1', []),
        ("a.b=1\tc.d=2\ne.f=3", [("a", "b=1"), ("c", "d=2"), ("e", "f=3")]),
        ("m.p=\udce9", [("m", "p=\udce9")]),
    ],
)
def test_dotted_words_of_the_command_line_are_options(
    text: str, options: list[tuple[str, str]]
) -> None:
    said = parse_command_line(text)
    assert [(entry.module, entry.text) for entry in said.options] == options
    assert said.problems == ()


def test_the_command_line_blacklists_names_as_they_are_written() -> None:
    said = parse_command_line("modprobe.blacklist=a-b,c,,d modprobe.blacklist=e modprobe.x=1")
    assert [entry.module for entry in said.blacklist] == ["a-b", "c", "d", "e"]
    assert [(entry.module, entry.text) for entry in said.options] == [("modprobe", "x=1")]


def test_a_bad_module_name_on_the_command_line_loses_nothing_else() -> None:
    said = parse_command_line("ivrs_acpihid[00:14.5]=AMD0020:0 a.b=1")
    assert [(entry.module, entry.text) for entry in said.options] == [("a", "b=1")]
    assert said.problems == ("kernel command line: ignoring bad module name 'ivrs_acpihid[00:14'",)
