# SPDX-License-Identifier: Apache-2.0
"""The hash tables of the emulated kernel, as the code that is compiled into modules uses them."""

import errno
import struct

import pytest

from kmodd.kernel.emulated.abi.function_table import RECLAIMERS
from kmodd.kernel.emulated.hardware import addresses
from tests.support.machine import ROOM, Machine, call, new_machine

TABLE, PARAMETERS, SUM = ROOM, ROOM + 256, ROOM + 512
ADD_UP = bytes.fromhex("48013ec3")
"""x86 code of free_fn: add %rdi, (%rsi); ret"""
HEAD = 24
BUCKETS = 64


@pytest.fixture
def machine() -> Machine:
    made = new_machine()
    made.memory.write(addresses.MODULES, ADD_UP)
    return made


def parameters(*, key_size: int = 4, hash_of_object: int = 0, compare: int = 0) -> bytes:
    return struct.pack("<4HIHBx3Q", 0, key_size, 0, HEAD, 0, 0, 0, 0, hash_of_object, compare)


def made(machine: Machine, function: str, given: bytes) -> int:
    machine.memory.write(PARAMETERS, given)
    return call(machine, function, TABLE, PARAMETERS)


def link(machine: Machine, bucket: int, *elements: int) -> None:
    """Put elements into a bucket, one behind the other; the last link is odd."""
    where = machine.memory.number(TABLE) + BUCKETS + 8 * bucket
    for element in elements:
        machine.memory.put(where, element)
        where = element
    machine.memory.put(where, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (parameters(), 0),
        (parameters(key_size=0), -errno.EINVAL),
        (parameters(hash_of_object=1), -errno.EINVAL),
        (parameters(key_size=0, hash_of_object=1, compare=1), 0),
    ],
    ids=["a key", "neither", "only a hash", "a way"],
)
def test_a_table_needs_a_key_or_a_way_to_compare(
    machine: Machine, given: bytes, expected: int
) -> None:
    assert made(machine, "rhashtable_init", given) == expected


def test_all_that_is_in_a_table_is_freed_with_it(machine: Machine) -> None:
    assert made(machine, "rhashtable_init", parameters()) == 0
    elements = [machine.heap.allocate(64) + HEAD for _ in range(5)]
    link(machine, 0, *elements[:2])
    link(machine, 1023, *elements[2:])
    call(machine, "rhashtable_free_and_destroy", TABLE, addresses.MODULES, SUM)
    assert machine.memory.number(SUM) == sum(each - HEAD for each in elements) % (1 << 64)
    assert machine.ledger.find("hash table", TABLE) is None


def test_what_has_the_same_key_is_freed_too(machine: Machine) -> None:
    assert made(machine, "rhltable_init", parameters()) == 0
    first, second = (machine.heap.allocate(64) + HEAD for _ in range(2))
    link(machine, 7, first)
    machine.memory.put(first + 8, second)
    call(machine, "rhashtable_free_and_destroy", TABLE, addresses.MODULES, SUM)
    assert machine.memory.number(SUM) == (first + second - 2 * HEAD) % (1 << 64)


def test_a_chain_without_an_end_is_left_some_time(machine: Machine) -> None:
    assert made(machine, "rhashtable_init", parameters()) == 0
    ring = machine.heap.allocate(64) + HEAD
    link(machine, 3, ring)
    machine.memory.put(ring, ring)
    call(machine, "rhashtable_free_and_destroy", TABLE, addresses.MODULES, SUM)


def test_a_table_that_is_left_is_reclaimed(machine: Machine) -> None:
    assert made(machine, "rhashtable_init", parameters()) == 0
    buckets = machine.memory.number(TABLE)
    RECLAIMERS["hash table"](machine, TABLE)
    assert machine.heap.size(buckets) is None


def test_a_table_that_is_made_twice_is_there_once(machine: Machine) -> None:
    assert made(machine, "rhashtable_init", parameters()) == 0
    first = machine.memory.number(TABLE)
    assert made(machine, "rhashtable_init", parameters()) == 0
    assert machine.heap.size(first) is None
    call(machine, "rhashtable_destroy", TABLE)
    assert machine.ledger.held("sample") == ()
