# SPDX-License-Identifier: Apache-2.0
"""Memory that each processor has of its own (mm/percpu.c)."""

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import held, run, unload
from tests.support.machine import new_machine

HUGE = (1 << 64) - 1


NAMES = ("__alloc_percpu", "__alloc_percpu_gfp", "pcpu_alloc_noprof")


@pytest.mark.parametrize("name", NAMES)
def test_per_cpu_memory_is_an_offset_into_each_processors_area(name: str) -> None:
    machine = new_machine()
    offset = run(machine, name, 24, 8)
    assert machine.memory.read(addresses.PER_CPU + offset, 24) == bytes(24)
    aligned = run(machine, name, 96, 64)
    assert (addresses.PER_CPU + aligned) % 64 == 0
    assert held(machine)[0] == ("per-CPU memory", "24 bytes of per-CPU memory")
    for each in (offset, aligned, 0):
        run(machine, "free_percpu", each)
    assert held(machine) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "align"), [(0, 8), (32769, 8), (HUGE, 8), (8, 8192), (8, 24)])
def test_per_cpu_memory_has_a_size_and_an_alignment_in_bounds(
    name: str, size: int, align: int
) -> None:
    machine = new_machine()
    assert run(machine, name, size, align) == 0
    assert held(machine) == []


def test_per_cpu_memory_that_is_left_is_reclaimed() -> None:
    machine = new_machine()
    first = run(machine, "__alloc_percpu", 64, 8)
    assert unload(machine) == [("per-CPU memory", "64 bytes of per-CPU memory")]
    assert run(machine, "__alloc_percpu", 64, 8) == first
