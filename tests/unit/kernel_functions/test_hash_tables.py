# SPDX-License-Identifier: Apache-2.0
"""Resizable hash tables (lib/rhashtable.c): what is on a module's account, and what is not there.

How the code that is compiled into modules finds its way in a table is in another file,
test_emulated_hash_tables.py.
"""

import errno
import struct

import pytest

from tests.support.kernel_calls import Crash, held, put_code, run, unload
from tests.support.machine import ROOM, Machine, new_machine

TABLE, PARAMETERS, COUNT = ROOM, ROOM + 256, ROOM + 512
BUCKETS = 64

COUNT_UP = "48ff06c3"
"""x86 code of free_fn: incq (%rsi); ret"""


def put_parameters(machine: Machine, **changes: int) -> int:
    """Store a ``struct rhashtable_params`` for keys of 4 bytes."""
    fields = {"hint": 100, "key": 4, "key_at": 8, "head": 24, "most": 0, "least": 0} | changes
    numbers = [fields[each] for each in ("hint", "key", "key_at", "head", "most", "least")]
    machine.memory.write(PARAMETERS, struct.pack("<4HIHBx3Q", *numbers, 1, 0, 0, 0))
    return PARAMETERS


TABLES = (
    ("rhashtable_init", 0),
    ("rhltable_init", 1),
    ("rhashtable_init_noprof", 0),
    ("rhltable_init_noprof", 1),
    ("__rhashtable_init_noprof", 0),
    ("__rhltable_init_noprof", 1),
)


@pytest.mark.parametrize(("name", "is_list"), TABLES)
def test_a_table_has_its_parameters_and_empty_buckets(name: str, is_list: int) -> None:
    machine = new_machine()
    machine.memory.write(TABLE, b"\xff" * 64)
    given = machine.memory.read(put_parameters(machine), 40)
    assert run(machine, name, TABLE, PARAMETERS) == 0
    buckets = machine.memory.number(TABLE)
    count = machine.memory.number(buckets, 4)
    assert count & (count - 1) == 0
    assert machine.memory.read(buckets + BUCKETS, 8 * count) == bytes(8 * count)
    assert machine.memory.number(TABLE + 8, 4) == 4
    assert machine.memory.read(TABLE + 16, 40) == given
    assert machine.memory.number(TABLE + 56, 1) == is_list
    assert held(machine) == [("hash table", "")]


@pytest.mark.parametrize("name", [name for name, _ in TABLES])
def test_a_table_without_a_key_is_not_made(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, TABLE, put_parameters(machine, key=0)) == -errno.EINVAL
    assert (machine.memory.number(TABLE), held(machine)) == (0, [])


@pytest.mark.parametrize("name", ["rhashtable_destroy", "rhashtable_free_and_destroy"])
def test_a_table_is_destroyed_once(name: str) -> None:
    machine = new_machine()
    run(machine, "rhashtable_init", TABLE, put_parameters(machine))
    buckets = machine.memory.number(TABLE)
    element = run(machine, "__kmalloc", 64) + 24
    machine.memory.put(buckets + BUCKETS + 8, element)
    machine.memory.put(element, 1)
    counter = put_code(machine, COUNT_UP) if name == "rhashtable_free_and_destroy" else 0
    for _ in range(2):
        run(machine, name, TABLE, counter, COUNT)
    assert machine.memory.number(COUNT) == bool(counter)
    assert held(machine) == [("memory", "64 bytes of memory")]
    assert machine.heap.size(buckets) is None


def test_a_table_that_is_left_is_reclaimed_without_a_look_at_it() -> None:
    machine = new_machine()
    table = run(machine, "__kmalloc", 256)
    run(machine, "rhltable_init", table, put_parameters(machine))
    buckets = machine.memory.number(table)
    machine.memory.put(table, 8)
    assert unload(machine) == [("memory", "256 bytes of memory"), ("hash table", "")]
    assert machine.heap.size(buckets) is None


def test_elements_that_are_nowhere_are_an_oops_of_who_frees_them() -> None:
    machine = new_machine()
    run(machine, "rhashtable_init", TABLE, put_parameters(machine))
    machine.memory.put(machine.memory.number(TABLE) + BUCKETS, 8)
    with pytest.raises(Crash, match="address: 0000000000000008"):
        run(machine, "rhashtable_free_and_destroy", TABLE, put_code(machine, COUNT_UP), COUNT)


@pytest.mark.parametrize(("table", "parameters"), [(0, PARAMETERS), (TABLE, 0)])
def test_a_table_that_is_nowhere_is_an_oops(table: int, parameters: int) -> None:
    machine = new_machine()
    put_parameters(machine)
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(machine, "rhashtable_init", table, parameters)
