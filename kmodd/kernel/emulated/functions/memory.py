# SPDX-License-Identifier: Apache-2.0
"""Memory: slabs, vmalloc, device memory, pools (mm/)."""

from kmodd.kernel.emulated.abi.function_table import (
    RETURN_ZERO,
    alike,
    function,
    machine_code,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.functions.variadic import formatted, formatted_list, variadic_arguments
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

MEMORY = "memory"
"""What an allocation is called on a ledger."""

_REQUEST_MAX = 64 << 20
_UNBROKEN_MAX = 4 << 20
"""Bytes that lie in one piece in physical memory, at most (KMALLOC_MAX_SIZE)."""

_PHYSICAL_BITS = 40
_INT_MAX = (1 << 31) - 1
_CACHE = "slab cache"
_ZERO_SIZE = 16


def allocate(machine: Machine, size: int, *, what: str = "") -> int:
    """Return the address of ``size`` bytes of zeros on the caller's account; 0 for too many."""
    if size > _REQUEST_MAX:
        return 0
    address = machine.heap.allocate(size)
    if address > _ZERO_SIZE:
        machine.ledger.take(MEMORY, address, what or f"{size} bytes of memory")
    return address


def allocate_unbroken(machine: Machine, size: int) -> int:
    """Like ``allocate``, of memory in one piece: there is less of that."""
    return allocate(machine, size) if size <= _UNBROKEN_MAX else 0


def release(machine: Machine, address: int) -> None:
    """Take back what ``allocate`` gave."""
    if machine.ledger.give(MEMORY, address) is not None:
        machine.forget_memory(address, machine.heap.room(address))
        machine.heap.free(address)
    elif address > _ZERO_SIZE and machine.heap.size(address) is None and _is_heap(address):
        where = machine.symbol(machine.calls.caller)
        machine.log.write(
            Level.ERR, f"kmodd: {where} frees {address:#x}, where nothing is allocated\n"
        )


@reclaims(MEMORY, _CACHE, "mapping", "name", "created device")
def reclaim(machine: Machine, address: int) -> None:
    """Free what a module has left."""
    machine.forget_memory(address, machine.heap.room(address))
    machine.heap.free(address)


def _is_heap(address: int) -> bool:
    return addresses.DIRECT_MAP <= address < addresses.DIRECT_MAP + addresses.DIRECT_MAP_SIZE


@function(
    "void *__kmalloc(size_t size, gfp_t flags)",
    "void *__kmalloc_node(size_t size, gfp_t flags, int node)",
    "void *__kmalloc_node_track_caller(size_t size, gfp_t flags, int node, unsigned long caller)",
    "void *__kmalloc_track_caller(size_t size, gfp_t flags, unsigned long caller)",
    "void *kmalloc_large(size_t size, gfp_t flags)",
    "void *kmalloc_large_node(size_t size, gfp_t flags, int node)",
    "void *kmalloc_order(size_t size, gfp_t flags, unsigned int order)",
)
def kmalloc(machine: Machine, size: int, *_rest: int) -> int:
    return allocate_unbroken(machine, size)


@function("void *kvmalloc_node(size_t size, gfp_t flags, int node)")
def kvmalloc(machine: Machine, size: int, _flags: int, _node: int) -> int:
    return allocate(machine, size)


@function(
    "void *vmalloc(unsigned long size)",
    "void *vzalloc(unsigned long size)",
    "void *vmalloc_node(unsigned long size, int node)",
    "void *vzalloc_node(unsigned long size, int node)",
    "void *vmalloc_user(unsigned long size)",
    "void *vmalloc_32(unsigned long size)",
    "void *vmalloc_32_user(unsigned long size)",
    "void *__vmalloc(unsigned long size, gfp_t gfp_mask)",
    "void *vmalloc_huge(unsigned long size, gfp_t gfp_mask)",
)
def vmalloc(machine: Machine, size: int, *_rest: int) -> int:
    return allocate(machine, size) if size else 0


@function(
    "void *kmalloc_trace(struct kmem_cache *cache, gfp_t flags, size_t size)",
    "void *kmem_cache_alloc_trace(struct kmem_cache *cache, gfp_t flags, size_t size)",
)
def kmalloc_trace(machine: Machine, _cache: int, _flags: int, size: int) -> int:
    return allocate_unbroken(machine, size)


@function(
    "void *kmalloc_node_trace(struct kmem_cache *cache, gfp_t flags, int node, size_t size)",
    "void *kmem_cache_alloc_node_trace(struct kmem_cache *s, gfp_t flags, int node, size_t size)",
)
def kmalloc_node_trace(machine: Machine, _cache: int, _flags: int, _node: int, size: int) -> int:
    return allocate_unbroken(machine, size)


@function(
    "void kfree(const void *object)",
    "void kvfree(const void *addr)",
    "void kfree_sensitive(const void *objp)",
    "void kvfree_sensitive(const void *addr, size_t len)",
    "void vfree(const void *addr)",
    "void vfree_atomic(const void *addr)",
    "void kfree_const(const void *x)",
)
def kfree(machine: Machine, address: int, *_rest: int) -> None:
    release(machine, address)


@function("void kvfree_call_rcu(struct rcu_head *head, void *ptr)")
def kvfree_call_rcu(machine: Machine, _head: int, address: int) -> None:
    release(machine, address)


@function("void *krealloc(const void *p, size_t new_size, gfp_t flags)")
def krealloc(machine: Machine, old: int, size: int, _flags: int) -> int:
    """Memory with room for that stays where it is."""
    if not size:
        release(machine, old)
        return _ZERO_SIZE
    room = machine.heap.room(old)
    if size <= room:
        return old
    fresh = allocate_unbroken(machine, size)
    if fresh and room:
        machine.memory.write(fresh, machine.memory.read(old, room))
        release(machine, old)
    return fresh


@function("void *kvrealloc(const void *p, size_t oldsize, size_t newsize, gfp_t flags)")
def kvrealloc(machine: Machine, old: int, before: int, size: int, _flags: int) -> int:
    if before >= size:
        return old
    fresh = allocate(machine, size)
    if fresh and before:
        machine.memory.write(fresh, machine.memory.read(old, before))
        release(machine, old)
    return fresh


@function("size_t ksize(const void *objp)", "size_t __ksize(const void *objp)")
def ksize(machine: Machine, address: int) -> int:
    return machine.heap.room(address)


@function("void *kmemdup(const void *src, size_t len, gfp_t gfp)")
def kmemdup(machine: Machine, source: int, size: int, _flags: int) -> int:
    if size > _UNBROKEN_MAX:
        return 0
    return _store(machine, machine.memory.read(source, size) if size else b"")


@function(
    "char *kstrdup(const char *s, gfp_t gfp)",
    "const char *kstrdup_const(const char *s, gfp_t gfp)",
)
def kstrdup(machine: Machine, source: int, _flags: int) -> int:
    return _store(machine, machine.memory.string(source) + b"\0") if source else 0


@function("char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)")
def kmemdup_nul(machine: Machine, source: int, size: int, _flags: int) -> int:
    if not source or size >= _UNBROKEN_MAX:
        return 0
    return _store(machine, machine.memory.read(source, size) + b"\0")


@function("char *kstrndup(const char *s, size_t max, gfp_t gfp)")
def kstrndup(machine: Machine, source: int, limit: int, _flags: int) -> int:
    return _store(machine, machine.memory.string(source, limit) + b"\0") if source else 0


@function("char *kasprintf(gfp_t gfp, const char *fmt, ...)")
def kasprintf(machine: Machine, _flags: int, template: int) -> int:
    return _store(machine, formatted(machine, template, 2) + b"\0")


@function(
    "char *kvasprintf(gfp_t gfp, const char *fmt, va_list ap)",
    "const char *kvasprintf_const(gfp_t gfp, const char *fmt, va_list ap)",
)
def kvasprintf(machine: Machine, _flags: int, template: int, arguments: int) -> int:
    return _store(machine, formatted_list(machine, template, arguments) + b"\0")


def _store(machine: Machine, data: bytes) -> int:
    address = allocate(machine, len(data))
    if address > _ZERO_SIZE:
        machine.memory.write(address, data)
    return address


def _make_cache(machine: Machine, name: int, size: int, constructor: int) -> int:
    if not name or size > _UNBROKEN_MAX:
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


@function("void kmem_cache_destroy(struct kmem_cache *s)")
def kmem_cache_destroy(machine: Machine, cache: int) -> None:
    if machine.ledger.give(_CACHE, cache) is not None:
        machine.heap.free(cache)


@function(
    "void *kmem_cache_alloc(struct kmem_cache *s, gfp_t flags)",
    "void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t flags, int node)",
    "void *kmem_cache_alloc_lru(struct kmem_cache *s, struct list_lru *lru, gfp_t flags)",
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


@function(
    "void __iomem *ioremap(resource_size_t phys_addr, unsigned long size)",
    "void __iomem *ioremap_cache(resource_size_t phys_addr, unsigned long size)",
    "void __iomem *ioremap_wc(resource_size_t phys_addr, unsigned long size)",
    "void __iomem *ioremap_uc(resource_size_t phys_addr, unsigned long size)",
)
def ioremap(machine: Machine, start: int, size: int, *_rest: int) -> int:
    """Nothing answers at any physical address: all bits are set."""
    if not 0 < size <= _REQUEST_MAX or start >> _PHYSICAL_BITS:
        return 0
    page = start & PAGE - 1
    address = machine.heap.allocate(-(-(size + page) // PAGE) * PAGE, fill=0xFF)
    if address:
        machine.ledger.take("mapping", address, f"a mapping of {size} bytes at {start:#x}")
    return address + page if address else 0


@function("void *memremap(resource_size_t offset, size_t size, unsigned long flags)")
def memremap(machine: Machine, start: int, size: int, flags: int) -> int:
    return ioremap(machine, start, size) or 0 if flags else 0


@function("void iounmap(volatile void __iomem *addr)", "void memunmap(void *addr)")
def iounmap(machine: Machine, address: int) -> None:
    start = address - (address - addresses.DIRECT_MAP) % PAGE
    for candidate in (start, address):
        if machine.ledger.give("mapping", candidate) is not None:
            machine.heap.free(candidate)
            return


@function(
    "void *dma_alloc_attrs(struct device *dev, size_t size, dma_addr_t *handle, gfp_t flag,"
    " unsigned long attrs)"
)
def dma_alloc(machine: Machine, _device: int, size: int, handle: int, *_rest: int) -> int:
    address = allocate(machine, size)
    if address:
        machine.memory.put(handle, address - addresses.DIRECT_MAP)
    return address


@function(
    "void dma_free_attrs(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle,"
    " unsigned long attrs)"
)
def dma_free(machine: Machine, _device: int, _size: int, address: int, *_rest: int) -> None:
    release(machine, address)


def _pool(machine: Machine, *_arguments: int) -> int:
    pool = machine.heap.allocate(256)
    machine.ledger.take("memory pool", pool, "a memory pool")
    return pool


alike(
    _pool,
    """
    mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data)
    mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask, int nid)
    """,
)


@function(
    "struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t"
    " align, size_t boundary)"
)
def dma_pool_create(
    machine: Machine, _name: int, _device: int, size: int, align: int, boundary: int
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
    shrinker: int prealloc_shrinker(struct shrinker *shrinker, const char *fmt, ...)
    bio set: int bioset_init(struct bio_set *bs, unsigned int pool_size, unsigned int front_pad, int flags) / void bioset_exit(struct bio_set *bs)
    memory pool: int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data) / void mempool_exit(mempool_t *pool)
    LRU list: int __list_lru_init(struct list_lru *lru, bool memcg_aware, struct lock_class_key *key, struct shrinker *shrinker) / void list_lru_destroy(struct list_lru *lru)
    """
)

machine_code(
    RETURN_ZERO,
    """
    void register_shrinker_prepared(struct shrinker *shrinker)
    int kmem_cache_shrink(struct kmem_cache *cachep)
    void __check_object_size(const void *ptr, unsigned long n, bool to_user)
    bool is_vmalloc_addr(const void *x)
    """,
)
