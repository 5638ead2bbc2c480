# SPDX-License-Identifier: Apache-2.0
"""Memory: slabs, vmalloc, device memory, pools (mm/)."""

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import held, put_code, put_text, run, unload
from tests.support.machine import ROOM, new_machine

ZERO_SIZE_PTR, PAGE = 16, 4096
HUGE = (1 << 64) - 1
INT_MAX = (1 << 31) - 1

MEGABYTE = 1 << 20
CACHE = ROOM + 256

UNBROKEN = {
    "__kmalloc": (),
    "__kmalloc_node": (),
    "__kmalloc_node_track_caller": (),
    "__kmalloc_track_caller": (),
    "kmalloc_large": (),
    "kmalloc_large_node": (),
    "kmalloc_order": (),
    "kmalloc_trace": (CACHE, 0),
    "kmem_cache_alloc_trace": (CACHE, 0),
    "kmalloc_node_trace": (CACHE, 0, 0),
    "kmem_cache_alloc_node_trace": (CACHE, 0, 0),
}
"""What stands before the size for functions whose memory is in one piece."""

VIRTUAL = (
    "vmalloc",
    "vzalloc",
    "vmalloc_node",
    "vzalloc_node",
    "vmalloc_user",
    "vmalloc_32",
    "vmalloc_32_user",
    "__vmalloc",
    "vmalloc_huge",
)

FREEING = (
    "kfree",
    "kvfree",
    "kfree_sensitive",
    "kvfree_sensitive",
    "vfree",
    "vfree_atomic",
    "kfree_const",
)


@pytest.mark.parametrize("name", UNBROKEN)
def test_kmalloc_gives_memory_up_to_four_megabytes(name: str) -> None:
    machine, before = new_machine(), UNBROKEN[name]
    address = run(machine, name, *before, 100)
    assert address >= addresses.DIRECT_MAP
    assert address % 8 == 0
    assert machine.memory.read(address, 100) == bytes(100)
    assert held(machine) == [("memory", "100 bytes of memory")]
    assert run(machine, name, *before, 4 * MEGABYTE) % PAGE == 0
    assert run(machine, name, *before, 4 * MEGABYTE + 1) == 0
    assert run(machine, name, *before, HUGE) == 0
    assert run(machine, name, *before, 0) == ZERO_SIZE_PTR
    assert len(held(machine)) == 2


@pytest.mark.parametrize("name", VIRTUAL)
def test_vmalloc_gives_more_but_not_nothing(name: str) -> None:
    machine = new_machine()
    address = run(machine, name, 5 * MEGABYTE)
    assert address % PAGE == 0
    assert machine.memory.read(address + 5 * MEGABYTE - 8, 8) == bytes(8)
    assert run(machine, name, 0) == 0
    assert run(machine, name, HUGE) == 0
    assert held(machine) == [("memory", f"{5 * MEGABYTE} bytes of memory")]


def test_kvmalloc_takes_from_both() -> None:
    machine = new_machine()
    assert run(machine, "kvmalloc_node", 0) == ZERO_SIZE_PTR
    assert run(machine, "kvmalloc_node", HUGE) == 0
    assert run(machine, "kvmalloc_node", 5 * MEGABYTE) % PAGE == 0
    assert unload(machine) == [("memory", f"{5 * MEGABYTE} bytes of memory")]


