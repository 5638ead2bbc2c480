# SPDX-License-Identifier: Apache-2.0
"""What is shown of text that a stranger has chosen."""

import pytest

from kmodd.escapes import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("snd-hda_intel größe \\ 'x' 東", "snd-hda_intel größe \\ 'x' 東"),
        ("a\tb", "a\tb"),
        ("\x1b[2J\r\n\0\x7f\x85", r"\x1b[2J\x0d\x0a\x00\x7f\x85"),
        ("\u202eko\u2066\u200b\u2028\ufeff", r"\u202eko\u2066\u200b\u2028\ufeff"),
        ("\udcff\ud800", r"\xff\ud800"),
        ("\xa0\U000e0041", r"\xa0\U000e0041"),
    ],
)
def test_what_is_more_than_seen_is_written_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_what_is_to_be_kept_stays() -> None:
    assert escaped("a\nb\t\x1b", "\n") == "a\nb\\x09\\x1b"
