# SPDX-License-Identifier: Apache-2.0
"""Module parameters, as the kernel cuts and checks them."""

import errno

import pytest

from kmodd.kernel.emulated.params import CHARP_MAX, check, split_arguments


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("  a=1   b ", [("a", "1"), ("b", None)]),
        ('a="two words" b=', [("a", "two words"), ("b", "")]),
        ('"a=two words" b=1', [("a", "two words"), ("b", "1")]),
        ('a=x"y z"w', [("a", 'x"y z"w')]),
        ("a=1=2", [("a", "1=2")]),
        ('a="open b=1', [("a", "open b=1")]),
        ("=1", [("=1", None)]),
    ],
)
def test_arguments_are_cut_at_spaces_outside_quotes(
    text: str, arguments: list[tuple[str, str | None]]
) -> None:
    assert [(name, value) for name, value, _ in split_arguments(text)] == arguments


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("int", "5", 0),
        ("int", "-5", 0),
        ("int", "+5", 0),
        ("int", "0x1f", 0),
        ("int", "017", 0),
        ("int", "08", errno.EINVAL),
        ("int", "0x", errno.EINVAL),
        ("int", "1_0", errno.EINVAL),
        ("int", "", errno.EINVAL),
        ("int", " 5", errno.EINVAL),
        ("int", "2147483648", errno.ERANGE),
        ("int", "9" * 5000, errno.ERANGE),
        ("uint", "-1", errno.EINVAL),
        ("uint", "4294967295", 0),
        ("byte", "256", errno.ERANGE),
        ("ushort", "65535", 0),
        ("short", "-32769", errno.ERANGE),
        ("hexint", "ff", 0),
        ("long", "-9223372036854775808", 0),
        ("ulong", "18446744073709551616", errno.ERANGE),
        ("ullong", "18446744073709551615", 0),
        ("bool", "Y", 0),
        ("bool", "off", 0),
        ("bool", "maybe", errno.EINVAL),
        ("bool", "", errno.EINVAL),
        ("charp", "anything at all", 0),
        ("charp", "x" * (CHARP_MAX + 1), errno.ENOSPC),
        ("array of int", "1,2,-3", 0),
        ("array of int", "1,,3", errno.EINVAL),
        ("array of byte", "1,256", errno.ERANGE),
        ("of its own", "whatever", 0),
    ],
)
def test_a_value_must_fit_the_type(kind: str, value: str, code: int) -> None:
    complaints = check("m", {"p": kind}, f'p="{value}"', 64)
    assert [complaint.errno for complaint in complaints] == ([code] if code else [])


def test_only_a_boolean_needs_no_value() -> None:
    assert check("m", {"p": "bool"}, "p", 64) == []
    assert [complaint.errno for complaint in check("m", {"p": "int"}, "p", 64)] == [errno.EINVAL]


def test_a_long_has_the_machines_width() -> None:
    assert check("m", {"p": "long"}, "p=4294967296", 64) == []
    assert check("m", {"p": "long"}, "p=4294967296", 32)[0].errno == errno.ERANGE


def test_dashes_and_underscores_are_the_same() -> None:
    assert check("m", {"two_words": "int"}, "two-words=1", 64) == []


def test_what_comes_after_two_dashes_is_ignored() -> None:
    (complaint,) = check("m", {"p": "int"}, "p=1 -- p=bad q", 64)
    assert (complaint.errno, complaint.text) == (0, "m: parameters 'p=bad q' after `--' ignored")


def test_all_values_are_looked_at_before_the_load_is_refused() -> None:
    texts = [
        each.text for each in check("m", {"p": "int", "q": "charp"}, f"p=x q={'y' * 2000}", 64)
    ]
    assert texts == [
        "m: `x' invalid for parameter `p'",
        f"m: `{'y' * 2000}' too large for parameter `q'",
    ]


def test_the_kernels_own_parameters_are_known_to_all_modules() -> None:
    assert check("m", {}, "async_probe dyndbg=+p", 64) == []
