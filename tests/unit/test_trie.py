# SPDX-License-Identifier: Apache-2.0
"""The binary indexes: what is written is found again, as fnmatch(3) and libkmod would find it."""

import contextlib
import ctypes
import random
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodd.database import name_index, trie
from kmodd.database.name_index import NameIndex, write_name_index
from kmodd.database.trie_writer import record, write_index
from kmodd.errors import Reason, TreeError
from tests.support.require import require

PLAIN = "abc"
WILD = "ab*?[]^!-\\"

keys = st.text(PLAIN + WILD, max_size=8)
queries = st.text(PLAIN + "-]", max_size=6)


def index_of(items: Iterable[tuple[str, int, str]]) -> bytes:
    return write_index(
        (key.encode(), record(priority, value.encode())) for key, priority, value in items
    )


def libc_matches(pattern: str, query: str) -> bool:
    """fnmatch(3), but for what stands before the first wildcard, which is no pattern."""
    libc = ctypes.CDLL(None)
    require(hasattr(libc, "fnmatch"), "the oracle is the C library's fnmatch")
    literal = len(pattern) - len(pattern.lstrip(PLAIN + "]^!-\\"))
    if not query.startswith(pattern[:literal]):
        return False
    rest = pattern[literal:].encode(), query[literal:].encode()
    return int(libc.fnmatch(*rest, 0)) == 0


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(keys, st.integers(0, 5))), queries)
def test_a_search_finds_what_fnmatch_matches_by_priority(
    aliases: list[tuple[str, int]], query: str
) -> None:
    # POSIX's classes and collating elements, which no alias has, are not understood.
    aliases = [each for each in aliases if not any(f"[{mark}" in each[0] for mark in ".=:")]
    index = index_of((key, priority, f"m{n}") for n, (key, priority) in enumerate(aliases))
    found = trie.search_wild(index, query)
    matching = {
        f"m{n}": priority for n, (key, priority) in enumerate(aliases) if libc_matches(key, query)
    }
    assert sorted(found) == sorted(matching)
    assert [matching[name] for name in found] == sorted(matching.values())


@settings(deadline=None)
@given(st.lists(st.tuples(keys, st.integers(0, 3), keys), max_size=40))
def test_what_is_written_is_read_again_key_by_key(items: list[tuple[str, int, str]]) -> None:
    expected: dict[str, list[tuple[int, str]]] = {}
    for key, priority, value in items:
        expected.setdefault(key, []).insert(0, (priority, value))
    for values in expected.values():
        values.sort(key=lambda pair: pair[0])
    found: dict[str, list[tuple[int, str]]] = {}
    for raw, priority, text in trie.read_index(index_of(items)):
        found.setdefault(raw.decode(), []).append((priority, text.decode()))
    assert found == expected
    assert list(found) == sorted(expected)


@given(st.lists(st.tuples(keys, st.integers(0, 3), keys), max_size=30), keys)
def test_an_exact_search_takes_wildcards_for_what_they_are(
    items: list[tuple[str, int, str]], key: str
) -> None:
    index = index_of(items)
    values: dict[str, str] = {}
    for raw, _, value in trie.read_index(index):
        values.setdefault(raw.decode(), value.decode())
    assert trie.search_exact(index, key) == values.get(key)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sizes", [(2, 5), (3, 40), (16, 512)])
def test_an_index_of_names_is_the_same_whatever_the_one_before_was(
    seed: int, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_index, "LIMB_MIN", sizes[0])
    monkeypatch.setattr(name_index, "LIMB_MAX", sizes[1])
    chance = random.Random(seed)
    modules = {f"m{n}": random_aliases(chance) for n in range(30)}
    index: NameIndex | None = None
    for _ in range(12):
        names = [name.encode() for name in modules]
        owners: dict[bytes, tuple[bytes, ...]] = {}
        entries = []
        for place, (name, aliases) in enumerate(modules.items()):
            for alias in aliases:
                owners[alias] = (*owners.get(alias, ()), name.encode())
                entries.append((alias, record(place, name.encode())))
        index = write_name_index(owners, names, index)
        assert index.data == write_index(entries)

        kept = [name for name in modules if chance.random() > 0.1]
        if chance.random() < 0.2:
            chance.shuffle(kept)
        modules = {name: modules[name] for name in kept}
        for _ in range(chance.randrange(4)):
            modules[f"m{chance.randrange(60)}"] = random_aliases(chance)


def random_aliases(chance: random.Random) -> list[bytes]:
    """A few aliases that share their beginnings with other modules' ones, some of them whole."""
    letters = ["pci:", "usb:", "v0", "v1", "d*", "sv", "x"]
    picks = ("".join(chance.choices(letters, k=chance.randint(0, 5))) for _ in range(9))
    return [pick.encode() for pick in picks]


def test_values_come_by_priority_and_equal_ones_in_the_order_of_insertion() -> None:
    index = index_of([("net", 2, "low"), ("net", 0, "high"), ("net", 1, "a"), ("net", 1, "b")])
    # Of equal priorities the file has the last one first, and libkmod's reader turns them round.
    assert [value for _, _, value in trie.read_index(index)] == [b"high", b"b", b"a", b"low"]
    assert trie.search_wild(index, "net") == ("high", "a", "b", "low")


def test_priorities_order_the_matches_of_different_keys() -> None:
    index = index_of([("pci:*", 3, "generic"), ("pci:v1", 1, "exact"), ("pc*", 2, "wide")])
    assert trie.search_wild(index, "pci:v1") == ("exact", "wide", "generic")


