# SPDX-License-Identifier: Apache-2.0
"""Lists of memory in pieces, and walks over them (lib/scatterlist.c, crypto/scatterwalk.c)."""

import errno

import pytest

from tests.support.kernel_calls import Crash, run
from tests.support.machine import ROOM, Machine, new_machine

LIST, CHAINED, MITER, BUFFER = ROOM, ROOM + 512, ROOM + 1024, ROOM + 2048
ENTRY, OFFSET, LENGTH = 32, 8, 12
ADDRESS, PIECE, CONSUMED = MITER + 8, MITER + 16, MITER + 24
CHAIN, END = 1, 2
PAGE = 4096
TEXT = b"The quick brown fox jumps over the lazy dog."


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def put_list(machine: Machine, *pieces: bytes) -> list[int]:
    """Make a list of pieces, each in memory of its own; return where those are."""
    run(machine, "sg_init_table", LIST, len(pieces))
    places = list[int]()
    for number, piece in enumerate(pieces):
        place = run(machine, "__get_free_pages", 0, 2) + 100 * number
        machine.memory.write(place, piece)
        put_entry(machine, LIST + ENTRY * number, place, len(piece))
        places.append(place)
    return places


def put_entry(machine: Machine, entry: int, place: int, size: int) -> None:
    is_last = machine.memory.number(entry) & END
    run(machine, "sg_init_one", entry, place, size)
    machine.memory.put(entry, machine.memory.number(entry) & ~END | is_last)


def chain(machine: Machine) -> None:
    """Have the second entry of the list lead to two others."""
    run(machine, "sg_init_table", CHAINED, 2)
    machine.memory.put(LIST + ENTRY, CHAINED | CHAIN)


def walk(machine: Machine, taken: int | None = None) -> list[tuple[int, int]]:
    """Return all pieces that an iterator gives, of each of which so much is consumed."""
    pieces = list[tuple[int, int]]()
    while run(machine, "sg_miter_next", MITER):
        size = machine.memory.number(PIECE)
        assert machine.memory.number(CONSUMED) == size
        pieces.append((machine.memory.number(ADDRESS), size))
        if taken is not None:
            machine.memory.put(CONSUMED, min(taken, size))
    return pieces


def test_a_table_is_empty_and_has_an_end(machine: Machine) -> None:
    machine.memory.write(LIST, b"\xff" * 128)
    run(machine, "sg_init_table", LIST, 3)
    assert machine.memory.read(LIST, 64) == bytes(64)
    assert (machine.memory.number(LIST + 64), machine.memory.number(LIST + 96)) == (END, 2**64 - 1)
    assert run(machine, "sg_nents", LIST) == 3


def test_one_piece_is_told_by_its_page_and_where_in_it_it_is(machine: Machine) -> None:
    page = run(machine, "alloc_pages", 0, 0)
    put_list(machine, b"")
    address = run(machine, "vmap", put_pointer(machine, page), 1, 0, 0)
    run(machine, "sg_init_one", LIST, address + 100, 5)
    assert machine.memory.number(LIST) == page | END
    assert machine.memory.number(LIST + OFFSET, 4) == 100
    assert machine.memory.number(LIST + LENGTH, 4) == 5
    assert run(machine, "sg_nents", LIST) == 1


def put_pointer(machine: Machine, value: int) -> int:
    machine.memory.put(BUFFER, value)
    return BUFFER


def test_a_list_goes_on_where_its_chain_leads(machine: Machine) -> None:
    run(machine, "sg_init_table", LIST, 3)
    assert run(machine, "sg_next", LIST) == LIST + ENTRY
    assert run(machine, "sg_next", LIST + 2 * ENTRY) == 0
    chain(machine)
    assert run(machine, "sg_next", LIST) == CHAINED
    assert run(machine, "sg_nents", LIST) == 3
    assert run(machine, "sg_nents", 0) == 0


@pytest.mark.parametrize(
    ("size", "count"), [(0, 0), (1, 1), (10, 1), (11, 2), (30, 2), (31, -errno.EINVAL)]
)
def test_so_many_entries_are_needed_for_so_many_bytes(
    machine: Machine, size: int, count: int
) -> None:
    put_list(machine, bytes(10), bytes(20))
    assert run(machine, "sg_nents_for_len", LIST, size) == count


