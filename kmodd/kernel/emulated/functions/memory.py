# SPDX-License-Identifier: Apache-2.0
"""Memory: kmalloc, vmalloc, device memory (mm/)."""

from collections.abc import Callable

from kmodd.kernel.emulated.abi.function_table import (
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.functions.variadic import formatted, formatted_list
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

MEMORY = "memory"
"""What an allocation is called on a ledger."""

_REQUEST_MAX = 64 << 20
UNBROKEN_MAX = 4 << 20
"""Bytes that lie in one piece in physical memory, at most (KMALLOC_MAX_SIZE)."""

_PHYSICAL_BITS = 40
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
    return allocate(machine, size) if size <= UNBROKEN_MAX else 0


def release(machine: Machine, address: int) -> None:
    """Take back what ``allocate`` gave."""
    if machine.ledger.give(MEMORY, address) is not None:
        machine.blame_use(address, machine.heap.room(address))
        machine.forget_memory(address, machine.heap.room(address))
        machine.heap.free(address)
    elif address > _ZERO_SIZE and machine.heap.size(address) is None:
        machine.blame("unowned", "memory is freed where nothing is allocated, or not any more")
        if not _is_heap(address):
            return
        where = machine.symbol(machine.calls.caller)
        machine.log.write(
            Level.ERR, f"kmodd: {where} frees {address:#x}, where nothing is allocated\n"
        )


@reclaims(MEMORY, "mapping", "name", "created device")
def reclaim(machine: Machine, address: int) -> None:
    """Free what a module has left."""
    machine.forget_memory(address, machine.heap.room(address))
    machine.heap.free(address)


def _is_heap(address: int) -> bool:
    return addresses.DIRECT_MAP <= address < addresses.DIRECT_MAP + addresses.DIRECT_MAP_SIZE


@function(
    "void *__kmalloc|__kmalloc_noprof(size_t size, gfp_t flags)",
    "void *__kmalloc_node|__kmalloc_node_noprof(size_t size, gfp_t flags, int node)",
    "void *__kmalloc_node_noprof(size_t size, void *buckets, gfp_t flags, int node)",
    "void *__kmalloc_node_track_caller|__kmalloc_node_track_caller_noprof(size_t size, gfp_t flags, int node, unsigned long caller)",
    "void *__kmalloc_node_track_caller_noprof(size_t size, void *buckets, gfp_t flags, int node, unsigned long caller)",
    "void *__kmalloc_track_caller(size_t size, gfp_t flags, unsigned long caller)",
    "void *kmalloc_large|__kmalloc_large_noprof(size_t size, gfp_t flags)",
    "void *kmalloc_large_node|__kmalloc_large_node_noprof(size_t size, gfp_t flags, int node)",
    "void *kmalloc_order|kmalloc_order_trace(size_t size, gfp_t flags, unsigned int order)",
)
def kmalloc(machine: Machine, size: int, *_rest: int) -> int:
    return allocate_unbroken(machine, size)


@function(
    "void *kvmalloc_node|kvmalloc_node_noprof|__kvmalloc_node_noprof(size_t size, gfp_t flags, int node)",
    "void *__kvmalloc_node_noprof(size_t size, void *buckets, gfp_t flags, int node)",
    "void *__kvmalloc_node_noprof(size_t size, void *buckets, unsigned long align, gfp_t flags, int node)",
)
def kvmalloc(machine: Machine, size: int, *_rest: int) -> int:
    return allocate(machine, size)


@function(
    "void *vmalloc|vmalloc_noprof(unsigned long size)",
    "void *vzalloc|vzalloc_noprof(unsigned long size)",
    "void *vmalloc_node|vmalloc_node_noprof(unsigned long size, int node)",
    "void *vzalloc_node|vzalloc_node_noprof(unsigned long size, int node)",
    "void *vmalloc_user|vmalloc_user_noprof(unsigned long size)",
    "void *vmalloc_32|vmalloc_32_noprof(unsigned long size)",
    "void *vmalloc_32_user|vmalloc_32_user_noprof(unsigned long size)",
    "void *__vmalloc|__vmalloc_noprof(unsigned long size, gfp_t gfp_mask)",
    "void *vmalloc_huge|vmalloc_huge_noprof(unsigned long size, gfp_t gfp_mask)",
    "void *vmalloc_huge_node_noprof(unsigned long size, gfp_t gfp_mask, int node)",
)
def vmalloc(machine: Machine, size: int, *_rest: int) -> int:
    return allocate(machine, size) if size else 0


@function(
    "void *kmalloc_trace|__kmalloc_cache_noprof(struct kmem_cache *cache, gfp_t flags, size_t size)",
    "void *kmem_cache_alloc_trace(struct kmem_cache *cache, gfp_t flags, size_t size)",
)
def kmalloc_trace(machine: Machine, _cache: int, _flags: int, size: int) -> int:
    return allocate_unbroken(machine, size)


@function(
    "void *kmalloc_node_trace|__kmalloc_cache_node_noprof(struct kmem_cache *cache, gfp_t flags, int node, size_t size)",
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


@function(
    "void *krealloc|krealloc_noprof(const void *p, size_t new_size, gfp_t flags)",
    "void *krealloc_node_align_noprof(const void *p, size_t new_size, unsigned long align, gfp_t flags, int nid)",
)
def krealloc(machine: Machine, old: int, size: int, *_rest: int) -> int:
    """Memory with room for that stays where it is."""
    return _reallocate(machine, old, size, allocate_unbroken)


@function(
    "void *kvrealloc_noprof(const void *p, size_t size, gfp_t flags)",
    "void *kvrealloc_node_align_noprof(const void *p, size_t size, unsigned long align, gfp_t flags, int nid)",
)
def kvrealloc_any(machine: Machine, old: int, size: int, *_rest: int) -> int:
    return _reallocate(machine, old, size, allocate)


def _reallocate(machine: Machine, old: int, size: int, take: Callable[[Machine, int], int]) -> int:
    if not size:
        release(machine, old)
        return _ZERO_SIZE
    room = machine.heap.room(old)
    if size <= room:
        return old
    fresh = take(machine, size)
    if fresh and room:
        machine.memory.write(fresh, machine.memory.read(old, room))
        release(machine, old)
    return fresh


@function("void *kvrealloc(const void *p, size_t oldsize, size_t newsize, gfp_t flags) until 6.11")
def kvrealloc(machine: Machine, old: int, before: int, size: int, _flags: int) -> int:
    if before >= size:
        return old
    fresh = allocate(machine, size)
    if fresh and before:
        machine.memory.write(fresh, machine.memory.read(old, before))
        release(machine, old)
    return fresh


@function("void *vmalloc_array_noprof|vcalloc_noprof(size_t n, size_t size)")
def vmalloc_array(machine: Machine, count: int, size: int) -> int:
    return vmalloc(machine, count * size) or 0


@function("size_t ksize(const void *objp)", "size_t __ksize(const void *objp)")
def ksize(machine: Machine, address: int) -> int:
    return machine.heap.room(address)


@function("void *kmemdup|kmemdup_noprof(const void *src, size_t len, gfp_t gfp)")
def kmemdup(machine: Machine, source: int, size: int, _flags: int) -> int:
    if size > UNBROKEN_MAX:
        return 0
    return _store(machine, machine.memory.read(source, size) if size else b"")


@function(
    "char *kstrdup(const char *s, gfp_t gfp)",
    "const char *kstrdup_const(const char *s, gfp_t gfp)",
)
def kstrdup(machine: Machine, source: int, _flags: int) -> int:
    return _store(machine, machine.memory.string(source) + b"\0") if source else 0


@function("void *kmemdup_array(const void *src, size_t count, size_t element_size, gfp_t gfp)")
def kmemdup_array(machine: Machine, source: int, count: int, size: int, flags: int) -> int:
    return kmemdup(machine, source, count * size, flags) or 0


@function("void *kvmemdup(const void *src, size_t len, gfp_t gfp)")
def kvmemdup(machine: Machine, source: int, size: int, _flags: int) -> int:
    if size > _REQUEST_MAX:
        return 0
    return _store(machine, machine.memory.read(source, size) if size else b"")


@function("char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)")
def kmemdup_nul(machine: Machine, source: int, size: int, _flags: int) -> int:
    if not source or size >= UNBROKEN_MAX:
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


machine_code(
    RETURN_ZERO,
    """
    void __check_object_size(const void *ptr, unsigned long n, bool to_user)
    bool is_vmalloc_addr(const void *x)
    """,
)