def test_a_module_with_two_matching_aliases_is_found_twice_as_by_libkmod() -> None:
    index = index_of([("a*", 0, "twice"), ("*b", 0, "twice")])
    assert trie.search_wild(index, "ab") == ("twice", "twice")


def test_a_star_crosses_slashes_and_leading_dots() -> None:
    index = index_of([("of:N*T*", 0, "tree")])
    assert trie.search_wild(index, "of:N.hid/den/TxC") == ("tree",)


def test_a_query_is_no_pattern() -> None:
    index = index_of([("pci:v1", 0, "exact")])
    assert trie.search_wild(index, "pci:*") == ()
    assert trie.search_wild(index, "pci:v[1]") == ()


def test_an_index_without_keys_is_a_header_and_an_empty_root() -> None:
    index = write_index([])
    assert index.hex() == "b007f457000200010000000c"
    assert trie.search_wild(index, "") == ()
    assert trie.search_exact(index, "x") is None


def test_an_empty_file_is_an_index_without_keys() -> None:
    assert trie.search_wild(b"", "x") == ()
    assert trie.search_exact(b"", "x") is None
    assert list(trie.read_index(b"")) == []


def test_a_node_comes_before_its_children() -> None:
    index = index_of([("ab", 0, ""), ("ac", 0, "")])
    # A header of 12 bytes, the root with its table of one child, and that child.
    assert struct.unpack_from(">I", index, 8)[0] == 12 | trie.HAS_CHILDREN
    assert index[12:14] == b"aa"
    assert struct.unpack_from(">I", index, 14)[0] == 18 | trie.HAS_CHILDREN


def test_the_root_has_no_prefix_whatever_its_keys_share() -> None:
    index = index_of([("symbol:a", 0, "m"), ("symbol:b", 0, "m")])
    assert not struct.unpack_from(">I", index, 8)[0] & trie.HAS_PREFIX


def test_keys_that_begin_each_other_need_no_deep_stack() -> None:
    chain = ["a" * length for length in range(1, 5000)]
    index = index_of((key, place, key) for place, key in enumerate(chain))
    assert sum(1 for _ in trie.read_index(index)) == len(chain)
    assert trie.search_wild(index, "a" * 4000) == ("a" * 4000,)
    assert trie.search_exact(index, "a" * 4999) == "a" * 4999


def test_many_stars_take_no_more_time_than_the_key_and_the_query_are_long() -> None:
    index = index_of([("a" + "*a" * 2000 + "b", 0, "hostile")])
    assert trie.search_wild(index, "a" * 4000) == ()


@pytest.mark.parametrize("key", ["caf\u00e9", "nul\0"])
def test_a_key_that_an_index_cannot_hold_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="7-bit ASCII"):
        index_of([(key, 0, "m")])


def test_another_major_version_is_refused() -> None:
    index = bytearray(index_of([("a", 0, "m")]))
    index[5] = 3
    with pytest.raises(TreeError) as caught:
        trie.search_wild(bytes(index), "a")
    assert caught.value.reason is Reason.TREE_UNREADABLE


def test_a_newer_minor_version_is_read() -> None:
    index = bytearray(index_of([("a", 0, "m")]))
    index[7] = 9
    assert trie.search_wild(bytes(index), "a") == ("m",)


def test_an_index_whose_node_is_its_own_child_is_damaged_not_endless() -> None:
    index = bytearray(index_of([("ab", 0, ""), ("ac", 0, "")]))
    struct.pack_into(">I", index, 14, 12 | trie.HAS_CHILDREN)
    loop = bytes(index)
    for search in (
        lambda: trie.search_exact(loop, "a" * 10_000),
        lambda: trie.search_wild(loop, "a" * 10_000),
        lambda: list(trie.read_index(loop)),
    ):
        with pytest.raises(TreeError):
            search()


def test_a_damaged_index_gives_an_answer_or_an_error_and_never_anything_else() -> None:
    chance = random.Random(20260711)
    aliases = [f"pci:v0000{n:04X}d*sv*" for n in range(40)] + ["usb:v*p[0-9]*", "a?c", "abc"]
    whole = index_of((alias, place, f"m{place}") for place, alias in enumerate(aliases))
    for _ in range(2000):
        index = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            index[chance.randrange(len(index))] = chance.choice((0, 0xFF, chance.randrange(256)))
        damaged = bytes(index[: chance.choice((len(index), chance.randrange(len(index))))])
        for query in ("pci:v00000013d1sv2", "abc", "usb:v1p5x"):
            for read in (trie.search_wild, trie.search_exact):
                with contextlib.suppress(TreeError):
                    read(damaged, query)
        with contextlib.suppress(TreeError):
            list(trie.read_index(damaged))


def test_a_node_with_very_many_keys_below_it_holds_them_all_and_its_own() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    keys = sorted(
        f"pci:{one}{other}{tail}" for one in letters for other in letters for tail in "12"
    )
    owners = {key.encode(): (b"m",) for key in ["pci:", *keys]}
    index = write_name_index(owners, [b"m", b"n"])
    assert [key for key, _, _ in trie.read_index(index.data)] == sorted(owners)
    assert index.data == write_index((key, record(0, b"m")) for key in owners)
    assert write_name_index(owners, [b"m", b"n"], lasting=False) == NameIndex(index.data)

    owners[b"pci:"] = (b"n",)
    again = write_name_index(owners, [b"n", b"m"], index)
    assert again.data == write_name_index(owners, [b"n", b"m"]).data
    assert trie.search_exact(again.data, "pci:") == "n"
    assert trie.search_exact(again.data, "pci:zz2") == "m"
