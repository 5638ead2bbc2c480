# SPDX-License-Identifier: Apache-2.0
"""Lists, trees and numbers of things (lib: list_debug.c, rbtree.c, idr.c, xarray.c)."""

import errno
import struct
from itertools import pairwise

import pytest

from tests.support.kernel_calls import Crash, error_pointer, put_code, run
from tests.support.machine import ROOM, Machine, new_machine

HEAD, NODES, NUMBER, VISITS = (ROOM + at for at in (0, 256, 1024, 1280))
INT_MAX, HUGE = (1 << 31) - 1, (1 << 64) - 1
RIGHT, LEFT = 8, 16

COMPARE_KEYS = "8b46102b4210c3"
"""x86 code: mov 16(%rsi), %eax; sub 16(%rdx), %eax; ret"""


def node(number: int) -> int:
    return NODES + 32 * number


def put_ring(machine: Machine, keys: tuple[int, ...]) -> None:
    """Store a ``list_head`` with elements whose keys are behind their links."""
    ring = [HEAD, *(node(at) for at in range(len(keys))), HEAD]
    for at, key in enumerate(keys):
        machine.memory.put(node(at) + 16, key, 4)
    for one, other in pairwise(ring):
        machine.memory.put(one, other)
        machine.memory.put(other + 8, one)


def test_the_links_of_a_sound_list_are_valid() -> None:
    machine = new_machine()
    put_ring(machine, (1,))
    assert run(machine, "__list_add_valid", node(1), HEAD, node(0)) == 1
    assert run(machine, "__list_del_entry_valid", node(0)) == 1


@pytest.mark.parametrize("keys", [(), (1,), (3, 1, 2), (2, -1, 2, 0, 2)])
def test_a_list_is_sorted_and_what_is_equal_keeps_its_order(keys: tuple[int, ...]) -> None:
    machine = new_machine()
    put_ring(machine, keys)
    run(machine, "list_sort", 0, HEAD, put_code(machine, COMPARE_KEYS))
    expected = [node(at) for at in sorted(range(len(keys)), key=lambda at: keys[at])]
    for offset, order in ((0, expected), (8, expected[::-1])):
        at, found = machine.memory.number(HEAD + offset), list[int]()
        while at != HEAD and len(found) < 10:
            found.append(at)
            at = machine.memory.number(at + offset)
        assert found == order


TREE = {3: (1, 5), 1: (0, 2), 5: (4, 6), 0: (), 2: (), 4: (), 6: ()}
"""Each node of a tree with the one on its left and the one on its right."""


def put_tree(machine: Machine) -> None:
    machine.memory.put(HEAD, node(3))
    for parent, children in TREE.items():
        for side, child in zip((LEFT, RIGHT), children, strict=False):
            machine.memory.put(node(parent) + side, node(child))
            # The lowest bit is the colour.
            machine.memory.put(node(child), node(parent) | 1)


