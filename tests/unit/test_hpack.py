# SPDX-License-Identifier: Apache-2.0
"""Headers as HTTP/2 has them (RFC 7541), beside the package hpack."""

from contextlib import suppress

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodctl.hpack import HEADERS_MAX, HeaderDecoder, literal

TEXTS = st.binary(max_size=40)
BLOCKS = st.lists(
    st.lists(st.tuples(st.sampled_from([b":status", b"age", b"x"]) | TEXTS, TEXTS)), max_size=5
)

ADDED = b"\x40\x01a\x01b"
"""A field that goes into the table."""

NEWEST = b"\xbe"
"""The field that came into the table last."""


@given(BLOCKS, st.booleans())
def test_what_hpack_encodes_is_decoded(
    blocks: list[list[tuple[bytes, bytes]]], huffman: bool
) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    for fields in blocks:
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields


@given(BLOCKS)
def test_what_comes_once_the_table_is_bounded_is_decoded(
    blocks: list[list[tuple[bytes, bytes]]],
) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    fields = [(b"a", b"b"), (b"c", b"d")]
    assert decoder.decode(encoder.encode(fields)) == fields
    encoder.header_table_size = 0
    decoder.limit(0)
    for fields in blocks:
        assert decoder.decode(encoder.encode(fields)) == fields


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=1000))
def test_a_literal_is_what_hpack_decodes(text: str) -> None:
    block = b"\0" + literal("name") + literal(text)
    decoded = hpack.Decoder().decode(block, raw=True)
    assert list(map(tuple, decoded)) == [(b"name", text.encode())]


@pytest.mark.parametrize("text", ["a\nb", "a\0", "ü"])
def test_a_literal_has_no_character_that_a_header_may_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="can be in no header"):
        literal(text)


@pytest.mark.parametrize(
    ("coded", "text"),
    [
        (b"\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", b"www.example.com"),
        (b"\x86\xa8\xeb\x10\x64\x9c\xbf", b"no-cache"),
        (b"\x80", b""),
    ],
)
def test_the_strings_of_the_rfc_are_decoded(coded: bytes, text: bytes) -> None:
    assert HeaderDecoder().decode(b"\0\x01a" + coded) == [(b"a", text)]


def test_a_field_stays_in_the_table() -> None:
    assert HeaderDecoder().decode(ADDED + NEWEST) == [(b"a", b"b")] * 2


def test_the_oldest_fields_leave_a_table_that_is_full() -> None:
    decoder = HeaderDecoder()
    long = b"\x40\x01l" + b"\x7f\xd3\x1e" + b"x" * 4050
    assert decoder.decode(ADDED + long + NEWEST)[2] == (b"l", b"x" * 4050)
    with pytest.raises(ValueError, match="index 63"):
        decoder.decode(b"\xbf")


def test_a_field_larger_than_the_table_empties_it() -> None:
    decoder = HeaderDecoder()
    decoder.decode(ADDED)
    decoder.decode(b"\x40\x01l" + b"\x7f\x81\x3e" + b"x" * 8064)
    with pytest.raises(ValueError, match="index 62"):
        decoder.decode(NEWEST)


def test_a_bounded_table_keeps_nothing() -> None:
    decoder = HeaderDecoder()
    decoder.decode(ADDED)
    decoder.limit(0)
    with pytest.raises(ValueError, match="index 62"):
        decoder.decode(NEWEST)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x80", "index 0"),
        (b"\xbe", "index 62"),
        (b"\x7f\x00\x01b", "index 63"),
        (b"\xff\xff\xff\xff\xff\xff\xff", "does not end"),
        (b"\xff\xff", "ends too soon"),
        (b"\0", "ends too soon"),
        (b"\0\x05a", "ends too soon"),
        (b"\0\x01a", "ends too soon"),
        (b"\0\x01a\x05b", "ends too soon"),
        (b"\x3f\xe2\x1f", "a header table of 4097 bytes"),
        (b"\x88\x20", "resized within a block"),
        (b"\0\x01a\x81\x00", "within a character"),
        (b"\0\x01a\x82\x1f\xff", "within a character"),
        (b"\0\x01a\x84\xff\xff\xff\xff", "end of string"),
        (b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + NEWEST * 20, "more than 65536 bytes"),
        (b"\x88" * (HEADERS_MAX // 42 + 1), "more than 65536 bytes"),
    ],
)
def test_a_block_that_is_wrong_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        HeaderDecoder().decode(block)


def test_the_table_is_not_made_larger_than_it_may_be() -> None:
    decoder = HeaderDecoder()
    decoder.limit(0)
    assert decoder.decode(b"\x20") == []
    with pytest.raises(ValueError, match="a header table of 1 bytes, not 0"):
        decoder.decode(b"\x21")


@given(st.binary())
def test_bytes_at_random_are_decoded_or_refused(block: bytes) -> None:
    with suppress(ValueError):
        HeaderDecoder().decode(block)
