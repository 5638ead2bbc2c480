# SPDX-License-Identifier: Apache-2.0
"""Memory: kmalloc, vmalloc, device memory (mm/)."""

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import having, held, put_text, run, unload
from tests.support.machine import ROOM, new_machine

ZERO_SIZE_PTR, PAGE = 16, 4096
HUGE = (1 << 64) - 1

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
    "__kmalloc_noprof": (),
    "__kmalloc_node_noprof": (),
    "__kmalloc_node_track_caller_noprof": (),
    "__kmalloc_large_noprof": (),
    "__kmalloc_large_node_noprof": (),
    "kmalloc_order_trace": (),
    "__kmalloc_cache_noprof": (CACHE, 0),
    "__kmalloc_cache_node_noprof": (CACHE, 0, 0),
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
    *("vmalloc_noprof", "vzalloc_noprof", "vmalloc_node_noprof", "vzalloc_node_noprof"),
    *("vmalloc_user_noprof", "vmalloc_32_noprof", "vmalloc_32_user_noprof", "__vmalloc_noprof"),
    *("vmalloc_huge_noprof", "vmalloc_huge_node_noprof"),
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


@pytest.mark.parametrize(
    "name", ["kvmalloc_node", "kvmalloc_node_noprof", "__kvmalloc_node_noprof"]
)
def test_kvmalloc_takes_from_both(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, 0) == ZERO_SIZE_PTR
    assert run(machine, name, HUGE) == 0
    assert run(machine, name, 5 * MEGABYTE) % PAGE == 0
    assert unload(machine) == [("memory", f"{5 * MEGABYTE} bytes of memory")]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("__kmalloc_node_noprof", "p8p4i"),
        ("__kmalloc_node_track_caller_noprof", "p8p4i8"),
        ("__kvmalloc_node_noprof", "p8p4i"),
        ("__kvmalloc_node_noprof", "p8p84i"),
    ],
)
def test_memory_may_be_taken_from_buckets(name: str, word: str) -> None:
    machine = new_machine()
    with having(**{name: word}):
        made = run(machine, name, 48, ROOM, 0, 0)
    assert machine.heap.size(made) == 48


@pytest.mark.parametrize("name", ["vmalloc_array_noprof", "vcalloc_noprof"])
def test_an_array_has_room_for_all_its_elements(name: str) -> None:
    machine = new_machine()
    assert machine.heap.size(run(machine, name, 12, 8)) == 96
    assert [run(machine, name, 0, 8), run(machine, name, HUGE, 2)] == [0, 0]


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


UNBROKEN_AGAIN = ("krealloc", "krealloc_noprof", "krealloc_node_align_noprof")
ANY_AGAIN = ("kvrealloc_noprof", "kvrealloc_node_align_noprof")


@pytest.mark.parametrize("name", [*UNBROKEN_AGAIN, *ANY_AGAIN])
def test_krealloc_keeps_the_contents_and_frees_the_old(name: str) -> None:
    machine = new_machine()
    old = run(machine, name, 0, 6)
    machine.memory.write(old, b"old bye!")
    assert run(machine, name, old, 8) == old
    fresh = run(machine, name, old, 1000)
    assert machine.memory.read(fresh, 12) == b"old bye!" + bytes(4)
    assert held(machine) == [("memory", "1000 bytes of memory")]
    assert run(machine, name, fresh, 10) == fresh
    assert run(machine, name, fresh, HUGE) == 0
    assert machine.heap.size(fresh) == 1000
    assert run(machine, name, fresh, 0) == ZERO_SIZE_PTR
    assert held(machine) == []
    assert bool(run(machine, name, 0, 4 * MEGABYTE + 1)) is (name in ANY_AGAIN)


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
        ("kmemdup_noprof", (3,), b"a\0b"),
        ("kmemdup_array", (3, 2), b"a\0bcd\0"),
        ("kvmemdup", (3,), b"a\0b"),
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
        ("kmemdup_array", (4 * MEGABYTE, 2)),
        ("kvmemdup", (HUGE,)),
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


def test_an_object_that_a_user_copies_is_within_bounds() -> None:
    machine = new_machine()
    each = run(machine, "__kmalloc", 16)
    run(machine, "__check_object_size", each, 16, 1)
    assert run(machine, "is_vmalloc_addr", each) == 0
