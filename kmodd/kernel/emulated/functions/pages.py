# SPDX-License-Identifier: Apache-2.0
"""Pages, what is known of each, and how they are mapped (mm/page_alloc.c, mm/vmalloc.c)."""

from kmodd.kernel.emulated.abi.function_table import RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import PAGE_STRUCT
from kmodd.kernel.emulated.functions.memory import allocate, allocate_unbroken, release
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine

_ORDER_MAX = 10


def page_of(address: int) -> int:
    """Return the ``struct page`` of memory at an address of the direct map (virt_to_page)."""
    number = (address - addresses.DIRECT_MAP) // PAGE
    return addresses.VMEMMAP + number * addresses.PAGE_STRUCT_SIZE


def address_of(page: int) -> int:
    """Return where a page's memory is (page_address)."""
    number = (page - addresses.VMEMMAP) // addresses.PAGE_STRUCT_SIZE
    return addresses.DIRECT_MAP + number * PAGE


@function("void *alloc_pages_exact|alloc_pages_exact_noprof(size_t size, gfp_t gfp_mask)")
def alloc_pages_exact(machine: Machine, size: int, _flags: int) -> int:
    return allocate_unbroken(machine, size) if size else 0


@function(
    "unsigned long __get_free_pages|get_free_pages_noprof(gfp_t gfp_mask, unsigned int order)"
)
def get_free_pages(machine: Machine, _flags: int, order: int) -> int:
    return allocate(machine, PAGE << order) if order <= _ORDER_MAX else 0


@function("unsigned long get_zeroed_page|get_zeroed_page_noprof(gfp_t gfp_mask)")
def get_zeroed_page(machine: Machine, _flags: int) -> int:
    return allocate(machine, PAGE)


@function(
    "struct page *alloc_pages|alloc_pages_noprof|alloc_pages_current(gfp_t gfp, unsigned int order)",
    "struct page *__alloc_pages|__alloc_pages_noprof|__alloc_pages_nodemask(gfp_t gfp, unsigned int order, int preferred_nid, nodemask_t *mask)",
)
def alloc_pages(machine: Machine, flags: int, order: int, *_rest: int) -> int:
    address = get_free_pages(machine, flags, order)
    if not address:
        return 0
    page = page_of(address)
    machine.memory.put(page + PAGE_STRUCT.references, 1, 4)
    return page


@function(
    "void free_pages(unsigned long addr, unsigned int order)",
    "void free_pages_exact(void *virt, size_t size)",
)
def free_pages(machine: Machine, address: int, _size: int) -> None:
    release(machine, address)


@function("void __free_pages(struct page *page, unsigned int order)")
def free_pages_of_struct(machine: Machine, page: int, _order: int) -> None:
    release(machine, address_of(page))


@function("void __put_page(struct page *page)", "void __folio_put(struct folio *folio)")
def put_page(machine: Machine, page: int) -> None:
    release(machine, address_of(page))


@function(
    "void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot)",
)
def vmap(machine: Machine, pages: int, _count: int, _flags: int, _protection: int) -> int:
    return address_of(machine.memory.number(pages))


machine_code(
    RETURN_ZERO,
    """
    void vunmap(const void *addr)
    int set_memory_uc(unsigned long addr, int numpages)
    int set_memory_wb(unsigned long addr, int numpages)
    int set_memory_wc(unsigned long addr, int numpages)
    int set_memory_x(unsigned long addr, int numpages)
    int set_pages_uc(struct page *page, int numpages)
    int set_pages_wb(struct page *page, int numpages)
    int set_pages_array_wb(struct page **pages, int addrinarray)
    """,
)
