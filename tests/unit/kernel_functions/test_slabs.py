# SPDX-License-Identifier: Apache-2.0
"""Caches and pools of objects, and who gives some back when memory is short (mm/)."""

import pytest

from kmodd.kernel.emulated.abi.structures import CACHE_ARGUMENTS
from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import (
    having,
    held,
    laid_out,
    put_code,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, new_machine

INT_MAX = (1 << 31) - 1
MEGABYTE = 1 << 20


COUNT_UP = "48c70707000000c3"
"""x86 code of a constructor: movq $7, (%rdi); ret"""


@pytest.mark.parametrize("name", ["kmem_cache_create", "kmem_cache_create_usercopy"])
def test_a_slab_cache_gives_objects_that_are_constructed(name: str) -> None:
    machine = new_machine()
    constructor = put_code(machine, COUNT_UP)
    rest = (0, 0, constructor) if name == "kmem_cache_create" else (0, 0, 0, 0, constructor)
    cache = run(machine, name, put_text(machine, b"things", ROOM), 48, *rest)
    assert held(machine) == [("slab cache", "slab cache 'things'")]
    assert run(machine, "kmem_cache_size", cache) == 48
    plain = ("kmem_cache_alloc", "kmem_cache_alloc_node", "kmem_cache_alloc_lru")
    takers = (*plain, *(f"{each}_noprof" for each in plain))
    objects = [run(machine, each, cache, 0, 0) for each in takers]
    assert [machine.memory.number(each) for each in objects] == [7] * 6
    assert len(held(machine)) == 7
    for each in objects:
        run(machine, "kmem_cache_free", cache, each)
    assert run(machine, "kmem_cache_shrink", cache) == 0
    run(machine, "kmem_cache_destroy", cache)
    assert (held(machine), machine.heap.size(cache)) == ([], None)
    run(machine, "kmem_cache_destroy", 0)


def test_a_cache_is_made_with_a_structure_of_arguments_since_6_12() -> None:
    machine = new_machine()
    arguments = put_structure(machine, 32, {24: put_code(machine, COUNT_UP)})
    name, make = put_text(machine, b"things", ROOM), "__kmem_cache_create_args"
    with laid_out(CACHE_ARGUMENTS, constructor=24):
        cache = run(machine, make, name, 48, arguments, 0)
    assert held(machine) == [("slab cache", "slab cache 'things'")]
    assert machine.memory.number(run(machine, "kmem_cache_alloc_noprof", cache, 0)) == 7


@pytest.mark.parametrize(("text", "size"), [(0, 48), (ROOM, 4 * MEGABYTE + 1)])
def test_a_slab_cache_needs_a_name_and_a_size(text: int, size: int) -> None:
    machine = new_machine()
    assert run(machine, "kmem_cache_create", text, size, 0, 0, 0) == 0
    assert run(machine, "kmem_cache_create_usercopy", text, size, 0, 0, 0, 0, 0) == 0
    with laid_out(CACHE_ARGUMENTS, constructor=24):
        assert run(machine, "__kmem_cache_create_args", text, size, ROOM + 256, 0) == 0
    assert held(machine) == []


def test_a_slab_cache_that_is_left_is_reclaimed() -> None:
    machine = new_machine()
    cache = run(machine, "kmem_cache_create", put_text(machine, b"left", ROOM), 8, 0, 0, 0)
    assert unload(machine) == [("slab cache", "slab cache 'left'")]
    assert machine.heap.size(cache) is None


def test_an_object_that_is_freed_twice_is_told() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    cache = run(machine, "kmem_cache_create", put_text(machine, b"things", ROOM), 48, 0, 0, 0)
    each = run(machine, "kmem_cache_alloc", cache, 0)
    run(machine, "kmem_cache_free", cache, each)
    run(machine, "kmem_cache_free", cache, each)
    assert "where nothing is allocated" in lines[0]


POOLS = ("mempool_create", "mempool_create_node")


@pytest.mark.parametrize("name", [*POOLS, *(f"{each}_noprof" for each in POOLS)])
def test_a_memory_pool_is_made_and_destroyed(name: str) -> None:
    machine = new_machine()
    pool = run(machine, name, 4, 0, 0, 0, 0, 0)
    assert pool >= addresses.DIRECT_MAP
    assert held(machine) == [("memory pool", "a memory pool")]
    run(machine, "mempool_destroy", pool)
    run(machine, "mempool_destroy", pool)
    run(machine, "mempool_destroy", 0)
    assert held(machine) == []


@pytest.mark.parametrize(
    ("size", "align", "boundary", "is_made"),
    [
        (64, 0, 0, True),
        (64, 64, 4096, True),
        (64, 48, 0, False),
        (0, 8, 0, False),
        (INT_MAX + 1, 8, 0, False),
        (64, 8, 32, False),
        (64, 8, 96, False),
    ],
)
def test_a_pool_for_dma_has_blocks_within_boundaries(
    size: int, align: int, boundary: int, is_made: bool
) -> None:
    machine = new_machine()
    for name in ("dma_pool_create", "dma_pool_create_node"):
        pool = run(machine, name, ROOM, ROOM, size, align, boundary, 0)
        assert (pool != 0) == is_made
        assert held(machine) == [("memory pool", "a memory pool")] * is_made
        run(machine, "dma_pool_destroy", pool)
        assert held(machine) == []


@pytest.mark.parametrize(
    ("take", "give", "booked"),
    [
        ("register_shrinker", "unregister_shrinker", "shrinker"),
        ("prealloc_shrinker", "unregister_shrinker", "shrinker"),
        ("bioset_init", "bioset_exit", "bio set"),
        ("mempool_init", "mempool_exit", "memory pool"),
        ("mempool_init_noprof", "mempool_exit", "memory pool"),
        ("__list_lru_init", "list_lru_destroy", "LRU list"),
    ],
)
def test_what_the_caller_has_room_for_is_set_up_and_given_back(
    take: str, give: str, booked: str
) -> None:
    machine = new_machine()
    assert run(machine, take, ROOM, put_text(machine, b"one", ROOM + 256)) == 0
    assert held(machine) == [(booked, booked)]
    run(machine, "register_shrinker_prepared", ROOM)
    run(machine, give, ROOM)
    assert held(machine) == []
    run(machine, take, ROOM, ROOM + 256)
    assert unload(machine) == [(booked, booked)]


def test_a_list_needs_no_lock_class_key_since_6_13() -> None:
    machine = new_machine()
    with having(__list_lru_init="ip1p"):
        assert run(machine, "__list_lru_init", ROOM, 1, 0) == 0
    assert held(machine) == [("LRU list", "LRU list")]


def test_a_shrinker_is_made_before_it_is_registered_since_6_7() -> None:
    machine = new_machine()
    made = run(machine, "shrinker_alloc", 0, put_text(machine, b"one"))
    run(machine, "shrinker_register", made)
    assert held(machine) == [("shrinker", "shrinker")]
    run(machine, "shrinker_free", made)
    assert (held(machine), machine.heap.size(made)) == ([], None)


def test_a_shrinker_has_no_name_until_6_0() -> None:
    machine = new_machine()
    with having(register_shrinker="ip"):
        assert run(machine, "register_shrinker", ROOM) == 0
    run(machine, "unregister_shrinker", ROOM)
    assert held(machine) == []