def test_a_list_that_leads_back_to_itself_is_an_oops(machine: Machine) -> None:
    run(machine, "sg_init_table", LIST, 2)
    machine.memory.put(LIST + ENTRY, LIST | CHAIN)
    with pytest.raises(Crash, match="sg_nents cannot make sense of its arguments"):
        run(machine, "sg_nents", LIST)


def test_a_walk_gives_each_piece_by_its_pages(machine: Machine) -> None:
    first, second, _, fourth = put_list(machine, bytes(10), bytes(2 * PAGE), b"", bytes(3))
    run(machine, "sg_miter_start", MITER, LIST, 4, 0)
    assert walk(machine) == [
        *((first, 10), (second, PAGE - 100)),
        *((second - 100 + PAGE, PAGE), (second - 100 + 2 * PAGE, 100), (fourth, 3)),
    ]
    assert run(machine, "sg_miter_next", MITER) == 0


def test_a_walk_ends_after_as_many_entries_as_it_was_told(machine: Machine) -> None:
    first, *_ = put_list(machine, bytes(10), bytes(20))
    run(machine, "sg_miter_start", MITER, LIST, 1, 0)
    assert walk(machine) == [(first, 10)]


def test_an_entry_may_begin_pages_behind_its_own(machine: Machine) -> None:
    (place,) = put_list(machine, bytes(10))
    machine.memory.put(LIST + OFFSET, 2 * PAGE - 4, 4)
    run(machine, "sg_miter_start", MITER, LIST, 1, 0)
    assert walk(machine) == [(place + 2 * PAGE - 4, 4), (place + 2 * PAGE, 6)]


def test_what_was_not_consumed_is_given_again(machine: Machine) -> None:
    first, second = put_list(machine, bytes(10), bytes(4))
    run(machine, "sg_miter_start", MITER, LIST, 2, 0)
    assert walk(machine, taken=4) == [
        *((first, 10), (first + 4, 6), (first + 8, 2), (second, 4)),
    ]


def test_a_walk_that_has_stopped_has_nothing_in_hand(machine: Machine) -> None:
    first, _ = put_list(machine, bytes(10), bytes(4))
    run(machine, "sg_miter_start", MITER, LIST, 2, 0)
    run(machine, "sg_miter_next", MITER)
    machine.memory.put(CONSUMED, 1)
    run(machine, "sg_miter_stop", MITER)
    assert machine.memory.read(MITER, 32) == bytes(32)
    run(machine, "sg_miter_stop", MITER)
    assert walk(machine)[0] == (first + 1, 9)


@pytest.mark.parametrize(("start", "size"), [(0, 44), (0, 3), (5, 10), (8, 20), (43, 1), (50, 4)])
def test_bytes_are_copied_from_and_to_where_they_are(
    machine: Machine, start: int, size: int
) -> None:
    put_list(machine, TEXT[:10], TEXT[10:30], TEXT[30:])
    run(machine, "scatterwalk_map_and_copy", BUFFER, LIST, start, size, 0)
    expected = TEXT[start : start + size]
    assert machine.memory.read(BUFFER, size + 1) == expected + bytes(size + 1 - len(expected))
    machine.memory.write(BUFFER, b"#" * size)
    run(machine, "scatterwalk_map_and_copy", BUFFER, LIST, start, size, 1)
    assert run(machine, "sg_copy_to_buffer", LIST, 3, BUFFER + 100, 100) == len(TEXT)
    changed = TEXT[:start] + b"#" * len(expected) + TEXT[start + size :]
    assert machine.memory.read(BUFFER + 100, len(TEXT)) == changed


def test_a_copy_takes_what_the_buffer_and_the_entries_have_room_for(machine: Machine) -> None:
    put_list(machine, bytes(10), bytes(20))
    machine.memory.write(BUFFER, TEXT)
    assert run(machine, "sg_copy_from_buffer", LIST, 1, BUFFER, len(TEXT)) == 10
    assert run(machine, "sg_copy_from_buffer", LIST, 2, BUFFER, 15) == 15
    assert run(machine, "sg_copy_to_buffer", LIST, 2, BUFFER, 30) == 30
    assert machine.memory.read(BUFFER, 30) == TEXT[:15] + bytes(15)
