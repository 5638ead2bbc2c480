# SPDX-License-Identifier: Apache-2.0
"""Wishes as they are written: what a source says, what is wrong with it, and which wish counts."""

import pytest

from kmodd.desired.condition import Condition, MachineFacts
from kmodd.desired.document import MAX_PROBLEMS, MAX_TEXT, MAX_WISHES, read_document
from kmodd.desired.merging import merge
from kmodd.desired.values import is_same_value
from kmodd.desired.wish import Wish, WishedState

FULL = """\
version = 1

[[module]]
name = "snd-dummy"
state = "held"
reload = "when-unused"
enforce = true

[module.parameters]
index = [1, -2]
enable = true
id = "a card"

[[module]]
name = "floppy"
state = "denied"
when = { release = ">=6.1, 6.*", hostname = ["web-*", "db"], labels = { rack = "b*" } }
"""

HERE = MachineFacts("6.1.0-13-amd64", "web-3", {"rack": "b7", "role": "cache"})


def problems(text: str | bytes) -> list[str]:
    document = read_document(text, "a.toml")
    assert document.wishes == ()
    return list(document.problems)


def test_a_source_says_what_is_wished_and_where() -> None:
    document = read_document(FULL, "a.toml")
    assert document.problems == ()
    first, second = document.wishes
    assert first == Wish(
        name="snd_dummy",
        state=WishedState.HELD,
        parameters=(("enable", "1"), ("id", "a card"), ("index", "1,-2")),
        reload=True,
        enforce=True,
        source="a.toml",
        line=3,
    )
    assert first.words == 'enable=1 id="a card" index=1,-2'
    assert (second.name, second.state, second.place) == (
        "floppy",
        WishedState.DENIED,
        "a.toml:14",
    )
    assert second.when == Condition((">=6.1", "6.*"), ("web-*", "db"), (("rack", "b*"),))


def test_a_module_is_loaded_unless_something_else_is_said() -> None:
    (wish,) = read_document('[[module]]\nname = "loop"', "a.toml").wishes
    assert (wish.state, wish.enforce, wish.reload) == (WishedState.LOADED, False, False)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[[module]\n", 1, "Expected ']]' at the end of an array declaration"),
        ("\xff".encode("latin-1"), 0, "can't decode byte 0xff"),
        ("version = 2\n", 1, "version 2 is later than what this kmodd reads, 1"),
        ("version = true\n", 1, "version is a number, 1"),
        ("\nmodul = 1\n", 2, "modul is nothing that can be wished"),
        ("\nmodule = 1\n", 2, "module is a list of tables"),
        ("[[module]]\nstate = 'loaded'\n", 1, "a [[module]] needs a name"),
        ("[[module]]\nname = '../x'\n", 2, "name is a module's own name"),
        ("[[module]]\nname = 'x'\nstate = 'gone'\n", 3, "state is one of loaded, absent"),
        ("[[module]]\nname = 'x'\nsate = 'loaded'\n", 3, "sate is nothing that can be wished"),
        ("[[module]]\nname = 'x'\nreload = true\n", 3, "reload is one of when-unused, never"),
        ("[[module]]\nname = 'x'\nenforce = 1\n", 3, "enforce is true or false"),
        ("[[module]]\nname = 'x'\nparameters = 'a=1'\n", 3, "parameters is a table"),
        ("[[module]]\nname = 'x'\nparameters.a = '\"'\n", 3, "has a value for a that is no"),
        ("[[module]]\nname = 'x'\nparameters.a = 1.5\n", 3, "has a value for a that is no"),
        ("[[module]]\nname = 'x'\nparameters.a = [[1]]\n", 3, "has a value for a that is no"),
        ("[[module]]\nname = 'x'\nparameters = {a-b=1, a_b=2}\n", 3, "has 'a_b' twice"),
        ("[[module]]\nname = 'x'\nparameters = {'a b'=1}\n", 3, "cannot be a parameter's name"),
        (f"[[module]]\nname='x'\nparameters.a='{'x' * 1025}'", 3, "has more than 1024 bytes for a"),
        ("[[module]]\nname = 'x'\nwhen.release = '>>6'\n", 3, "neither a comparison"),
        ("[[module]]\nname = 'x'\nwhen.kernel = '6'\n", 3, "has 'kernel', which is none of"),
        ("[[module]]\nname = 'x'\nwhen.hostname = 1\n", 3, "has hostname, which is a text"),
        ("[[module]]\nname = 'x'\nwhen.labels = 'a'\n", 3, "has labels, a table"),
        ("[[module]]\nname='x'\nstate='absent'\nparameters.a=1\n", 4, "absent has no parameters"),
        ("[[module]]\nname='x'\n[[module]]\nname='x'\n", 3, "x is wished already, in line 1"),
        ("x = " + "[" * 5000 + "]" * 5000, 0, "tables nest too deep"),
        ("#" * (MAX_TEXT + 1), 0, "more than"),
        ("[[module]]\nname='x'\n" * (MAX_WISHES + 1), 0, f"more than {MAX_WISHES} wishes"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str | bytes, line: int, what: str) -> None:
    complaint = problems(text)[0]
    assert complaint.startswith(f"a.toml:{line}: " if line else "a.toml: ")
    assert what in complaint


def test_each_of_a_thousand_wishes_has_its_line_and_not_all_complaints_are_told() -> None:
    text = "".join(f"[[module]]\nname = 'm{at}'\nstate = 'no'\n" for at in range(1000))
    found = problems(text)
    assert len(found) == MAX_PROBLEMS + 1
    assert found[MAX_PROBLEMS - 1].startswith(f"a.toml:{3 * MAX_PROBLEMS}: state is one of")
    assert found[-1] == "a.toml: and 900 more"


def test_what_looks_like_a_header_in_a_text_is_none() -> None:
    text = '[[module]]\nname = "a"\nparameters.x = ""\n[[module]]\nname = """\n[[module]]\n"""\n'
    assert problems(text)[0].startswith("a.toml:2: name is a module's own name")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition(), True),
        (Condition((">=6.1",)), True),
        (Condition((">6.1", "<6.2")), True),
        (Condition((">=6.10",)), False),
        (Condition(("<=6.1.0",)), False),
        (Condition(("6.1.*",)), True),
        (Condition(("6.12*",)), False),
        (Condition(hostnames=("db", "web-?")), True),
        (Condition(hostnames=("db",)), False),
        (Condition(labels=(("rack", "b*"), ("role", "*"))), True),
        (Condition(labels=(("rack", "a*"),)), False),
        (Condition(labels=(("zone", "*"),)), False),
    ],
)
def test_a_wish_is_for_the_machines_that_it_says(condition: Condition, holds: bool) -> None:
    assert condition.holds(HERE) is holds


