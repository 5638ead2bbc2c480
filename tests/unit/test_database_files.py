# SPDX-License-Identifier: Apache-2.0
"""What goes into which file of a database, module for module."""

import pytest

from kmodd.database import name_index, trie
from kmodd.database.files import (
    alias_files,
    builtin_files,
    dependency_files,
    device_file,
    softdep_files,
)
from kmodd.database.order import resolve
from kmodd.database.symbol_index import symbol_files
from kmodd.errors import Reason, TreeError
from tests.support.databases import FILE_NAMES


def entries(index: bytes) -> list[tuple[str, int, str]]:
    return [
        (key.decode(), priority, value.decode()) for key, priority, value in trie.read_index(index)
    ]


def test_dependencies_are_paths_users_first_and_the_index_has_the_same_lines() -> None:
    names = ("leaf", "user", "top")
    paths = ("kernel/leaf.ko", "extra/user.ko.xz", "/opt/top.ko")
    made = dependency_files(names, paths, resolve(names, [[], [0], [1, 0]])).files
    lines = [
        "kernel/leaf.ko:",
        "extra/user.ko.xz: kernel/leaf.ko",
        "/opt/top.ko: extra/user.ko.xz kernel/leaf.ko",
    ]
    assert made["modules.dep"].decode() == "".join(f"{line}\n" for line in lines)
    assert entries(made["modules.dep.bin"]) == [
        ("leaf", 0, lines[0]),
        ("top", 2, lines[2]),
        ("user", 1, lines[1]),
    ]


def test_dependencies_that_would_fill_the_memory_are_refused_before_they_do() -> None:
    names = [f"m{place}" for place in range(1000)]
    needs = resolve(names, [range(place) for place in range(1000)])
    paths = [f"{'long/' * 200}{name}.ko" for name in names]
    with pytest.raises(TreeError) as caught:
        dependency_files(names, paths, needs)
    assert caught.value.reason is Reason.LIMIT_REACHED


def test_lines_of_great_length_make_the_same_files_and_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"m{place}" for place in range(300)]
    needs = resolve(names, [range(max(place - 3, 0), place) for place in range(300)])
    paths = [f"kernel/{name}.ko" for name in names]
    usual = dependency_files(names, paths, needs)
    assert usual.index.keys
    monkeypatch.setattr(name_index, "LARGE", 1000)
    for previous in (None, usual):
        large = dependency_files(names, paths, needs, previous)
        assert (large.files, large.problems) == (usual.files, usual.problems)
        assert large.index == name_index.NameIndex(large.index.data)
    assert dependency_files(names, paths, needs, large).files == usual.files


def test_a_name_that_no_index_can_hold_is_a_problem_and_stays_in_the_text() -> None:
    name = "caf\u00e9"
    made = dependency_files((name,), (f"{name}.ko",), resolve((name,), [[]]))
    assert made.files["modules.dep"].decode() == f"{name}.ko:\n"
    assert entries(made.files["modules.dep.bin"]) == []
    assert len(made.problems["modules.dep.bin"]) == 1


def test_aliases_are_raw_in_the_text_and_normal_in_the_index() -> None:
    made = alias_files(("m", "n"), (("usb-storage-[a-b]-x",), ("plain",)))
    assert made.files["modules.alias"].decode() == (
        "# Aliases extracted from modules themselves.\nalias usb-storage-[a-b]-x m\nalias plain n\n"
    )
    assert entries(made.files["modules.alias.bin"]) == [
        ("plain", 1, "n"),
        ("usb_storage_[a-b]_x", 0, "m"),
    ]
    assert made.problems == {"modules.alias.bin": ()}


def test_an_alias_that_no_index_can_hold_is_a_problem_and_stays_in_the_text() -> None:
    made = alias_files(("m",), (("un[matched", "b]ad", "caf\u00e9", "good"),))
    assert made.files["modules.alias"].decode().count("\n") == 5
    assert entries(made.files["modules.alias.bin"]) == [("good", 0, "m")]
    assert made.problems["modules.alias.bin"] == (
        "WARNING: Unmatched bracket in un[matched",
        "WARNING: Unmatched bracket in b]ad",
        "ERROR: only 7-bit ASCII is supported in an index: b'caf\\xc3\\xa9'",
    )