@pytest.mark.parametrize("name", FREEING)
def test_what_is_freed_is_given_back_once(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    address = run(machine, "__kmalloc", 4096)
    run(machine, name, address, 0)
    assert (held(machine), machine.heap.size(address), lines) == ([], None, [])
    run(machine, name, address, 0)
    assert len(lines) == 1
    assert f"frees {address:#x}, where nothing is allocated" in lines[0]


@pytest.mark.parametrize("name", FREEING)
def test_nothing_is_freed_silently(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    run(machine, "__kmalloc", 8)
    run(machine, name, 0, 0)
    run(machine, name, ZERO_SIZE_PTR, 0)
    assert (len(held(machine)), lines) == (1, [])


def test_memory_that_rcu_frees_is_gone_after_the_grace_period() -> None:
    machine = new_machine()
    address = run(machine, "__kmalloc", 64)
    run(machine, "kvfree_call_rcu", address + 16, address)
    assert (held(machine), machine.heap.size(address)) == ([], None)


def test_what_a_module_leaves_is_reclaimed() -> None:
    machine = new_machine()
    left = [run(machine, "__kmalloc", size) for size in (10, 20)]
    assert unload(machine) == [("memory", "10 bytes of memory"), ("memory", "20 bytes of memory")]
    assert [machine.heap.size(each) for each in left] == [None, None]


def test_krealloc_keeps_the_contents_and_frees_the_old() -> None:
    machine = new_machine()
    old = run(machine, "krealloc", 0, 6)
    machine.memory.write(old, b"old bye!")
    assert run(machine, "krealloc", old, 8) == old
    fresh = run(machine, "krealloc", old, 1000)
    assert machine.memory.read(fresh, 12) == b"old bye!" + bytes(4)
    assert held(machine) == [("memory", "1000 bytes of memory")]
    assert run(machine, "krealloc", fresh, 10) == fresh
    assert run(machine, "krealloc", fresh, 4 * MEGABYTE + 1) == 0
    assert machine.heap.size(fresh) == 1000
    assert run(machine, "krealloc", fresh, 0) == ZERO_SIZE_PTR
    assert held(machine) == []


def test_kvrealloc_only_grows() -> None:
    machine = new_machine()
    old = run(machine, "kvmalloc_node", 16)
    machine.memory.write(old, b"0123456789abcdef")
    assert run(machine, "kvrealloc", old, 16, 10) == old
    assert run(machine, "kvrealloc", old, 16, HUGE) == 0
    fresh = run(machine, "kvrealloc", old, 16, 5 * MEGABYTE)
    assert machine.memory.read(fresh, 18) == b"0123456789abcdef\0\0"
    assert held(machine) == [("memory", f"{5 * MEGABYTE} bytes of memory")]
    assert run(machine, "kvrealloc", 0, 0, 10) not in (0, fresh)


@pytest.mark.parametrize("name", ["ksize", "__ksize"])
def test_the_room_of_an_allocation_is_that_of_its_cache(name: str) -> None:
    machine = new_machine()
    sizes = {8: 8, 9: 16, 65: 96, 97: 128, 129: 192, 193: 256, 5000: 8192, 9000: 16384}
    for asked, room in sizes.items():
        assert run(machine, name, run(machine, "__kmalloc", asked)) == room
    assert run(machine, name, ZERO_SIZE_PTR) == 0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("kmemdup", (3,), b"a\0b"),
        ("kstrdup", (), b"a\0"),
        ("kstrdup_const", (), b"a\0"),
        ("kstrndup", (3,), b"a\0"),
        ("kstrndup", (0,), b"\0"),
        ("kmemdup_nul", (3,), b"a\0b\0"),
    ],
)
def test_a_copy_is_memory_of_its_own(
    name: str, arguments: tuple[int, ...], expected: bytes
) -> None:
    machine = new_machine()
    machine.memory.write(ROOM, b"a\0bcd\0")
    copy = run(machine, name, ROOM, *arguments)
    assert machine.memory.read(copy, machine.heap.size(copy) or 0) == expected
    assert unload(machine) == [("memory", f"{len(expected)} bytes of memory")]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("kstrdup", ()),
        ("kstrdup_const", ()),
        ("kstrndup", (4,)),
        ("kmemdup_nul", (4,)),
        ("kmemdup", (4 * MEGABYTE + 1,)),
        ("kmemdup_nul", (HUGE,)),
    ],
)
def test_there_is_no_copy_of_nothing_nor_of_too_much(name: str, size: tuple[int, ...]) -> None:
    machine = new_machine()
    source = ROOM if size and size[0] > 4 else 0
    assert run(machine, name, source, *size) == 0
    assert held(machine) == []


def test_a_copy_of_no_bytes_looks_nowhere() -> None:
    assert run(new_machine(), "kmemdup", 0, 0) == ZERO_SIZE_PTR


def test_text_is_printed_into_memory_of_its_own() -> None:
    machine = new_machine()
    made = run(machine, "kasprintf", 0, put_text(machine, b"%d of %s", ROOM), 3, ROOM)
    assert machine.memory.string(made) == b"3 of %d of %s"
    assert held(machine) == [("memory", "14 bytes of memory")]


