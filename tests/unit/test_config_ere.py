# SPDX-License-Identifier: Apache-2.0
"""POSIX extended regular expressions, compared with the C library's."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodd.config.ere import MAX_LENGTH, ere_search
from tests.support.require import require

REG_EXTENDED, REG_NOSUB = 1, 8


def libc_search(pattern: str, text: str) -> bool | None:
    """regexec(3); None for a pattern that regcomp(3) refuses."""
    libc = ctypes.CDLL(None)
    require(hasattr(libc, "regcomp"), "the oracle is the C library's regcomp")
    # A regex_t has 64 bytes with glibc and musl on 64 bits.
    compiled = ctypes.create_string_buffer(256)
    if libc.regcomp(compiled, pattern.encode(), REG_EXTENDED | REG_NOSUB):
        return None
    found = libc.regexec(compiled, text.encode(), 0, None, 0) == 0
    libc.regfree(compiled)
    return bool(found)


DEEP = {
    "a" + "*+" * 100 + "b": ("aab", "aac"),
    "^" + "(" * 16 + "a|b" + ")*+" * 16 + "c$": ("abac", "abad"),
    "^" + "(" * 16 + "a" + "){1,255}" * 16 + "$": ("a" * 64, "a" * 63 + "b"),
    "^a" + "{0,4}" * 40 + "$": ("a" * 64, "a" * 63 + "b"),
}
"""Expressions that repeat what repeats, each with a text that it is found in, and another."""


@settings(deadline=None, max_examples=500)
@given(st.text("ab.*+?()[]^$|{}12,-", max_size=10), st.text("ab.-12", max_size=8))
def test_a_search_finds_what_the_c_library_finds(pattern: str, text: str) -> None:
    expected = libc_search(pattern, text)
    try:
        found = ere_search(pattern, text)
    except ValueError:
        return
    if expected is not None:
        assert found == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("^(5|6)\\.[0-9]+", "6.12.0", True),
        ("^(5|6)\\.[0-9]+$", "6.12.0", False),
        ("[]a]x", "]x", True),
        ("[^]a]x", "]x", False),
        ("[[:alpha:]_]{3}", "6_ab", True),
        ("a{2,3}b", "aab", True),
        ("^a{2}$", "aaa", False),
        ("x?y+z*", "wyy", True),
        ("", "anything", True),
    ],
)
def test_the_usual_constructs_work(pattern: str, text: str, expected: bool) -> None:
    assert ere_search(pattern, text) is expected
    assert libc_search(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", "a)", "[a", "*a", "a{", "a{x}", "a{2,1}", "a{999}", "[z-a]", "[[:none:]]", "a\\"),
        "(" * 100 + ")" * 100,
        "a" * (MAX_LENGTH + 1),
    ],
)
def test_a_malformed_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ere_search(pattern, "a")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*" * 40 + "b",
        "(a|a)*" * 40 + "b",
        "((((a{1,255}){1,255}){1,255})*)*b",
        ".*" * 120 + "x",
    ],
)
def test_no_expression_takes_long(pattern: str) -> None:
    assert not ere_search(pattern, "a" * 64)


@pytest.mark.parametrize("pattern", DEEP)
def test_repetitions_of_repetitions_take_no_time_without_end(pattern: str) -> None:
    found, other = DEEP[pattern]
    assert ere_search(pattern, found)
    assert not ere_search(pattern, other)
