# SPDX-License-Identifier: Apache-2.0
"""SuperFastHash, and the order that depmod's tables give."""

import random

from hypothesis import given
from hypothesis import strategies as st

from kmodd.database.hashing import MODULE_BUCKETS, in_chain_order, superfast_hashes


def plain_hash(key: bytes) -> int:
    """The hash of one key, step by step as Paul Hsieh published it, for 8-bit signed characters."""
    word = 0xFFFFFFFF
    value = len(key)
    rest = len(key) % 4
    for at in range(0, len(key) - rest, 4):
        low, high = (int.from_bytes(key[place : place + 2], "little") for place in (at, at + 2))
        value = (value + low) & word
        value = ((value << 16) ^ (high << 11) ^ value) & word
        value = (value + (value >> 11)) & word
    tail = key[len(key) - rest :]
    last = int.from_bytes(tail[-1:], "little", signed=True)
    if rest == 1:
        value = (value + last) & word
        value = (value ^ value << 10) & word
        value = (value + (value >> 1)) & word
    elif rest == 2:
        value = (value + int.from_bytes(tail, "little")) & word
        value = (value ^ value << 11) & word
        value = (value + (value >> 17)) & word
    elif rest == 3:
        value = (value + int.from_bytes(tail[:2], "little")) & word
        value = (value ^ value << 16) & word
        value = (value ^ last << 18) & word
        value = (value + (value >> 11)) & word
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value = (value ^ value << left) & word
        value = (value + (value >> right)) & word
    return value


@given(st.integers(0, 40), st.data())
def test_all_keys_of_a_length_hash_as_each_of_them_does(length: int, data: st.DataObject) -> None:
    key = st.binary(min_size=length, max_size=length)
    keys = data.draw(st.lists(key, min_size=1, max_size=8))
    assert list(superfast_hashes(keys, length)) == [plain_hash(each) for each in keys]


def test_keys_come_chain_by_chain_and_sorted_within_one() -> None:
    chance = random.Random(3)
    letters = b"abcdefghijklmnopqrstuvwxyz_0123456789"
    names = [bytes(chance.choices(letters, k=chance.randint(1, 24))) for _ in range(3000)]
    keys = list(dict.fromkeys(names))
    expected = sorted(keys, key=lambda key: (plain_hash(key) & (MODULE_BUCKETS - 1), key))
    ordered = in_chain_order(keys, MODULE_BUCKETS)
    assert [key for _, key in ordered] == expected
    assert [chain for chain, _ in ordered] == [plain_hash(key) & 511 for key in expected]


def test_no_keys_have_no_order() -> None:
    assert in_chain_order([], MODULE_BUCKETS) == []
