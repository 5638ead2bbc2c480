# SPDX-License-Identifier: Apache-2.0
"""Memory that each processor has of its own (mm/percpu.c)."""

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.memory import PAGE
from kmodd.kernel.emulated.machine.machine import Machine

_PER_CPU = "per-CPU memory"
_SIZE_MAX = 32 << 10


@reclaims(_PER_CPU)
def reclaim(machine: Machine, address: int) -> None:
    """Free what a module has left."""
    machine.per_cpu.free(address)


@function("void __percpu *__alloc_percpu(size_t size, size_t align)")
def alloc_percpu(machine: Machine, size: int, align: int) -> int:
    return _allocate_per_cpu(machine, size, align)


@function("void __percpu *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp)")
def alloc_percpu_gfp(machine: Machine, size: int, align: int, _flags: int) -> int:
    return _allocate_per_cpu(machine, size, align)


@function("void __percpu *pcpu_alloc_noprof(size_t size, size_t align, bool reserved, gfp_t gfp)")
def pcpu_alloc(machine: Machine, size: int, align: int, _reserved: int, _flags: int) -> int:
    return _allocate_per_cpu(machine, size, align)


def _allocate_per_cpu(machine: Machine, size: int, align: int) -> int:
    align = max(align, 8)
    if not 0 < size <= _SIZE_MAX or align > PAGE or align & align - 1:
        return 0
    address = machine.per_cpu.allocate(-(-size // align) * align)
    if not address:
        return 0
    machine.ledger.take(_PER_CPU, address, f"{size} bytes of per-CPU memory")
    return address - addresses.PER_CPU


@function("void free_percpu(void __percpu *ptr)")
def free_percpu(machine: Machine, pointer: int) -> None:
    address = (pointer + addresses.PER_CPU) & (1 << 64) - 1
    if machine.ledger.give(_PER_CPU, address) is not None:
        machine.per_cpu.free(address)
