# SPDX-License-Identifier: Apache-2.0
"""Resizable hash tables (lib/rhashtable.c).

Looking up and inserting is compiled into the modules; they find the table that is made here. It is
made so large that it never has to grow. The offsets are those of Linux 6.1 on x86-64.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.machine.machine import Machine

_KIND = "hash table"

_TABLE, _KEY_LENGTH, _MOST, _COPY, _IS_LIST = 0, 8, 12, 16, 56
"""``struct rhashtable``: the buckets, the parameters."""

_PARAMETERS_SIZE = 40
_KEY_SIZE, _HEAD, _HASH_OF_OBJECT, _COMPARE = 2, 6, 24, 32
"""``struct rhashtable_params``."""

_SIZE, _BUCKETS = 0, 64
"""``struct bucket_table``."""

_COUNT, _ELEMENTS_MOST = 1024, 1 << 31
_WALKED_MAX = 1 << 16
"""Elements that are freed with their table; a chain that a module has closed to a ring has no end."""


@dataclass(slots=True)
class HashTables:
    """The ``buckets`` that were made, by their table."""

    buckets: dict[int, int] = field(default_factory=dict)


@function("int rhashtable_init(struct rhashtable *ht, const struct rhashtable_params *params)")
def rhashtable_init(machine: Machine, table: int, parameters: int) -> int:
    memory = machine.memory
    key_size = memory.number(parameters + _KEY_SIZE, 2)
    hash_of_object = memory.number(parameters + _HASH_OF_OBJECT)
    if hash_of_object and not memory.number(parameters + _COMPARE):
        return -errno.EINVAL
    if not key_size and not hash_of_object:
        return -errno.EINVAL
    buckets = machine.heap.allocate(_BUCKETS + 8 * _COUNT)
    if not buckets:
        return -errno.ENOMEM
    memory.put(buckets + _SIZE, _COUNT, 4)
    memory.put(table + _TABLE, buckets)
    memory.put(table + _KEY_LENGTH, key_size, 4)
    memory.put(table + _MOST, _ELEMENTS_MOST, 4)
    memory.write(table + _COPY, memory.read(parameters, _PARAMETERS_SIZE))
    memory.put(table + _IS_LIST, 0, 1)
    if machine.ledger.give(_KIND, table) is not None:
        # It is made anew, and nobody can find its old buckets any more.
        forget_table(machine, table)
    machine.state(HashTables).buckets[table] = buckets
    machine.ledger.take(_KIND, table)
    return 0


@function("int rhltable_init(struct rhltable *hlt, const struct rhashtable_params *params)")
def rhltable_init(machine: Machine, table: int, parameters: int) -> int | None:
    failed = rhashtable_init(machine, table, parameters)
    if not failed:
        machine.memory.put(table + _IS_LIST, 1, 1)
    return failed


@function("void rhashtable_destroy(struct rhashtable *ht)")
def rhashtable_destroy(machine: Machine, table: int) -> None:
    rhashtable_free_and_destroy(machine, table, 0, 0)


@function(
    "void rhashtable_free_and_destroy(struct rhashtable *ht, void (*free_fn)(void *ptr, void *arg),"
    " void *arg)"
)
def rhashtable_free_and_destroy(machine: Machine, table: int, free: int, argument: int) -> None:
    if machine.ledger.give(_KIND, table) is None:
        return
    if free:
        for each in tuple(_elements(machine, table)):
            machine.invoke(free, each, argument)
    forget_table(machine, table)


@reclaims(_KIND)
def forget_table(machine: Machine, table: int) -> None:
    """Free the buckets of a table."""
    machine.heap.free(machine.state(HashTables).buckets.pop(table))


def _elements(machine: Machine, table: int) -> Iterator[int]:
    """Yield what is in a table, and behind an element those with the same key."""
    memory, buckets = machine.memory, machine.state(HashTables).buckets[table]
    head, is_list = memory.number(table + _COPY + _HEAD, 2), memory.number(table + _IS_LIST, 1)
    left = _WALKED_MAX
    for bucket in range(buckets + _BUCKETS, buckets + _BUCKETS + 8 * _COUNT, 8):
        # The lowest bit is the bucket's lock; in an element's link it marks the end.
        element = memory.number(bucket) & ~1
        while element and not element & 1 and left:
            same = element
            while same and left:
                left -= 1
                yield same - head
                same = memory.number(same + 8) if is_list else 0
            element = memory.number(element)
