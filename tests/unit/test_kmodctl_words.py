# SPDX-License-Identifier: Apache-2.0
"""How command lines are read: as getopt_long(3) reads them, whatever argparse would do."""

import pytest

from kmodctl.cli import command_parser, main_parser
from kmodctl.commands import COMMANDS
from kmodctl.commands.status import _facts
from kmodctl.declarations import SUPPRESS
from kmodctl.help import help_of, usage_of
from kmodctl.parser import LONGEST_WAIT, CommandOptions, Parser, WrongValueError, milliseconds
from kmodctl.quoting import join_parameters, split_options
from kmodd.messages.daemon_service import GetStatusResponse


def parser() -> Parser:
    made = Parser(prog="tool")
    made.add_argument("-a", "--all", action="store_true")
    made.add_argument("-c", "--show-config", "--showconfig", action="store_true")
    made.add_argument("--show-depends", action="store_true")
    made.add_argument("-w", "--wait", metavar="MSEC", type=int)
    made.add_argument("-C", "--config", action="append")
    made.extensions.add_argument("--atomic", action="store_true")
    made.add_argument("name", nargs="?")
    made.add_argument("rest", nargs="*")
    return made


def read(*words: str) -> CommandOptions:
    return parser().parse_args(words)


def refused(capsys: pytest.CaptureFixture[str], *words: str, exact: bool = False) -> str:
    made = parser()
    made.exact = exact
    with pytest.raises(SystemExit) as ended:
        made.parse_args(words)
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_options_and_operands_come_in_any_order_until_two_dashes() -> None:
    options = read("x", "-a", "y", "-C", "one", "--config=two", "-Cthree", "-", "--", "-c", "--all")
    assert (options.name, options.rest) == ("x", ["y", "-", "-c", "--all"])
    assert (options.all, options.show_config, options.wait) == (True, False, None)
    assert options.config == ["one", "two", "three"]


def test_letters_are_joined_and_the_last_may_take_the_rest() -> None:
    options = read("-acw5", "x")
    assert (options.all, options.show_config, options.wait, options.name) == (True, True, 5, "x")
    assert read("-aw", "7").wait == 7


def test_a_posix_command_line_ends_its_options_at_the_first_operand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "")
    assert read("-a", "x", "-c").rest == ["-c"]
    options, operands = parser().read(["-a", "x", "-c"], operands_end=True)
    assert (options.all, operands) == (True, ["x", "-c"])


@pytest.fixture
def _in_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMODD_TOKEN", "a-token")
    monkeypatch.setenv("MODPROBE_MODULE", "--show-depends")
    monkeypatch.setenv("CMDLINE_OPTS", 'times=1 whom="a -a --atomic -C\n-" --')


@pytest.mark.usefixtures("_in_a_command")
@pytest.mark.parametrize(
    ("words", "option", "why"),
    [
        (("x", "-c"), "-c", "it stands behind 'x', where $CMDLINE_OPTS may"),
        (("x", "--show-c"), "--show-c", "it stands behind 'x', where $CMDLINE_OPTS may"),
        (("-c", "x", "y", "-w5"), "-w5", "it stands behind 'x', where $CMDLINE_OPTS may"),
        (("-c", "-a", "x"), "-a", "it is in $CMDLINE_OPTS"),
        (("--atomic",), "--atomic", "it is in $CMDLINE_OPTS"),
        (("--show-depends", "x"), "--show-depends", "it is in $MODPROBE_MODULE"),
        (("x", "-C", "y"), "-C", "it is in $CMDLINE_OPTS"),
        (("x", "--", "y"), "--", "it is in $CMDLINE_OPTS"),
    ],
)
def test_an_option_of_a_commands_call_is_not_one_that_a_caller_could_have_given(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], option: str, why: str
) -> None:
    said = refused(capsys, *words)
    assert said == f"tool: option '{option}' is refused in a command of modprobe.d: {why}\n"


@pytest.mark.usefixtures("_in_a_command")
def test_a_commands_call_has_the_options_before_the_name_and_any_other_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = read("-c", "-w", "5", "x", "times=1", "-", "y")
    assert (options.show_config, options.wait, options.rest) == (True, 5, ["times=1", "-", "y"])
    monkeypatch.setenv("CMDLINE_OPTS", "-c")
    assert read("-a", "x", "--", "-c").rest == ["-c"]


