# SPDX-License-Identifier: Apache-2.0
"""Which module comes first, and what a cycle is called."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodd.database.cycles import MAX_CYCLES_NAMED
from kmodd.database.order import (
    direct_dependencies,
    priority_order,
    resolve,
    symbol_owners,
    wanted_symbols,
)
from kmodd.errors import Reason, TreeError


def named(size: int) -> list[str]:
    return [f"m{place}" for place in range(size)]


def test_listed_modules_come_first_and_compression_does_not_count() -> None:
    paths = {"a": "kernel/a.ko", "b": "kernel/b.ko.zst", "c": "kernel/c.ko.xz"}
    lines = ["kernel/c.ko", "kernel/none.ko", "kernel/b.ko", "kernel/c.ko"]
    assert priority_order(paths, lines) == ("c", "b", "a")


def test_the_last_module_to_export_a_symbol_owns_it() -> None:
    assert symbol_owners([[("f", 1), ("g", 1)], [], [("f", 2)]]) == {"f": 2, "g": 0}


def test_dependencies_are_in_the_order_of_first_mention() -> None:
    owners = {"a": 0, "b": 1, "c": 2}
    imports = [("c", "printk", "b", "c"), ("b",), ("a",)]
    wanted = wanted_symbols(named(3), imports, owners.keys())
    assert direct_dependencies(wanted, owners) == [[2, 1], [1], [0]]


def test_a_dot_before_a_symbol_does_not_count() -> None:
    owners = {"a": 0, "b": 1, ".c": 0}
    imports = [(), (".a",), (".b", "a", "..c", ".c")]
    wanted = wanted_symbols(named(3), imports, owners.keys())
    assert direct_dependencies(wanted, owners) == [[], [0], [1, 0]]


def test_what_modules_want_is_the_same_whatever_was_wanted_before() -> None:
    imports = [("a", "b", ".x"), ("b", "y"), ()]
    before = wanted_symbols(named(3), imports, {"a", "b"})
    for known in ({"a", "b"}, {"a", "b", "y"}, {"a"}, {"x", "y"}, set[str]()):
        changed = [imports[0], ("y", "a"), imports[2], ("b",)]
        again = wanted_symbols(named(4), changed, known, before)
        assert again == wanted_symbols(named(4), changed, known)


def test_users_come_before_what_they_need_and_the_last_root_first() -> None:
    needs = resolve(named(5), [[2], [2, 3], [4], [4], []])
    assert needs.users_first("m0") == ["m2", "m4"]
    assert needs.users_first("m1") == ["m3", "m2", "m4"]
    assert needs.users_first("m4") == []
    # m1, the last module that nobody uses, was numbered before m0; leaves come first here.
    assert needs.order == ("m4", "m2", "m0", "m3", "m1")


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_a_closure_holds_all_that_can_be_reached(size: int, chance: random.Random) -> None:
    graph = [chance.sample(range(place), chance.randint(0, min(place, 4))) for place in range(size)]
    needs = resolve(named(size), graph)
    reached: list[set[int]] = []
    for edges in graph:
        reached.append(set(edges).union(*(reached[each] for each in edges)))
    for place, expected in enumerate(reached):
        found = needs.users_first(f"m{place}")
        assert sorted(found) == sorted(f"m{each}" for each in expected)
        places = [needs.order.index(name) for name in found]
        assert places == sorted(places, reverse=True)
    for place, edges in enumerate(graph):
        for needed in edges:
            assert needs.order.index(f"m{needed}") < needs.order.index(f"m{place}")


def test_a_graph_in_which_all_need_all_before_them_is_quick() -> None:
    size = 1500
    needs = resolve(named(size), [list(range(place)) for place in range(size)])
    assert len(needs.users_first(f"m{size - 1}")) == size - 1


def cycle_lines(graph: list[list[int]]) -> tuple[str, ...]:
    with pytest.raises(TreeError) as caught:
        resolve(named(len(graph)), graph)
    assert caught.value.reason is Reason.DEPENDENCY_CYCLE
    return caught.value.log


def test_a_cycle_is_named_from_its_first_module_and_back_to_it() -> None:
    assert cycle_lines([[1], [2], [0, 3], [], [0]]) == (
        "ERROR: Cycle detected: m0 -> m1 -> m2 -> m0",
        "ERROR: Found 3 modules in dependency cycles!",
    )


def test_a_module_that_needs_itself_is_a_cycle() -> None:
    assert cycle_lines([[1], [1]]) == (
        "ERROR: Cycle detected: m1 -> m1",
        "ERROR: Found 1 modules in dependency cycles!",
    )


def test_every_module_in_a_cycle_is_named_and_those_around_it_are_not() -> None:
    lines = cycle_lines([[1], [0, 2], [3], [1, 4], [], [0], [7], [6]])
    assert lines == (
        "ERROR: Cycle detected: m0 -> m1 -> m0",
        "ERROR: Cycle detected: m2 -> m3 -> m1 -> m2",
        "ERROR: Cycle detected: m6 -> m7 -> m6",
        "ERROR: Found 6 modules in dependency cycles!",
    )


def test_a_tree_that_is_all_cycles_names_only_some() -> None:
    size = 400
    lines = cycle_lines([[place ^ 1] for place in range(size)])
    assert len(lines) == MAX_CYCLES_NAMED + 1
    assert lines[-1] == f"ERROR: Found {size} modules in dependency cycles!"


def test_one_cycle_through_thousands_of_modules_needs_no_deep_stack() -> None:
    size = 5000
    lines = cycle_lines([[(place + 1) % size] for place in range(size)])
    assert lines[-1] == f"ERROR: Found {size} modules in dependency cycles!"