def source(*lines: str) -> str:
    return "\n".join(f"[[module]]\n{line}" for line in lines)


def test_a_later_source_overrides_by_name_and_conditions_choose() -> None:
    first = read_document(source("name='x'", "name='y'\nstate='absent'"), "a")
    second = read_document(
        source("name='y'\nstate='held'", "name='x'\nstate='absent'\nwhen.hostname='db'"), "b"
    )
    merged = merge([first, second], HERE)
    assert [(wish.name, wish.state.value, wish.place) for wish in merged.wishes] == [
        ("x", "loaded", "a:1"),
        ("y", "held", "b:1"),
    ]
    assert merged.contradicted == ()


def test_of_two_in_one_source_that_are_both_for_this_machine_none_counts() -> None:
    text = source("name='x'", "name='x'\nstate='absent'\nwhen.hostname='web-*'", "name='y'")
    merged = merge([read_document(text, "a")], HERE)
    ((wish, why),) = merged.contradicted
    assert (wish.place, why) == ("a:1", "a:3 wishes otherwise, for this machine, too")
    assert [wish.name for wish in merged.wishes] == ["y"]
    assert len(merge([read_document(text, "a")], MachineFacts("6.1", "db")).wishes) == 2


@pytest.mark.parametrize(
    ("given", "shown", "same"),
    [
        ("1", "Y", True),
        ("off", "N", True),
        ("0", "Y", False),
        ("0x10", "16", True),
        ("010", "8", True),
        ("-3", "-3", True),
        ("+3", "3", True),
        ("1,0x2", "1,2", True),
        ("1", "1,2", False),
        ("text", "text", True),
        ("text", "other", False),
        ("", "", True),
        ("08", "8", False),
    ],
)
def test_a_value_is_compared_as_the_kernel_shows_it(given: str, shown: str, same: bool) -> None:
    assert is_same_value(given, shown) is same


def test_a_source_that_is_empty_wishes_nothing() -> None:
    assert read_document("", "a") == read_document("module = []", "a")
    assert read_document("", "a").problems == ()