def walk(machine: Machine, first: str, following: str) -> list[int]:
    at, found = run(machine, first, HEAD), list[int]()
    while at and len(found) < 10:
        found.append((at - NODES) // 32)
        at = run(machine, following, at)
    return found


def test_a_tree_is_walked_in_order_and_back_and_the_children_first() -> None:
    machine = new_machine()
    put_tree(machine)
    assert walk(machine, "rb_first", "rb_next") == [0, 1, 2, 3, 4, 5, 6]
    assert walk(machine, "rb_last", "rb_prev") == [6, 5, 4, 3, 2, 1, 0]
    postorder = walk(machine, "rb_first_postorder", "rb_next_postorder")
    assert postorder == [0, 2, 1, 4, 6, 5, 3]


@pytest.mark.parametrize("gone", range(7))
def test_what_is_erased_from_a_tree_is_not_met_again(gone: int) -> None:
    machine = new_machine()
    put_tree(machine)
    run(machine, "rb_erase", node(gone), HEAD)
    rest = [each for each in range(7) if each != gone]
    assert walk(machine, "rb_first", "rb_next") == rest
    assert walk(machine, "rb_last", "rb_prev") == rest[::-1]
    for each in rest:
        run(machine, "rb_erase", node(each), HEAD)
    assert machine.memory.number(HEAD) == 0


def test_a_node_that_was_linked_is_in_the_tree() -> None:
    machine = new_machine()
    put_tree(machine)
    machine.memory.put(node(7), node(6))
    machine.memory.put(node(6) + RIGHT, node(7))
    for insert in ("rb_insert_color", "__rb_insert_augmented"):
        run(machine, insert, node(7), HEAD, 0)
    run(machine, "__rb_erase_color", node(7), HEAD, 0)
    assert walk(machine, "rb_first", "rb_next") == list(range(8))


@pytest.mark.parametrize("name", ["rb_first", "rb_last", "rb_first_postorder"])
def test_an_empty_tree_has_no_node(name: str) -> None:
    assert run(new_machine(), name, HEAD) == 0


def test_a_node_in_no_tree_has_no_neighbour() -> None:
    machine = new_machine()
    machine.memory.put(node(0), node(0))
    assert run(machine, "rb_next", node(0)) == run(machine, "rb_prev", node(0)) == 0
    assert run(machine, "rb_next_postorder", 0) == 0


@pytest.mark.parametrize("name", ["rb_first", "rb_last", "rb_first_postorder"])
def test_a_tree_that_is_a_circle_is_an_oops(name: str) -> None:
    machine = new_machine()
    machine.memory.write(NODES, struct.pack("<3Q", 0, NODES, NODES))
    machine.memory.put(HEAD, NODES)
    with pytest.raises(Crash, match="a tree without an end"):
        run(machine, name, HEAD)


@pytest.mark.parametrize(
    ("start", "end", "numbers"),
    [
        (0, 0, [0, 1, 2]),
        (5, 0, [5, 6, 7]),
        (5, 7, [5, 6, -errno.ENOSPC]),
        (5, 5, [-errno.ENOSPC] * 3),
        (INT_MAX, 0, [INT_MAX, -errno.ENOSPC, -errno.ENOSPC]),
        (-1, 0, [-errno.EINVAL] * 3),
    ],
)
def test_an_idr_gives_the_lowest_number_in_its_bounds(
    start: int, end: int, numbers: list[int]
) -> None:
    machine = new_machine()
    given = [run(machine, "idr_alloc", HEAD, each, start, end, 0) for each in (7, 8, 9)]
    assert given == numbers
    found = [run(machine, "idr_find", HEAD, each) for each in given if each >= 0]
    assert found == [7, 8, 9][: len(found)]


def test_a_number_that_was_taken_back_is_given_again() -> None:
    machine = new_machine()
    for each in (7, 8, 9):
        run(machine, "idr_alloc", HEAD, each, 0, 0, 0)
    assert run(machine, "idr_remove", HEAD, 1) == 8
    assert run(machine, "idr_remove", HEAD, 1) == 0
    assert run(machine, "idr_find", HEAD, 1) == 0
    assert run(machine, "idr_alloc", HEAD, 5, 0, 0, 0) == 1


def test_a_cyclic_number_is_behind_the_last_one_until_the_end() -> None:
    machine = new_machine()
    given = list[int]()
    for each in (7, 8, 9, 10, 11):
        number = run(machine, "idr_alloc_cyclic", HEAD, each, 1, 4, 0)
        given.append(number)
        if number in (1, 3):
            run(machine, "idr_remove", HEAD, number)
    assert given == [1, 2, 3, 1, 3]
    assert run(machine, "idr_alloc_cyclic", HEAD, 1, -1, 0, 0) in range(1, 5)
    assert run(machine, "idr_alloc_cyclic", HEAD + 64, 1, -1, 0, 0) == 0


def test_an_idr_gives_a_number_of_32_bits_by_reference() -> None:
    machine = new_machine()
    results = list[tuple[int, int]]()
    for _ in range(3):
        machine.memory.put(NUMBER, 0xFFFFFFFE, 4)
        code = run(machine, "idr_alloc_u32", HEAD, 7, NUMBER, 0xFFFFFFFF, 0)
        results.append((code, machine.memory.number(NUMBER, 4)))
    assert results == [(0, 0xFFFFFFFE), (0, 0xFFFFFFFF), (-errno.ENOSPC, 0xFFFFFFFE)]
    assert run(machine, "idr_find", HEAD, 0xFFFFFFFF) == 7


def test_what_has_a_number_is_replaced() -> None:
    machine = new_machine()
    run(machine, "idr_alloc", HEAD, 7, 3, 0, 0)
    assert run(machine, "idr_replace", HEAD, 8, 3) == 7
    assert run(machine, "idr_replace", HEAD, 8, 4) == error_pointer(errno.ENOENT)
    assert run(machine, "idr_find", HEAD, 3) == 8


def test_the_next_number_is_the_same_or_a_higher_one() -> None:
    machine = new_machine()
    for number, pointer in ((3, 30), (9, 90)):
        run(machine, "idr_alloc", HEAD, pointer, number, 0, 0)
    machine.memory.put(NUMBER, 3, 4)
    assert run(machine, "idr_get_next", HEAD, NUMBER) == 30
    machine.memory.put(NUMBER, 4, 4)
    assert run(machine, "idr_get_next", HEAD, NUMBER) == 90
    assert machine.memory.number(NUMBER, 4) == 9
    machine.memory.put(NUMBER, 10, 4)
    assert run(machine, "idr_get_next", HEAD, NUMBER) == 0
    assert machine.memory.number(NUMBER, 4) == 10


def test_each_number_is_visited_until_the_visitor_has_enough() -> None:
    machine = new_machine()
    # add %edi, (%rdx); lea -9(%rdi), %eax; not %eax; shr $31, %eax; ret: enough from 9 on
    visitor = put_code(machine, "013a8d47f7f7d0c1e81fc3")
    for number in (2, 3, 9, 20):
        run(machine, "idr_alloc", HEAD, 7, number, 0, 0)
    assert run(machine, "idr_for_each", HEAD, visitor, VISITS) == 1
    assert machine.memory.number(VISITS, 4) == 2 + 3 + 9
    run(machine, "idr_remove", HEAD, 9)
    run(machine, "idr_remove", HEAD, 20)
    assert run(machine, "idr_for_each", HEAD, visitor, VISITS) == 0


@pytest.mark.parametrize("name", ["idr_destroy", "ida_destroy", "xa_destroy"])
def test_what_is_destroyed_is_empty(name: str) -> None:
    machine = new_machine()
    run(machine, "idr_alloc", HEAD, 7, 0, 0, 0)
    run(machine, name, HEAD)
    assert run(machine, "idr_find", HEAD, 0) == 0
    assert run(machine, "idr_alloc", HEAD, 8, 0, 0, 0) == 0


@pytest.mark.parametrize(
    ("least", "most", "numbers"),
    [
        (0, INT_MAX, [0, 1, 2]),
        (4, 5, [4, 5, -errno.ENOSPC]),
        (0, 0xFFFFFFFF, [0, 1, 2]),
        (1 << 31, 0xFFFFFFFF, [-errno.ENOSPC] * 3),
        (5, 4, [-errno.ENOSPC] * 3),
    ],
)
def test_an_ida_gives_the_lowest_number_in_its_bounds(
    least: int, most: int, numbers: list[int]
) -> None:
    machine = new_machine()
    assert [run(machine, "ida_alloc_range", HEAD, least, most, 0) for _ in range(3)] == numbers


def test_a_number_of_an_ida_is_freed_once() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    for _ in range(2):
        run(machine, "ida_alloc_range", HEAD, 0, INT_MAX, 0)
    run(machine, "ida_free", HEAD, 0)
    assert (run(machine, "ida_alloc_range", HEAD, 0, INT_MAX, 0), lines) == (0, [])
    run(machine, "ida_free", HEAD, 7)
    assert lines == ["ida_free called for id=7 which is not allocated."]


@pytest.mark.parametrize("name", ["xa_store", "__xa_store"])
@pytest.mark.parametrize("erase", ["xa_erase", "__xa_erase"])
def test_an_array_has_what_was_stored_last(name: str, erase: str) -> None:
    machine = new_machine()
    assert run(machine, name, HEAD, HUGE, 40, 0) == 0
    assert run(machine, name, HEAD, HUGE, 41, 0) == 40
    assert run(machine, "xa_load", HEAD, HUGE) == 41
    assert run(machine, "xa_load", HEAD, 0) == 0
    assert run(machine, erase, HEAD, HUGE) == 41
    assert run(machine, erase, HEAD, HUGE) == 0
    run(machine, name, HEAD, 1, 40, 0)
    assert run(machine, name, HEAD, 1, 0, 0) == 40
    assert run(machine, "xa_load", HEAD, 1) == 0


def test_an_index_that_is_taken_is_busy() -> None:
    machine = new_machine()
    assert run(machine, "__xa_insert", HEAD, 5, 40, 1) == 0
    assert run(machine, "__xa_insert", HEAD, 5, 41, 1) == -errno.EBUSY
    assert run(machine, "xa_load", HEAD, 5) == 40


def test_a_radix_tree_has_one_item_at_an_index() -> None:
    machine = new_machine()
    run(machine, "idr_preload", 0)
    assert run(machine, "radix_tree_maybe_preload", 0) == 0
    assert run(machine, "radix_tree_insert", HEAD, 5, 40) == 0
    assert run(machine, "radix_tree_insert", HEAD, 5, 41) == -errno.EEXIST
    assert run(machine, "radix_tree_lookup", HEAD, 5) == 40
    assert run(machine, "radix_tree_delete", HEAD, 5) == 40
    assert run(machine, "radix_tree_delete", HEAD, 5) == 0
    assert run(machine, "radix_tree_lookup", HEAD, 5) == 0


def limit(least: int, most: int) -> int:
    """Return a ``struct xa_limit`` as a register has it."""
    return least << 32 | most


def test_an_array_finds_a_free_index() -> None:
    machine = new_machine()
    results = list[tuple[int, int]]()
    for entry in (40, 41, 42):
        code = run(machine, "__xa_alloc", HEAD, NUMBER, entry, limit(3, 4), 0)
        results.append((code, machine.memory.number(NUMBER, 4)))
    assert results == [(0, 3), (0, 4), (-errno.EBUSY, 4)]
    assert run(machine, "xa_load", HEAD, 4) == 41


def test_an_array_finds_free_indices_in_a_circle() -> None:
    machine = new_machine()
    results = list[tuple[int, int, int]]()
    for entry in (40, 41, 42, 43):
        code = run(machine, "__xa_alloc_cyclic", HEAD, NUMBER, entry, limit(3, 5), NUMBER + 8, 0)
        found, following = (machine.memory.number(NUMBER + at, 4) for at in (0, 8))
        results.append((code, found, following))
        run(machine, "xa_erase", HEAD, 3)
    assert results == [(0, 3, 4), (0, 4, 5), (0, 5, 6), (1, 3, 4)]
    run(machine, "xa_store", HEAD, 3, 44, 0)
    args = (HEAD, NUMBER, 45, limit(3, 5), NUMBER + 8, 0)
    assert run(machine, "__xa_alloc_cyclic", *args) == -errno.EBUSY


def test_the_entries_of_an_array_are_found_one_after_the_other() -> None:
    machine = new_machine()
    for index in (2, 5, 9):
        run(machine, "xa_store", HEAD, index, 10 * index, 0)
    machine.memory.put(NUMBER, 2)
    assert run(machine, "xa_find", HEAD, NUMBER, HUGE, 8) == 20
    assert run(machine, "xa_find_after", HEAD, NUMBER, HUGE, 8) == 50
    assert machine.memory.number(NUMBER) == 5
    assert run(machine, "xa_find_after", HEAD, NUMBER, 8, 8) == 0
    machine.memory.put(NUMBER, 6)
    assert run(machine, "xa_find", HEAD, NUMBER, HUGE, 8) == 90
    assert run(machine, "xa_find_after", HEAD, NUMBER, HUGE, 8) == 0


def test_an_entry_has_its_marks_until_it_is_erased() -> None:
    machine = new_machine()
    for index in (1, 2, 3):
        run(machine, "xa_store", HEAD, index, 10 * index, 0)
    for index, mark in ((2, 0), (3, 0), (3, 2), (7, 0)):
        run(machine, "xa_set_mark", HEAD, index, mark)
    marks = [
        [run(machine, "xa_get_mark", HEAD, at, mark) for at in (1, 2, 3, 7)] for mark in (0, 2)
    ]
    assert marks == [[0, 1, 1, 0], [0, 0, 1, 0]]
    assert run(machine, "xa_find", HEAD, NUMBER, HUGE, 0) == 20
    run(machine, "xa_clear_mark", HEAD, 2, 0)
    run(machine, "xa_store", HEAD, 3, 31, 0)
    machine.memory.put(NUMBER, 0)
    assert run(machine, "xa_find", HEAD, NUMBER, HUGE, 0) == 31
    run(machine, "xa_erase", HEAD, 3)
    run(machine, "xa_store", HEAD, 3, 32, 0)
    assert run(machine, "xa_get_mark", HEAD, 3, 0) == 0


def test_what_was_in_memory_that_is_freed_is_forgotten() -> None:
    machine = new_machine()
    place = run(machine, "__kmalloc", 64)
    run(machine, "idr_alloc", place, 7, 0, 0, 0)
    run(machine, "kfree", place)
    assert run(machine, "__kmalloc", 64) == place
    assert run(machine, "idr_find", place, 0) == 0
