# SPDX-License-Identifier: Apache-2.0
"""The syntax of configuration, which is read by hand, against expressions that say the same."""

import re

from hypothesis import given
from hypothesis import strategies as st

from kmodd.config import Options, parse_config
from kmodd.config.cmdline import SOURCE, parse_command_line
from kmodd.config.directives import split_words

LOGICAL_LINE = re.compile(r"[^\\\n]*(?:\\(?:.|\Z)[^\\\n]*)*", re.DOTALL)
PROTECTED = re.compile(r"\\(?:\n|(.)|\Z)", re.DOTALL)
FIRST_WORD = re.compile(r"[\t ]*([^\t ]*)[\t ]?(.*)", re.DOTALL)
WORD = re.compile(r'(?:[^ \t\n\v\f\r"]|"[^"]*(?:"|\Z))+')
OPTION = re.compile(r'([^.="\s]+)\.([^.="\s]*)(?:=(.*))?', re.DOTALL)

TEXTS = st.text("options ma\\\\\n\n\t  \0#\v\x85\u2003\udcff", max_size=60)
COMMAND_LINES = st.text('ab..=="" \t\n\v\x1c\x85\u2003', max_size=40)


def lines_of(text: str) -> list[tuple[int, str]]:
    """The logical lines of a file, each with its number."""
    found, number, position = [], 1, 0
    while position < len(text):
        match = LOGICAL_LINE.match(text, position)
        assert match
        content = PROTECTED.sub(lambda each: each[1] or "", match[0]).partition("\0")[0]
        found.append((number, content))
        number += match[0].count("\n") + 1
        position = match.end() + 1
    return found


def options_of(text: str) -> list[Options]:
    """The options of a file: the lines of which the second word is one, and what follows it."""
    found = []
    for number, content in lines_of(text):
        words = FIRST_WORD.fullmatch(content)
        assert words
        names = FIRST_WORD.fullmatch(words[2])
        assert names
        if words[1] == "options" and names[1] and names[2]:
            found.append(Options(names[1], names[2].replace("\t", " "), "x", number))
    return found


@given(st.lists(TEXTS | st.just("options m a=1"), max_size=6).map("\n".join))
def test_lines_and_words_are_those_of_the_expressions(text: str) -> None:
    assert list(parse_config(text, "x").options) == options_of(text)


@given(TEXTS)
def test_words_are_set_apart_by_what_c_calls_spaces(text: str) -> None:
    assert split_words(text) == [word for word in re.split(r"[ \t\n\v\f\r]+", text) if word]


@given(COMMAND_LINES)
def test_options_of_a_command_line_are_those_of_the_expressions(text: str) -> None:
    found = []
    for word in WORD.findall(text):
        quote = '"' if word.startswith('"') else ""
        option = OPTION.fullmatch(word, len(quote))
        if option and word.count('"') % 2 == 0:
            module, parameter, value = option.groups()
            setting = parameter if value is None else f"{parameter}={quote}{value}"
            if setting:
                found.append(Options(module, setting.replace("\t", " "), SOURCE))
    assert list(parse_command_line(text).options) == found
