# SPDX-License-Identifier: Apache-2.0
"""Disks and queues, and small things of the library: masks, counters, sscanf (block/, lib/)."""

import struct

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    having,
    held,
    oops,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

PART, OPERATIONS, QUEUE = 64, 72, 80
QUEUE_DATA, QUEUE_DISK = 128, 160
PART_SECTORS, PART_DISK, PART_QUEUE = 8, 856, 864
MASKS = [
    *("alloc_cpumask_var", "zalloc_cpumask_var"),
    *("alloc_cpumask_var_node", "zalloc_cpumask_var_node"),
]
ZERO_SIZE = 16


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def kinds(machine: Machine) -> list[str]:
    return [kind for kind, _ in held(machine)]


@pytest.mark.parametrize("make", ["__blk_mq_alloc_disk", "__blk_alloc_disk"])
@pytest.mark.parametrize("end", ["put_disk", "blk_cleanup_disk"])
def test_a_disk_has_a_queue_and_a_whole_partition(machine: Machine, make: str, end: str) -> None:
    number = machine.memory.number
    disk = run(machine, make, 0, 0xDADA, 0)
    part, queue = number(disk + PART), number(disk + QUEUE)
    assert [number(queue + QUEUE_DISK), number(part + PART_DISK)] == [disk, disk]
    assert number(part + PART_QUEUE) == queue
    assert number(queue + QUEUE_DATA) == (0xDADA if make == "__blk_mq_alloc_disk" else 0)
    assert kinds(machine) == ["disk"]
    run(machine, end, disk)
    assert held(machine) == []
    assert [machine.heap.size(each) for each in (disk, part, queue)] == [None] * 3
    run(machine, end, disk)
    run(machine, end, 0)


@pytest.mark.parametrize(
    ("make", "word", "data"),
    [("__blk_mq_alloc_disk", "ppppp", 0xDADA), ("__blk_alloc_disk", "ppip", 0)],
)
def test_a_disk_is_made_with_its_limits_since_6_9(
    machine: Machine, make: str, word: str, data: int
) -> None:
    with having(**{make: word}):
        disk = run(machine, make, 0, ROOM, 0xDADA, 0)
    queue = machine.memory.number(disk + QUEUE)
    assert machine.memory.number(queue + QUEUE_DATA) == data
    assert kinds(machine) == ["disk"]


@pytest.mark.parametrize("was_added", [True, False])
def test_a_disk_that_was_added_ends_with_a_word_to_its_driver(
    machine: Machine, was_added: bool
) -> None:
    free = callback(machine)
    disk = run(machine, "__blk_alloc_disk", 0, 0)
    machine.memory.put(disk + OPERATIONS, put_structure(machine, 128, {88: free.address}))
    if was_added:
        assert run(machine, "device_add_disk", 0, disk, 0) == 0
        run(machine, "del_gendisk", disk)
    run(machine, "put_disk", disk)
    assert free.calls == was_added
    assert not was_added or free.arguments[0] == disk
    assert kinds(machine) == []


@pytest.mark.parametrize("function", ["set_capacity", "set_capacity_and_notify"])
def test_a_disk_has_as_many_sectors_as_it_is_told(machine: Machine, function: str) -> None:
    disk = run(machine, "__blk_alloc_disk", 0, 0)
    assert run(machine, function, disk, (1 << 40) + 8) == 0
    part = machine.memory.number(disk + PART)
    assert machine.memory.number(part + PART_SECTORS) == (1 << 40) + 8
    assert oops(machine, function, 0, 8).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("make", ["blk_mq_init_queue", "blk_mq_alloc_queue"])
def test_a_queue_goes_when_it_is_put(machine: Machine, make: str) -> None:
    queue = run(machine, make, ROOM, 0, 0xDADA)
    assert machine.memory.number(queue + QUEUE_DATA) == 0xDADA * (make == "blk_mq_alloc_queue")
    assert kinds(machine) == ["request queue"]
    run(machine, "blk_mq_destroy_queue", queue)
    assert machine.heap.size(queue) is not None
    run(machine, "blk_put_queue", queue)
    assert (held(machine), machine.heap.size(queue)) == ([], None)
    run(machine, "blk_put_queue", queue)


@pytest.mark.parametrize(
    "function",
    [
        *("blk_queue_max_hw_sectors", "blk_queue_logical_block_size", "blk_queue_io_min"),
        *("blk_queue_physical_block_size", "blk_queue_io_opt", "blk_queue_flag_set"),
        *("blk_queue_flag_clear", "blk_queue_write_cache", "blk_queue_max_discard_sectors"),
        *("blk_queue_max_write_zeroes_sectors", "queue_limits_commit_update"),
        *("queue_limits_commit_update_frozen", "queue_limits_set"),
    ],
)
def test_a_queues_limits_bind_nobody(machine: Machine, function: str) -> None:
    queue = run(machine, "blk_mq_init_queue", ROOM)
    before = machine.memory.read(queue, 512)
    first, second = (512, queue) if "_flag_" in function else (queue, 512)
    assert run(machine, function, first, second) == 0
    assert machine.memory.read(queue, 512) == before


@pytest.mark.parametrize("amount", [0, 7, -7, (1 << 63) - 1])
def test_a_counter_begins_with_its_amount(machine: Machine, amount: int) -> None:
    counter = put_structure(machine, 40, {8: 1})
    assert run(machine, "__percpu_counter_init", counter, amount, 0, 0) == 0
    assert machine.memory.number(counter + 8, 8, signed=True) == amount
    run(machine, "percpu_counter_destroy", counter)
    assert held(machine) == []


