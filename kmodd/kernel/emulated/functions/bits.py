# SPDX-License-Identifier: Apache-2.0
"""Bitmaps, sorting and chance (lib/find_bit.c, lib/bitmap.c, lib/sort.c, drivers/char/random.c)."""

import os
from functools import cmp_to_key

from kmodd.kernel.emulated.abi.function_table import RETURN_ONE, RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.functions.strings import bounded
from kmodd.kernel.emulated.machine.machine import Machine

SORT_MAX = 100_000
"""Elements that one call sorts at most."""


@function(
    "unsigned long _find_first_bit|find_first_bit(const unsigned long *addr, unsigned long size)"
)
def find_first_bit(machine: Machine, bits: int, size: int) -> int:
    return _find(machine, bits, size, 0, zero=False)


@function(
    "unsigned long _find_first_zero_bit|find_first_zero_bit(const unsigned long *addr, unsigned long size)"
)
def find_first_zero_bit(machine: Machine, bits: int, size: int) -> int:
    return _find(machine, bits, size, 0, zero=True)


@function(
    "unsigned long _find_next_bit|find_next_bit(const unsigned long *addr1, unsigned long nbits, unsigned long"
    " start)"
)
def find_next_bit(machine: Machine, bits: int, size: int, start: int) -> int:
    return _find(machine, bits, size, start, zero=False)


@function(
    "unsigned long _find_next_zero_bit|find_next_zero_bit(const unsigned long *addr1, unsigned long nbits, unsigned"
    " long start)"
)
def find_next_zero_bit(machine: Machine, bits: int, size: int, start: int) -> int:
    return _find(machine, bits, size, start, zero=True)


@function(
    "unsigned long _find_next_and_bit|find_next_and_bit(const unsigned long *addr1, const unsigned long *addr2,"
    " unsigned long nbits, unsigned long start)"
)
def find_next_and_bit(machine: Machine, one: int, other: int, size: int, start: int) -> int:
    return _first(_bits(machine, one, size) & _bits(machine, other, size), size, start)


@function("unsigned int cpumask_next(int n, const struct cpumask *srcp)")
def cpumask_next(machine: Machine, last: int, mask: int) -> int:
    """Return the next processor of a mask: the only one there is, or 1 where none is left."""
    return 0 if last < 0 and machine.memory.number(mask) & 1 else 1


@function("int cpumask_next_wrap(int n, const struct cpumask *mask, int start, bool wrap)")
def cpumask_next_wrap(machine: Machine, last: int, mask: int, _start: int, wrap: int) -> int:
    """Once it has ``wrap``, it has come round to where it began."""
    return 1 if wrap else cpumask_next(machine, last, mask) or 0


@function(
    "unsigned int cpumask_next_and(int n, const struct cpumask *src1p, const struct cpumask *src2p)"
)
def cpumask_next_and(machine: Machine, last: int, one: int, other: int) -> int:
    return cpumask_next(machine, last, one) or cpumask_next(machine, last, other) or 0


@function("unsigned int cpumask_any_but(const struct cpumask *mask, unsigned int cpu)")
def cpumask_any_but(machine: Machine, mask: int, processor: int) -> int:
    return cpumask_next(machine, -1 if processor else 0, mask) or 0


def _bits(machine: Machine, address: int, size: int) -> int:
    return machine.memory.number(address, -(-bounded(size) // 64) * 8) if size else 0


def _find(machine: Machine, address: int, size: int, start: int, *, zero: bool) -> int:
    word = _bits(machine, address, size)
    return _first(~word if zero else word, size, start)


def _first(word: int, size: int, start: int) -> int:
    word &= (1 << size) - 1
    word = word >> start << start if start < size else 0
    return (word & -word).bit_length() - 1 if word else size


@function("void __bitmap_set(unsigned long *map, unsigned int start, int len)")
def bitmap_set(machine: Machine, bits: int, start: int, count: int) -> None:
    _change(machine, bits, start, count, lambda word, mask: word | mask)


@function("void __bitmap_clear(unsigned long *map, unsigned int start, int len)")
def bitmap_clear(machine: Machine, bits: int, start: int, count: int) -> None:
    _change(machine, bits, start, count, lambda word, mask: word & ~mask)


def _change(machine: Machine, bits: int, start: int, count: int, how: object) -> None:
    size = -(-(start + bounded(max(count, 0))) // 64) * 8
    mask = ((1 << max(count, 0)) - 1) << start
    word = machine.memory.number(bits, size) if size else 0
    assert callable(how)
    if size:
        machine.memory.put(bits, how(word, mask), size)


@function(
    "int __bitmap_weight(const unsigned long *bitmap, unsigned int nbits)",
    "unsigned int __bitmap_weight_u(const unsigned long *bitmap, unsigned int nbits)",
)
def bitmap_weight(machine: Machine, bits: int, size: int) -> int:
    return (_bits(machine, bits, size) & (1 << size) - 1).bit_count()


@function("unsigned int __sw_hweight32(unsigned int w)", "unsigned long __sw_hweight64(u64 w)")
def hweight(_machine: Machine, word: int) -> int:
    return word.bit_count()


@function(
    "void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)"
)
def sort(machine: Machine, base: int, count: int, size: int, compare: int, _swap: int) -> None:
    """Insertion by bisection into a copy: each comparison is a call into the module."""
    if count > SORT_MAX or size > 4096:
        raise ValueError(f"{count} elements of {size} bytes")
    elements = [machine.memory.read(base + size * at, size) for at in range(count)]
    if count < 2:
        return
    scratch = machine.heap.allocate(2 * size)
    try:
        _merge_sort(machine, elements, compare, scratch, size)
    finally:
        machine.heap.free(scratch)
    machine.memory.write(base, b"".join(elements))


def _merge_sort(
    machine: Machine, elements: list[bytes], compare: int, scratch: int, size: int
) -> None:
    def ask(one: bytes, other: bytes) -> int:
        machine.memory.write(scratch, one + other)
        return machine.call(compare, scratch, scratch + size)

    elements.sort(key=cmp_to_key(ask))


@function("void get_random_bytes(void *buf, size_t len)")
def get_random_bytes(machine: Machine, buffer: int, size: int) -> None:
    machine.memory.write(buffer, os.urandom(bounded(size)))


@function(
    "u32 get_random_u32(void)",
    "u64 get_random_u64(void)",
    "u8 get_random_u8(void)",
    "u16 get_random_u16(void)",
)
def get_random(_machine: Machine) -> int:
    return int.from_bytes(os.urandom(8), "little")


machine_code(
    RETURN_ZERO,
    """
    u32 prandom_u32_max(u32 ep_ro)
    int wait_for_random_bytes(void)
    """,
)
machine_code(RETURN_ONE, "bool rng_is_initialized(void)")