def test_symbols_are_aliases_of_the_module_that_owns_them() -> None:
    owners = {"f": 1, "caf\u00e9": 0}
    made = symbol_files(("m", "n"), owners)
    assert "alias symbol:f n\n" in made.files["modules.symbols"].decode()
    assert entries(made.files["modules.symbols.bin"]) == [("symbol:f", 1, "n")]
    assert len(made.problems["modules.symbols.bin"]) == 1


def test_the_order_of_symbols_is_the_same_whatever_it_was_before() -> None:
    symbols = [f"symbol_{number}" for number in range(500)]
    before = symbol_files(("m",), dict.fromkeys(symbols[:300], 0))
    after = dict.fromkeys(symbols[100:], 0)
    assert symbol_files(("m",), after, before).files == symbol_files(("m",), after).files
    fewer = dict.fromkeys(symbols[:200], 0)
    assert symbol_files(("m",), fewer, before).files == symbol_files(("m",), fewer).files


def test_symbols_with_the_same_owners_are_taken_over_whatever_priorities_these_have() -> None:
    symbols = [f"symbol_{number}" for number in range(600)]
    before = symbol_files(("m", "n"), {symbol: at % 2 for at, symbol in enumerate(symbols)})
    names = ("new", "n", "other", "m")
    owners = {symbol: 3 - 2 * (at % 2) for at, symbol in enumerate(symbols)}
    again = symbol_files(names, owners, before)
    assert again.files == symbol_files(names, owners).files != before.files
    assert again.files["modules.symbols"] is before.files["modules.symbols"]
    assert again.index.owners is before.index.owners
    third = symbol_files(("n", "m"), dict.fromkeys(symbols, 0), again)
    assert third.files == symbol_files(("n", "m"), dict.fromkeys(symbols, 0)).files


def test_soft_and_weak_dependencies_are_lines_under_a_headline() -> None:
    made = softdep_files((("m", "pre: a"),), ())
    assert made.files["modules.softdep"].decode() == (
        "# Soft dependencies extracted from modules themselves.\nsoftdep m pre: a\n"
    )
    assert made.files["modules.weakdep"].decode() == (
        "# Weak dependencies extracted from modules themselves.\n"
    )


def test_builtin_modules_have_no_value_and_their_aliases_the_module() -> None:
    made = builtin_files(b"kernel/a-b.ko\n?\n", b"a_b.alias=x-y\0c.alias=x-y\0d.alias=[\0", {})
    assert entries(made.files["modules.builtin.bin"]) == [("a_b", 0, "")]
    # All have the same priority, so the one that came last stands first.
    assert entries(made.files["modules.builtin.alias.bin"]) == [
        ("x_y", 0, "c"),
        ("x_y", 0, "a_b"),
    ]
    assert made.problems == {
        "modules.builtin.bin": ("ERROR: Invalid modules.builtin line: ?",),
        "modules.builtin.alias.bin": ("WARNING: Unmatched bracket in [",),
    }


def test_without_the_lists_of_builtin_modules_their_indexes_are_empty_files() -> None:
    made = builtin_files(None, None, {"modules.builtin": "why", "modules.builtin.modinfo": "that"})
    assert made.files == {"modules.builtin.bin": b"", "modules.builtin.alias.bin": b""}
    assert made.problems == {
        "modules.builtin.bin": ("why",),
        "modules.builtin.alias.bin": ("that",),
    }
    assert len(builtin_files(b"", b"", {}).files["modules.builtin.alias.bin"]) == 12


def test_a_device_name_without_numbers_is_a_problem_of_its_module() -> None:
    made = device_file(
        ("fuse", "x"), (("devname:fuse", "char-major-10-229"), ("devname:x", "char-major-10-*"))
    )
    assert made.files["modules.devname"].decode() == (
        "# Device nodes to trigger on-demand module loading.\nfuse fuse c10:229\n"
    )
    assert made.problems["modules.devname"] == (
        "ERROR: Module 'x' has devname (x) but lacks major and minor information. Ignoring.",
    )


def test_without_device_nodes_there_is_no_headline() -> None:
    assert device_file(("m",), (("a",),)).files == {"modules.devname": b""}


def test_the_parts_make_all_files_in_depmods_order() -> None:
    parts = (
        dependency_files((), (), resolve((), [])),
        alias_files((), ()),
        softdep_files((), ()),
        symbol_files((), {}),
        builtin_files(None, None, {}),
        device_file((), ()),
    )
    assert tuple(name for part in parts for name in part.files) == FILE_NAMES
