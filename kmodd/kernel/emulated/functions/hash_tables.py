# SPDX-License-Identifier: Apache-2.0
"""Resizable hash tables (lib/rhashtable.c).

Looking up and inserting is compiled into the modules; they find the table that is made here. It is
made so large that it never has to grow.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import (
    BUCKET_TABLE,
    HASH_LIST_ENTRY,
    HASH_PARAMETERS,
    HASH_TABLE,
)
from kmodd.kernel.emulated.machine.machine import Machine

_KIND = "hash table"

_COUNT, _ELEMENTS_MOST = 1024, 1 << 31
_WALKED_MAX = 1 << 16
"""Elements that are freed with their table; a chain that a module has closed to a ring has no end."""


@dataclass(slots=True)
class HashTables:
    """The ``buckets`` that were made, by their table."""

    buckets: dict[int, int] = field(default_factory=dict)


@function(
    "int rhashtable_init|rhashtable_init_noprof(struct rhashtable *ht, const struct"
    " rhashtable_params *params)",
    "int __rhashtable_init_noprof(struct rhashtable *ht, const struct rhashtable_params *params,"
    " struct lock_class_key *key)",
)
def rhashtable_init(machine: Machine, table: int, parameters: int, *_key: int) -> int:
    memory = machine.memory
    key_size = memory.number(parameters + HASH_PARAMETERS.key_size, 2)
    hash_of_object = memory.number(parameters + HASH_PARAMETERS.hash_of_object)
    if hash_of_object and not memory.number(parameters + HASH_PARAMETERS.compare):
        return -errno.EINVAL
    if not key_size and not hash_of_object:
        return -errno.EINVAL
    buckets = machine.heap.allocate(BUCKET_TABLE.buckets + 8 * _COUNT)
    if not buckets:
        return -errno.ENOMEM
    memory.put(buckets + BUCKET_TABLE.count, _COUNT, 4)
    memory.put(table + HASH_TABLE.buckets, buckets)
    memory.put(table + HASH_TABLE.key_size, key_size, 4)
    memory.put(table + HASH_TABLE.most, _ELEMENTS_MOST, 4)
    memory.write(table + HASH_TABLE.parameters, memory.read(parameters, HASH_PARAMETERS.size))
    memory.put(table + HASH_TABLE.is_list, 0, 1)
    if machine.ledger.give(_KIND, table) is not None:
        # It is made anew, and nobody can find its old buckets any more.
        forget_table(machine, table)
    machine.state(HashTables).buckets[table] = buckets
    machine.ledger.take(_KIND, table)
    return 0


@function(
    "int rhltable_init|rhltable_init_noprof(struct rhltable *hlt, const struct rhashtable_params"
    " *params)",
    "int __rhltable_init_noprof(struct rhltable *hlt, const struct rhashtable_params *params,"
    " struct lock_class_key *key)",
)
def rhltable_init(machine: Machine, table: int, parameters: int, *_key: int) -> int | None:
    failed = rhashtable_init(machine, table, parameters)
    if not failed:
        machine.memory.put(table + HASH_TABLE.is_list, 1, 1)
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
    head = memory.number(table + HASH_TABLE.parameters + HASH_PARAMETERS.head, 2)
    is_list = memory.number(table + HASH_TABLE.is_list, 1)
    left = _WALKED_MAX
    first = buckets + BUCKET_TABLE.buckets
    for bucket in range(first, first + 8 * _COUNT, 8):
        # The lowest bit is the bucket's lock; in an element's link it marks the end.
        element = memory.number(bucket) & ~1
        while element and not element & 1 and left:
            same = element
            while same and left:
                left -= 1
                yield same - head
                same = memory.number(same + HASH_LIST_ENTRY.same) if is_list else 0
            element = memory.number(element + HASH_LIST_ENTRY.next)
