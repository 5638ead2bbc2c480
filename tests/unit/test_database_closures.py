# SPDX-License-Identifier: Apache-2.0
"""Sets of positions say the same whichever form they have."""

import random
import sys

import pytest

from kmodd.database import order
from kmodd.database.closures import (
    FEW,
    SMALL,
    Closure,
    bits_of,
    count,
    highest_first,
    packed,
    parted,
    united,
)
from kmodd.database.files import dependency_files
from kmodd.database.order import resolve


def some(chance: random.Random) -> set[int]:
    size = chance.choice((0, 1, 5, SMALL, SMALL + 1, FEW, FEW + 1, 600))
    return set(chance.sample(range(chance.choice((700, 5_000, 60_000))), size))


def bits(positions: set[int]) -> int:
    return sum(1 << position for position in positions)


@pytest.mark.parametrize("seed", range(20))
def test_a_set_has_the_same_members_in_both_forms(seed: int) -> None:
    positions = some(random.Random(seed))
    for closure in (packed(positions), bits(positions)):
        assert highest_first(closure) == sorted(positions, reverse=True)
        assert count(closure) == len(positions)
        assert bits_of(closure) == bits(positions)
    if positions:
        first, rest = parted(bits(positions))
        assert first == max(positions)
        assert rest == bits(positions - {first})


@pytest.mark.parametrize("seed", range(20))
def test_a_union_has_all_and_each_once(seed: int) -> None:
    chance = random.Random(seed)
    parts = [some(chance) for _ in range(chance.randrange(5))]
    own = some(chance)
    wanted = sorted(own.union(*parts), reverse=True)
    mixed: list[Closure] = [chance.choice((packed, bits))(part) for part in parts]
    for below in ([packed(part) for part in parts], mixed):
        assert highest_first(united(own, below)) == wanted


def test_few_of_many_take_the_room_of_few() -> None:
    assert packed({1, 60_000}) == b"".join(
        place.to_bytes(4, sys.byteorder) for place in (60_000, 1)
    )
    assert isinstance(packed(set(range(1000))), int)


@pytest.mark.parametrize("kind", ["chain", "sparse", "dense"])
def test_the_files_are_the_same_however_many_modules_there_are(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, size = random.Random(kind), 700
    graph = {
        "chain": [[place - 1] if place else [] for place in range(size)],
        "sparse": [sorted({place // 2, place // 3} - {place}) for place in range(size)],
        "dense": [sorted(chance.sample(range(place), place // 3)) for place in range(size)],
    }[kind]
    names = [f"m{place}" for place in range(size)]
    paths = [f"kernel/{name}.ko" for name in names]
    usual = resolve(names, graph)
    monkeypatch.setattr(order, "LARGE", 10)
    large = resolve(names, graph)
    assert large.order == usual.order
    assert (
        dependency_files(names, paths, large).files == dependency_files(names, paths, usual).files
    )