def test_counters_that_lie_together_begin_together(machine: Machine) -> None:
    counters = put_structure(machine, 120, {})
    assert run(machine, "__percpu_counter_init_many", counters, -7, 0, 2, 0) == 0
    amounts = [machine.memory.number(counters + 40 * at + 8, signed=True) for at in range(3)]
    assert amounts == [-7, -7, 0]
    run(machine, "percpu_counter_destroy_many", counters, 2)
    assert held(machine) == []


@pytest.mark.parametrize("function", MASKS)
def test_a_mask_has_a_bit_for_each_of_8192_processors(machine: Machine, function: str) -> None:
    assert run(machine, function, ROOM, 0, 0) == 1
    mask = machine.memory.number(ROOM)
    assert machine.heap.size(mask) == 8192 // 8
    assert machine.memory.read(mask, 1024) == bytes(1024)
    assert kinds(machine) == ["memory"]
    run(machine, "free_cpumask_var", mask)
    assert (held(machine), machine.heap.size(mask)) == ([], None)
    assert oops(machine, function, 8, 0, 0).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("function", ["bitmap_alloc", "bitmap_zalloc"])
@pytest.mark.parametrize(("bits", "size"), [(1, 8), (64, 8), (65, 16), (4096, 512)])
def test_a_bitmap_is_whole_words(machine: Machine, function: str, bits: int, size: int) -> None:
    bitmap = run(machine, function, bits, 0)
    assert machine.heap.size(bitmap) == size
    run(machine, "bitmap_free", bitmap)
    assert (held(machine), machine.heap.size(bitmap)) == ([], None)


@pytest.mark.parametrize("function", ["bitmap_alloc", "bitmap_zalloc"])
def test_no_bits_and_too_many_are_as_for_kmalloc(machine: Machine, function: str) -> None:
    assert run(machine, function, 0, 0) == ZERO_SIZE
    assert run(machine, function, 0xFFFFFFFF, 0) == 0
    run(machine, "bitmap_free", ZERO_SIZE)
    run(machine, "bitmap_free", 0)
    assert held(machine) == []


def test_a_folio_is_pages_with_one_reference(machine: Machine) -> None:
    folio = run(machine, "folio_alloc", 0, 2)
    assert addresses.VMEMMAP <= folio < addresses.VMEMMAP + addresses.VMEMMAP_SIZE
    assert folio % addresses.PAGE_STRUCT_SIZE == 0
    assert machine.memory.number(folio + 52, 4) == 1
    assert held(machine) == [("memory", "16384 bytes of memory")]
    run(machine, "__folio_put", folio)
    assert held(machine) == []
    assert run(machine, "folio_alloc", 0, 31) == 0


def test_zlib_asks_for_room_for_its_window_and_tables(machine: Machine) -> None:
    assert run(machine, "zlib_inflate_workspacesize") >= 1 << 15
    function = "zlib_deflate_workspacesize"
    for window, level in ((15, 8), (15, 9), (9, 1)):
        tables = 2 * (1 << window) + 2 * (1 << window) + 2 * (1 << level + 7) + 4 * (1 << level + 6)
        assert tables < run(machine, function, window, level) < tables + (64 << 10)
    raw = (1 << 64) - 15
    assert run(machine, function, raw, 8) == run(machine, function, 15, 8)


@pytest.mark.parametrize(
    ("given", "template", "found", "written"),
    [
        ("12 -7", "%d %d", 2, struct.pack("<iiii", 12, -1, -7, -1)),
        ("ff:1", "%hhx:%hu", 2, b"\xff\xff\xff\xff\xff\xff\xff\xff\1\0" + b"\xff" * 6),
        ("1 x", "%lu %lu", 1, struct.pack("<qq", 1, -1)),
        ("word", "%4s", 1, b"word\0" + b"\xff" * 11),
        ("x", "%d", 0, b"\xff" * 16),
        ("", "%d", 0, b"\xff" * 16),
    ],
)
def test_sscanf_writes_what_it_finds_in_the_width_that_was_asked_for(
    machine: Machine, given: str, template: str, found: int, written: bytes
) -> None:
    machine.memory.fill(ROOM, 16, 0xFF)
    words = put_text(machine, given), put_text(machine, template), ROOM, ROOM + 8
    assert run(machine, "sscanf", *words) == found
    assert machine.memory.read(ROOM, 16) == written


def test_sscanf_finds_its_seventh_place_on_the_stack(machine: Machine) -> None:
    places = [ROOM + 4 * each for each in range(6)]
    words = put_text(machine, "1 2 3 4 5 6"), put_text(machine, "%d %d %d %d %d %d")
    assert run(machine, "sscanf", *words, *places) == 6
    assert struct.unpack("<6i", machine.memory.read(ROOM, 24)) == (1, 2, 3, 4, 5, 6)
    assert oops(machine, "sscanf", *words, 8).startswith(NULL_DEREFERENCE)


def test_a_module_that_goes_without_its_disk_has_none_on_its_account(machine: Machine) -> None:
    run(machine, "__blk_alloc_disk", 0, 0)
    run(machine, "alloc_cpumask_var", ROOM, 0)
    unload(machine)
    assert held(machine) == []
    assert machine.heap.size(machine.memory.number(ROOM)) is None