def test_a_long_option_may_be_shortened_to_what_is_unique() -> None:
    assert read("--al").all
    assert read("--showc").show_config
    assert read("--show-c").show_config
    assert read("--wai=3").wait == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "tool: invalid option -- 'x'\n"),
        (["-ax"], "tool: invalid option -- 'x'\n"),
        (["--nosuch=1"], "tool: unrecognized option '--nosuch=1'\n"),
        (["-w"], "tool: option requires an argument -- 'w'\n"),
        (["--wait"], "tool: option '--wait' requires an argument\n"),
        (["--all=1"], "tool: option '--all' doesn't allow an argument\n"),
        (
            ["--sh"],
            "tool: option '--sh' is ambiguous; possibilities: "
            "'--show-config' '--showconfig' '--show-depends'\n",
        ),
        (["-w", "x"], "tool: --wait: invalid value 'x'. See -h.\n"),
    ],
)
def test_mistakes_are_told_in_the_c_librarys_words(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert refused(capsys, *words) == message


def test_what_kmod_does_not_have_shortens_nothing_and_is_gone_where_kmod_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert read("--a").all
    assert read("--atomic").atomic
    assert refused(capsys, "--atom") == "tool: unrecognized option '--atom'\n"
    assert refused(capsys, "--atomic", exact=True) == "tool: unrecognized option '--atomic'\n"


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", 0),
        ("250", 250),
        ("+250", 250),
        ("-250", 0),
        (" \t\n250", 250),
        ("0x1F", 31),
        ("-0X1f", 0),
        ("017", 15),
        ("86400001", LONGEST_WAIT),
        ("9" * 10_000, LONGEST_WAIT),
        ("0x" + "f" * 10_000, LONGEST_WAIT),
    ],
)
def test_a_wait_is_what_strtoul_finds_with_base_0(text: str, wait: int) -> None:
    assert milliseconds(text) == wait


@pytest.mark.parametrize(
    "text", ["", " ", "-", "+-1", "5 ", "5s", "1_0", "08", "0x", "0xg", "1f", "\u0663", "\xa05"]
)
def test_a_wait_that_strtoul_does_not_read_to_its_end_is_refused(text: str) -> None:
    with pytest.raises(WrongValueError, match="unexpected wait value"):
        milliseconds(text)


def test_an_option_may_be_one_of_some_words_and_an_operand_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = Parser(prog="tool")
    made.add_argument("-f", "--format", choices=("long", "short"), default="long")
    made.add_argument("-n", "--name", dest="found", action="store_const", const="n")
    made.add_argument("-v", action=lambda parser: parser.error("seen"))
    made.add_argument("path", metavar="PATH")
    made.add_argument("more", nargs="+")
    options = made.parse_args(["-n", "x", "y", "z"])
    assert (options.format, options.found, options.path) == ("long", "n", "x")
    assert options.more == ["y", "z"]
    for words, message in (
        (["-f", "wide", "x", "y"], "--format: 'wide' is none of long, short"),
        ([], "missing PATH"),
        (["x"], "missing more"),
        (["-v"], "seen"),
    ):
        with pytest.raises(SystemExit):
            made.parse_args(words)
        assert capsys.readouterr().err == f"tool: {message}. See -h.\n"


def test_what_was_given_stays_beside_the_options_of_a_command_line() -> None:
    options = parser().parse_args(["x"], CommandOptions(exact=True))
    assert (options.exact, options.name) == (True, "x")
    with pytest.raises(AttributeError, match="nosuch"):
        _ = options.nosuch


def test_a_declaration_with_words_that_mean_nothing_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="--all is declared with requird"):
        parser().add_argument("--all", requird=True)


def test_the_help_has_each_option_and_what_is_beyond_kmod_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    made = Parser(prog="tool", description="does it", epilog="more of it")
    made.add_argument("-a", "--all", action="store_true", help="every one")
    made.add_argument("-C", "--config", metavar="PATH", action="append", help="a file")
    made.extensions.add_argument("--atomic", action="store_true", help="all or nothing")
    made.add_argument("name", metavar="NAME", nargs="?", help="what to do it to")
    made.add_argument("rest", nargs="*", help=SUPPRESS)
    made.behind = "command"
    assert usage_of(made) == "usage: tool [options] [NAME] -- COMMAND...\n"
    own, _, beyond = help_of(made).partition("beyond kmod:\n")
    assert beyond.split() == ["--atomic", "all", "or", "nothing", "more", "of", "it"]
    for part in (usage_of(made), "does it", "-a, --all", "every one", "PATH", "a file"):
        assert part in own
    assert "what to do it to" in own
    assert "rest" not in own


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_argparse_takes_what_is_declared_for_the_help(name: str | None) -> None:
    made = command_parser(name) if name else main_parser()
    shown = help_of(made)
    assert [
        each.option_strings for each in made.options() if each.option_strings[0] not in shown
    ] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("-q -v", ["-q", "-v"]),
        ("  -q   -v ", ["-q", "-v"]),
        ("-C '/a b/c' \"-d\" x", ["-C", "/a b/c", "-d", "x"]),
        ("--config='a b'c", ["--config=a bc"]),
        ("it's", ["it's"]),
        ("'a'b'c d'", ["a", "bc d"]),
        ("-a 'b c", ["-a", "'b c"]),
        ("-a\t-b", ["-a\t-b"]),
    ],
)
def test_options_of_the_environment_are_split_at_blanks_but_not_in_quotes(
    text: str, words: list[str]
) -> None:
    assert split_options(text) == words


def test_parameters_with_blanks_get_quotes_unless_they_have_some() -> None:
    words = ["", "", "a=1", "b=2 3", 'c="4 5"', "d='6 7'", "e f", "g="]
    assert join_parameters(words) == 'a=1 b="2 3" c="4 5" d=\'6 7\' e f g='


def test_status_accounts_for_every_loaded_module() -> None:
    status = GetStatusResponse(loaded_count=39, asked_count=2, dependency_count=1, others_count=4)
    facts = dict(_facts(status))
    assert facts["modules"] == "39 loaded: 2 asked for, 1 as a dependency, 36 by others"
