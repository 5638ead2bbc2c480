# SPDX-License-Identifier: Apache-2.0
"""Shell patterns mean what the C library's fnmatch says they mean."""

import ctypes

from hypothesis import given
from hypothesis import strategies as st

from kmodd.errors import RequestError
from kmodd.globs import PatternTable
from kmodd.names import normalise_alias

_fnmatch = ctypes.CDLL(None).fnmatch


def matches(pattern: str, name: str) -> bool:
    return PatternTable([(pattern, True)]).first(name) is not None


def as_libc_has_it(pattern: str, name: str) -> bool:
    return bool(_fnmatch(pattern.encode(), name.encode(), 0) == 0)


def can_be_written(pattern: str) -> bool:
    try:
        normalise_alias(pattern)
    except RequestError:
        return False
    return True


PATTERNS = st.text("ab-]*?[!^\\c./", max_size=9).filter(can_be_written)
NAMES = st.text("abc-!^\\./", max_size=7)


@given(PATTERNS, NAMES)
def test_a_pattern_matches_what_fnmatch_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) is as_libc_has_it(pattern, name)


@given(st.text("ab*?", max_size=9), st.text("ab", max_size=9))
def test_stars_match_what_fnmatch_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) is as_libc_has_it(pattern, name)


def test_a_pattern_of_many_stars_comes_to_an_end() -> None:
    # One that goes back on its steps never would.
    assert not matches("*a" * 500 + "b", "a" * 4096)


def test_bytes_that_are_not_utf8_match_as_bytes() -> None:
    table = PatternTable([("x\udce9*", 1), ("x??", 2)])
    assert table.select("x\udce9y") == (1, 2)


def test_a_table_answers_in_the_order_given() -> None:
    table = PatternTable([("b", 1), ("*", 2), ("b", 3), ("[ab]", 4)])
    assert table.select("b") == (1, 2, 3, 4)
    assert table.select("c") == (2,)
    assert table.first("b") == 1
    assert PatternTable([("b", 1)]).first("c") is None
