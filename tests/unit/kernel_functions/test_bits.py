# SPDX-License-Identifier: Apache-2.0
"""Bitmaps, sorting and chance (lib/find_bit.c, lib/bitmap.c, lib/sort.c, drivers/char/random.c)."""

import struct
from functools import reduce
from operator import or_

import pytest

from tests.support.kernel_calls import Crash, held, put_code, run
from tests.support.machine import ROOM, new_machine

MAP, OTHER = ROOM, ROOM + 256
SIZE = 130
BITS = (1 << 3) | (1 << 64) | (1 << 129) | (1 << 131)

COMPARE_INTS = "8b072b06c3"
"""x86 code: mov (%rdi), %eax; sub (%rsi), %eax; ret"""


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("_find_first_bit", (SIZE,), 3),
        ("_find_first_bit", (3,), 3),
        ("_find_first_bit", (0,), 0),
        ("_find_first_zero_bit", (SIZE,), 0),
        ("_find_next_bit", (SIZE, 3), 3),
        ("_find_next_bit", (SIZE, 4), 64),
        ("_find_next_bit", (SIZE, 65), 129),
        ("_find_next_bit", (129, 65), 129),
        ("_find_next_bit", (SIZE, 130), SIZE),
        ("_find_next_bit", (SIZE, 1000), SIZE),
        ("_find_next_zero_bit", (SIZE, 3), 4),
        ("_find_next_zero_bit", (SIZE, 129), SIZE),
        ("_find_next_zero_bit", (4, 3), 4),
    ],
)
def test_the_next_bit_is_found_or_the_size_is_returned(
    name: str, arguments: tuple[int, ...], expected: int
) -> None:
    machine = new_machine()
    machine.memory.put(MAP, BITS, 24)
    assert run(machine, name, MAP, *arguments) == expected


@pytest.mark.parametrize(("start", "expected"), [(0, 64), (64, 64), (65, 129), (130, SIZE)])
def test_the_next_bit_that_two_maps_have_is_found(start: int, expected: int) -> None:
    machine = new_machine()
    machine.memory.put(MAP, BITS, 24)
    machine.memory.put(OTHER, BITS & ~(1 << 3) | 1, 24)
    assert run(machine, "_find_next_and_bit", MAP, OTHER, SIZE, start) == expected


def test_the_only_processor_is_the_next_once() -> None:
    machine = new_machine()
    machine.memory.put(MAP, 1)
    machine.memory.put(OTHER, 2)
    found = [run(machine, "cpumask_next", last, MAP) for last in (-1, 0, 1)]
    assert (found, run(machine, "cpumask_next", -1, OTHER)) == ([0, 1, 1], 1)
    both = [run(machine, "cpumask_next_and", -1, MAP, each) for each in (MAP, OTHER)]
    assert both == [0, 1]
    assert [run(machine, "cpumask_next_wrap", -1, MAP, 0, wrap) for wrap in (0, 1)] == [0, 1]
    assert [run(machine, "cpumask_any_but", MAP, each) for each in (0, 1)] == [1, 0]


def test_a_map_without_zeros_has_none() -> None:
    machine = new_machine()
    machine.memory.put(MAP, (1 << 64) - 1)
    assert run(machine, "_find_first_zero_bit", MAP, 64) == 64


@pytest.mark.parametrize(("start", "count"), [(0, 1), (5, 70), (63, 2), (128, 64), (7, 0)])
def test_a_range_of_bits_is_set_and_cleared_and_no_other(start: int, count: int) -> None:
    machine = new_machine()
    bits = ((1 << count) - 1) << start
    run(machine, "__bitmap_set", MAP, start, count)
    assert machine.memory.number(MAP, 32) == bits
    machine.memory.put(MAP, -1, 32)
    run(machine, "__bitmap_clear", MAP, start, count)
    assert machine.memory.number(MAP, 32) == (1 << 256) - 1 & ~bits


@pytest.mark.parametrize("name", ["__bitmap_weight", "__bitmap_weight_u"])
def test_the_weight_is_how_many_bits_are_set(name: str) -> None:
    machine = new_machine()
    machine.memory.put(MAP, BITS, 24)
    assert [run(machine, name, MAP, size) for size in (0, 3, 4, 130, 132)] == [0, 0, 1, 3, 4]


def test_the_bits_of_a_word_are_counted() -> None:
    machine = new_machine()
    assert run(machine, "__sw_hweight32", 0xF0000000F0F0F0F0) == 16
    assert run(machine, "__sw_hweight64", 0xF0000000F0F0F0F0) == 20


def test_an_array_is_sorted_as_its_owner_compares() -> None:
    machine = new_machine()
    numbers = (5, -3, 9, 0, 5, -7)
    machine.memory.write(MAP, struct.pack("<6i", *numbers) + b"####")
    compare = put_code(machine, COMPARE_INTS)
    run(machine, "sort", MAP, 6, 4, compare, 0)
    assert struct.unpack("<6i", machine.memory.read(MAP, 24)) == tuple(sorted(numbers))
    assert machine.memory.read(MAP + 24, 4) == b"####"
    run(machine, "sort", MAP, 0, 4, compare, 0)
    assert held(machine) == []


def test_an_array_without_an_end_is_an_oops() -> None:
    with pytest.raises(Crash, match="sort cannot make sense of its arguments"):
        run(new_machine(), "sort", MAP, (1 << 64) - 1, 4, 0, 0)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("get_random_u8", 8),
        ("get_random_u16", 16),
        ("get_random_u32", 32),
        ("get_random_u64", 64),
    ],
)
def test_a_number_by_chance_may_have_any_of_its_bits(name: str, width: int) -> None:
    machine = new_machine()
    drawn = [run(machine, name) for _ in range(100)]
    assert reduce(or_, drawn) == (1 << width) - 1
    assert len(set(drawn)) > 50


def test_bytes_by_chance_are_as_many_as_were_asked_for() -> None:
    machine = new_machine()
    run(machine, "get_random_bytes", MAP, 32)
    first = machine.memory.read(MAP, 64)
    run(machine, "get_random_bytes", MAP, 32)
    second = machine.memory.read(MAP, 64)
    assert first[:32] != second[:32]
    assert first[32:] == second[32:] == bytes(32)


def test_the_generator_is_ready() -> None:
    machine = new_machine()
    assert run(machine, "rng_is_initialized") == 1
    assert run(machine, "wait_for_random_bytes") == 0
    assert run(machine, "prandom_u32_max", 6) in range(6)
