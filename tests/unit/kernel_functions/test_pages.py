# SPDX-License-Identifier: Apache-2.0
"""Pages, what is known of each, and how they are mapped (mm/page_alloc.c, mm/vmalloc.c)."""

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import held, run
from tests.support.machine import ROOM, new_machine

ZERO_SIZE_PTR, PAGE = 16, 4096
HUGE = (1 << 64) - 1

FREEING = ("free_pages_exact", "free_pages")


def test_exact_pages_are_some() -> None:
    machine = new_machine()
    assert run(machine, "alloc_pages_exact", 0) == 0
    assert run(machine, "alloc_pages_exact", HUGE) == 0
    assert run(machine, "alloc_pages_exact", 3 * PAGE) % PAGE == 0
    assert held(machine) == [("memory", f"{3 * PAGE} bytes of memory")]


@pytest.mark.parametrize("name", FREEING)
def test_pages_that_are_freed_are_given_back_once(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    address = run(machine, "__get_free_pages", 0, 0)
    run(machine, name, address, 0)
    assert (held(machine), machine.heap.size(address), lines) == ([], None, [])
    run(machine, name, address, 0)
    assert len(lines) == 1
    assert f"frees {address:#x}, where nothing is allocated" in lines[0]


@pytest.mark.parametrize("name", FREEING)
def test_freeing_no_pages_is_silent(name: str) -> None:
    lines = list[str]()
    machine = new_machine(lines)
    run(machine, "__get_free_pages", 0, 0)
    run(machine, name, 0, 0)
    run(machine, name, ZERO_SIZE_PTR, 0)
    assert (len(held(machine)), lines) == (1, [])


@pytest.mark.parametrize("order", [0, 3, 10])
def test_pages_are_so_many_as_the_order_says(order: int) -> None:
    machine = new_machine()
    address = run(machine, "__get_free_pages", 0, order)
    assert address % PAGE == 0
    assert machine.heap.size(address) == PAGE << order
    run(machine, "free_pages", address, order)
    assert held(machine) == []


def test_a_zeroed_page_is_one_page() -> None:
    machine = new_machine()
    page = run(machine, "get_zeroed_page", 0)
    assert machine.memory.read(page, PAGE) == bytes(PAGE)
    assert held(machine) == [("memory", "4096 bytes of memory")]


@pytest.mark.parametrize("name", ["alloc_pages", "__alloc_pages", "__get_free_pages"])
@pytest.mark.parametrize("order", [11, 64, (1 << 32) - 1])
def test_there_are_no_pages_of_so_high_an_order(name: str, order: int) -> None:
    machine = new_machine()
    assert run(machine, name, 0, order) == 0
    assert held(machine) == []


@pytest.mark.parametrize("name", ["alloc_pages", "__alloc_pages"])
@pytest.mark.parametrize("freeing", ["__free_pages", "__put_page", "__folio_put"])
def test_a_page_is_known_by_its_struct(name: str, freeing: str) -> None:
    machine = new_machine()
    page = run(machine, name, 0, 1)
    assert (page - addresses.VMEMMAP) % 64 == 0
    assert machine.memory.number(page + 52, 4) == 1
    assert held(machine) == [("memory", "8192 bytes of memory")]
    machine.memory.put(ROOM, page)
    mapped = run(machine, "vmap", ROOM, 1, 0, 0)
    assert mapped - addresses.DIRECT_MAP == (page - addresses.VMEMMAP) // 64 * PAGE
    run(machine, "vunmap", mapped)
    run(machine, freeing, page, 1)
    assert (held(machine), machine.heap.size(mapped)) == ([], None)


@pytest.mark.parametrize(
    "name",
    [
        "set_memory_uc",
        "set_memory_wb",
        "set_memory_wc",
        "set_memory_x",
        "set_pages_uc",
        "set_pages_wb",
        "set_pages_array_wb",
    ],
)
def test_how_memory_is_cached_may_be_changed(name: str) -> None:
    assert run(new_machine(), name, addresses.DIRECT_MAP + PAGE, 1) == 0
