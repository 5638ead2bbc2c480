# SPDX-License-Identifier: Apache-2.0
"""Where the emulated kernel places its modules."""

import random

import pytest

from kmodd.kernel.emulated.modules.address_ranges import AddressRanges

START, END, GUARD = 1000, 2000, 10


def lowest(taken: list[tuple[int, int]], size: int) -> int | None:
    """Find the lowest gap by a look at all that is taken."""
    address = START
    for start, length in sorted(taken):
        if address + size + GUARD <= start:
            break
        address = start + length + GUARD
    return address if address + size <= END else None


@pytest.mark.parametrize("seed", range(20))
def test_the_lowest_gap_is_taken_whatever_came_and_went(seed: int) -> None:
    chance = random.Random(seed)
    ranges, taken = AddressRanges(START, END, GUARD), list[tuple[int, int]]()
    for _ in range(500):
        if taken and chance.random() < 0.45:
            address, size = taken.pop(chance.randrange(len(taken)))
            ranges.give_back(address, size)
            continue
        size = chance.choice((0, 1, 9, 10, 11, 40, 200))
        wanted = lowest(taken, size)
        assert ranges.take(size) == wanted
        if wanted is not None:
            taken.append((wanted, size))


def test_the_last_range_needs_no_room_behind_it() -> None:
    assert AddressRanges(START, END, GUARD).take(END - START) == START
    assert AddressRanges(START, END, GUARD).take(END - START + 1) is None


def test_what_is_not_taken_cannot_be_given_back() -> None:
    ranges = AddressRanges(START, END, GUARD)
    ranges.take(40)
    for address, size in ((START, 39), (START + 1, 40), (START + 50, 0)):
        with pytest.raises(ValueError, match="not taken"):
            ranges.give_back(address, size)
