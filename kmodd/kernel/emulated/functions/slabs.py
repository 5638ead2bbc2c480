# SPDX-License-Identifier: Apache-2.0
"""Caches and pools of objects, and who gives some back when memory is short (mm/)."""

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    alike,
    function,
    machine_code,
    makers,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import CACHE_ARGUMENTS
from kmodd.kernel.emulated.functions.memory import UNBROKEN_MAX, allocate, release
from kmodd.kernel.emulated.functions.variadic import variadic_arguments
from kmodd.kernel.emulated.machine.machine import Machine

_INT_MAX = (1 << 31) - 1
_CACHE = "slab cache"


@reclaims(_CACHE)
def forget_cache(machine: Machine, cache: int) -> None:
    """Free a cache that a module has left."""
    machine.heap.free(cache)


def _make_cache(machine: Machine, name: int, size: int, constructor: int) -> int:
    if not name or size > UNBROKEN_MAX:
        return 0
    cache = machine.heap.allocate(256)
    machine.memory.put(cache, size)
    machine.memory.put(cache + 8, constructor)
    machine.ledger.take(_CACHE, cache, f"slab cache '{machine.memory.text(name, 64)}'")
    return cache


@function(
    "struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,"
    " slab_flags_t flags, void (*ctor)(void *))"
)
def kmem_cache_create(
    machine: Machine, name: int, size: int, _align: int, _flags: int, constructor: int
) -> int:
    return _make_cache(machine, name, size, constructor)


@function(
    "struct kmem_cache *kmem_cache_create_usercopy(const char *name, unsigned int size, unsigned"
    " int align, slab_flags_t flags, unsigned int useroffset, unsigned int usersize, void"
    " (*ctor)(void *))"
)
def kmem_cache_create_usercopy(machine: Machine, name: int, size: int, *_rest: int) -> int:
    constructor = next(variadic_arguments(machine, 6))
    return _make_cache(machine, name, size, constructor)


@function(
    "struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int object_size, struct"
    " kmem_cache_args *args, slab_flags_t flags)"
)
def kmem_cache_create_args(
    machine: Machine, name: int, size: int, arguments: int, _flags: int
) -> int:
    constructor = machine.memory.number(arguments + CACHE_ARGUMENTS.constructor)
    return _make_cache(machine, name, size, constructor)


@function("void kmem_cache_destroy(struct kmem_cache *s)")
def kmem_cache_destroy(machine: Machine, cache: int) -> None:
    if machine.ledger.give(_CACHE, cache) is not None:
        machine.heap.free(cache)


@function(
    "void *kmem_cache_alloc|kmem_cache_alloc_noprof(struct kmem_cache *s, gfp_t flags)",
    "void *kmem_cache_alloc_node|kmem_cache_alloc_node_noprof(struct kmem_cache *s, gfp_t flags, int node)",
    "void *kmem_cache_alloc_lru|kmem_cache_alloc_lru_noprof(struct kmem_cache *s, struct list_lru *lru, gfp_t flags)",
)
def kmem_cache_alloc(machine: Machine, cache: int, *_rest: int) -> int:
    size = machine.memory.number(cache)
    address = allocate(machine, size)
    constructor = machine.memory.number(cache + 8)
    if constructor and address:
        machine.invoke(constructor, address)
    return address


@function("void kmem_cache_free(struct kmem_cache *s, void *objp)")
def kmem_cache_free(machine: Machine, _cache: int, address: int) -> None:
    release(machine, address)


@function("unsigned int kmem_cache_size(struct kmem_cache *s)")
def kmem_cache_size(machine: Machine, cache: int) -> int:
    return machine.memory.number(cache)


def _pool(machine: Machine, *_arguments: int) -> int:
    pool = machine.heap.allocate(256)
    machine.ledger.take("memory pool", pool, "a memory pool")
    return pool


alike(
    _pool,
    """
    mempool_t *mempool_create|mempool_create_noprof(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data)
    mempool_t *mempool_create_node|mempool_create_node_noprof(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask, int nid)
    """,
)


@function(
    "struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t"
    " align, size_t boundary)",
    "struct dma_pool *dma_pool_create_node(const char *name, struct device *dev, size_t size, size_t"
    " align, size_t boundary, int node)",
)
def dma_pool_create(
    machine: Machine, _name: int, _device: int, size: int, align: int, boundary: int, *_node: int
) -> int:
    """A block must not cross a ``boundary``, where that is not 0."""
    if align & align - 1 or not 0 < size <= _INT_MAX:
        return 0
    if boundary and (boundary < size or boundary & boundary - 1):
        return 0
    return _pool(machine)


@function("void mempool_destroy(mempool_t *pool)", "void dma_pool_destroy(struct dma_pool *pool)")
def pool_destroy(machine: Machine, pool: int) -> None:
    if machine.ledger.give("memory pool", pool) is not None:
        machine.heap.free(pool)


pairs(
    """
    shrinker: int register_shrinker(struct shrinker *shrinker, const char *fmt, ...) / void unregister_shrinker(struct shrinker *shrinker)
    shrinker: int register_shrinker(struct shrinker *shrinker)
    shrinker: int prealloc_shrinker(struct shrinker *shrinker, const char *fmt, ...)
    bio set: int bioset_init(struct bio_set *bs, unsigned int pool_size, unsigned int front_pad, int flags) / void bioset_exit(struct bio_set *bs)
    memory pool: int mempool_init|mempool_init_noprof(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data) / void mempool_exit(mempool_t *pool)
    LRU list: int __list_lru_init(struct list_lru *lru, bool memcg_aware, struct lock_class_key *key, struct shrinker *shrinker) / void list_lru_destroy(struct list_lru *lru)
    LRU list: int __list_lru_init(struct list_lru *lru, bool memcg_aware, struct shrinker *shrinker)
    """
)

makers(
    "shrinker: struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt, ...) / void"
    " shrinker_free(struct shrinker *shrinker)"
)
machine_code(RETURN, "void shrinker_register(struct shrinker *shrinker)")
machine_code(
    RETURN_ZERO,
    """
    void register_shrinker_prepared(struct shrinker *shrinker)
    int kmem_cache_shrink(struct kmem_cache *cachep)
    """,
)