@pytest.mark.parametrize("name", ["kvasprintf", "kvasprintf_const"])
def test_text_is_printed_from_a_list_of_arguments(name: str) -> None:
    machine, arguments, area = new_machine(), ROOM + 256, ROOM + 512
    for at, value, size in ((0, 40, 4), (8, ROOM + 768, 8), (16, area, 8)):
        machine.memory.put(arguments + at, value, size)
    machine.memory.put(area + 40, 7)
    machine.memory.put(ROOM + 768, 8)
    made = run(machine, name, 0, put_text(machine, b"%d-%d", ROOM), arguments)
    assert machine.memory.string(made) == b"7-8"
    assert held(machine) == [("memory", "4 bytes of memory")]


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
    takers = ("kmem_cache_alloc", "kmem_cache_alloc_node", "kmem_cache_alloc_lru")
    objects = [run(machine, each, cache, 0, 0) for each in takers]
    assert [machine.memory.number(each) for each in objects] == [7, 7, 7]
    assert len(held(machine)) == 4
    for each in objects:
        run(machine, "kmem_cache_free", cache, each)
    assert run(machine, "kmem_cache_shrink", cache) == 0
    run(machine, "kmem_cache_destroy", cache)
    assert (held(machine), machine.heap.size(cache)) == ([], None)
    run(machine, "kmem_cache_destroy", 0)


@pytest.mark.parametrize(("text", "size"), [(0, 48), (ROOM, 4 * MEGABYTE + 1)])
def test_a_slab_cache_needs_a_name_and_a_size(text: int, size: int) -> None:
    machine = new_machine()
    assert run(machine, "kmem_cache_create", text, size, 0, 0, 0) == 0
    assert run(machine, "kmem_cache_create_usercopy", text, size, 0, 0, 0, 0, 0) == 0
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


MAPPINGS = {"ioremap": (), "ioremap_cache": (), "ioremap_wc": (), "ioremap_uc": ()}


@pytest.mark.parametrize(("name", "flags"), [*MAPPINGS.items(), ("memremap", (1,))])
def test_nothing_answers_at_a_physical_address(name: str, flags: tuple[int, ...]) -> None:
    machine = new_machine()
    place = run(machine, name, 0xFED00010, 32, *flags)
    assert place % PAGE == 0x10
    assert machine.memory.read(place, 32) == b"\xff" * 32
    assert held(machine) == [("mapping", "a mapping of 32 bytes at 0xfed00010")]
    run(machine, "memunmap" if flags else "iounmap", place)
    assert held(machine) == []
    run(machine, "memunmap" if flags else "iounmap", 0)


@pytest.mark.parametrize(("name", "flags"), [*MAPPINGS.items(), ("memremap", (1,))])
@pytest.mark.parametrize(("start", "size"), [(0xFED00000, 0), (1 << 40, 32), (HUGE - 15, 32)])
def test_an_address_beyond_the_processors_is_not_mapped(
    name: str, flags: tuple[int, ...], start: int, size: int
) -> None:
    machine = new_machine()
    assert run(machine, name, start, size, *flags) == 0
    assert held(machine) == []


def test_memremap_has_to_be_told_how() -> None:
    assert run(new_machine(), "memremap", 0xFED00000, 32, 0) == 0


def test_a_mapping_that_is_left_is_reclaimed() -> None:
    machine = new_machine()
    place = run(machine, "ioremap", 0xFED00000, 32)
    assert unload(machine) == [("mapping", "a mapping of 32 bytes at 0xfed00000")]
    assert machine.heap.size(place) is None


def test_memory_for_dma_has_an_address_for_the_device_too() -> None:
    machine = new_machine()
    place = run(machine, "dma_alloc_attrs", ROOM, 8192, ROOM + 8, 0, 0)
    handle = machine.memory.number(ROOM + 8)
    assert handle == place - addresses.DIRECT_MAP
    assert held(machine) == [("memory", "8192 bytes of memory")]
    run(machine, "dma_free_attrs", ROOM, 8192, place, handle, 0)
    assert held(machine) == []
    machine.memory.put(ROOM + 8, 5)
    assert run(machine, "dma_alloc_attrs", ROOM, HUGE, ROOM + 8, 0, 0) == 0
    assert machine.memory.number(ROOM + 8) == 5


@pytest.mark.parametrize("name", ["mempool_create", "mempool_create_node"])
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
    pool = run(machine, "dma_pool_create", ROOM, ROOM, size, align, boundary)
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


def test_an_object_that_a_user_copies_is_within_bounds() -> None:
    machine = new_machine()
    each = run(machine, "__kmalloc", 16)
    run(machine, "__check_object_size", each, 16, 1)
    assert run(machine, "is_vmalloc_addr", each) == 0
