# SPDX-License-Identifier: Apache-2.0
"""Disks and their queues (block/). Nothing is read or written."""

from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import RETURN, RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.abi.structures import (
    BLOCK_DEVICE,
    DISK,
    DISK_OPERATIONS,
    PER_CPU_COUNTER,
    REQUEST_QUEUE,
)
from kmodd.kernel.emulated.functions.memory import allocate, release
from kmodd.kernel.emulated.functions.pages import alloc_pages
from kmodd.kernel.emulated.functions.scan import scan
from kmodd.kernel.emulated.functions.variadic import variadic_arguments
from kmodd.kernel.emulated.machine.machine import Machine

_COUNTERS_MAX = 1024
_WINDOW_MAX, _DEFLATE_STATE = 15, 8 << 10


@dataclass(slots=True)
class AddedDisks:
    """The disks that have been added, by their addresses, until they are put."""

    by_address: dict[int, bool] = field(default_factory=dict)


def _make_queue(machine: Machine, data: int) -> int:
    queue = machine.heap.allocate(REQUEST_QUEUE.size)
    machine.memory.put(queue + REQUEST_QUEUE.data, data)
    return queue


def _make_disk(machine: Machine, data: int) -> int:
    """Return a ``struct gendisk`` with a queue and a whole partition."""
    memory = machine.memory
    disk, part = machine.heap.allocate(DISK.size), machine.heap.allocate(BLOCK_DEVICE.size)
    queue = _make_queue(machine, data)
    for address, value in (
        (disk + DISK.part0, part),
        (disk + DISK.queue, queue),
        (queue + REQUEST_QUEUE.disk, disk),
        (part + BLOCK_DEVICE.disk, disk),
        (part + BLOCK_DEVICE.queue, queue),
    ):
        memory.put(address, value)
    machine.ledger.take("disk", disk, "a disk")
    return disk


@function(
    "struct gendisk *__blk_mq_alloc_disk(struct blk_mq_tag_set *set, void *queuedata, struct"
    " lock_class_key *lkclass)"
)
def blk_mq_alloc_disk(machine: Machine, _set: int, data: int, _key: int) -> int:
    return _make_disk(machine, data)


@function(
    "struct gendisk *__blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *lim, void"
    " *queuedata, struct lock_class_key *lkclass)"
)
def blk_mq_alloc_limited_disk(
    machine: Machine, _set: int, _limits: int, data: int, _key: int
) -> int:
    return _make_disk(machine, data)


@function(
    "struct gendisk *__blk_alloc_disk(int node, struct lock_class_key *lkclass)",
    "struct gendisk *__blk_alloc_disk(struct queue_limits *lim, int node, struct lock_class_key"
    " *lkclass)",
)
def blk_alloc_disk(machine: Machine, *_arguments: int) -> int:
    return _make_disk(machine, 0)


@function("void put_disk(struct gendisk *disk)", "void blk_cleanup_disk(struct gendisk *disk)")
def put_disk(machine: Machine, disk: int) -> None:
    if machine.ledger.give("disk", disk) is not None:
        operations = machine.memory.number(disk + DISK.operations)
        last = machine.memory.number(operations + DISK_OPERATIONS.free_disk) if operations else 0
        # Its driver is told of the end of a disk that was ever added.
        if _added(machine).pop(disk, None) and last:
            machine.invoke(last, disk)
        for each in (DISK.part0, DISK.queue):
            machine.heap.free(machine.memory.number(disk + each))
        machine.heap.free(disk)


def _added(machine: Machine) -> dict[int, bool]:
    return machine.state(AddedDisks).by_address


@function(
    "int device_add_disk(struct device *parent, struct gendisk *disk, const struct attribute_group"
    " **groups)"
)
def device_add_disk(machine: Machine, _parent: int, disk: int, _groups: int) -> int:
    machine.ledger.take("added disk", disk)
    _added(machine)[disk] = True
    return 0


@function("void del_gendisk(struct gendisk *disk)")
def del_gendisk(machine: Machine, disk: int) -> None:
    machine.ledger.give("added disk", disk)


@function("struct request_queue *blk_mq_init_queue(struct blk_mq_tag_set *set)")
def blk_mq_init_queue(machine: Machine, _set: int) -> int:
    queue = _make_queue(machine, 0)
    machine.ledger.take("request queue", queue)
    return queue


@function(
    "struct request_queue *blk_mq_alloc_queue(struct blk_mq_tag_set *set, struct queue_limits *lim,"
    " void *queuedata)"
)
def blk_mq_alloc_queue(machine: Machine, _set: int, _limits: int, data: int) -> int:
    queue = _make_queue(machine, data)
    machine.ledger.take("request queue", queue)
    return queue


@function("void blk_mq_destroy_queue(struct request_queue *q)")
def blk_mq_destroy_queue(_machine: Machine, _queue: int) -> None:
    """It goes with its last reference."""


@function("void blk_put_queue(struct request_queue *q)")
def blk_put_queue(machine: Machine, queue: int) -> None:
    if machine.ledger.give("request queue", queue) is not None:
        machine.heap.free(queue)


machine_code(
    RETURN_ZERO,
    """
    int queue_limits_commit_update(struct request_queue *q, struct queue_limits *lim)
    int queue_limits_commit_update_frozen(struct request_queue *q, struct queue_limits *lim)
    int queue_limits_set(struct request_queue *q, struct queue_limits *lim)
    """,
)
machine_code(
    RETURN,
    """
    void blk_queue_max_hw_sectors(struct request_queue *q, unsigned int max_hw_sectors)
    void blk_queue_logical_block_size(struct request_queue *q, unsigned int size)
    void blk_queue_physical_block_size(struct request_queue *q, unsigned int size)
    void blk_queue_io_min(struct request_queue *q, unsigned int min)
    void blk_queue_io_opt(struct request_queue *q, unsigned int opt)
    void blk_queue_flag_set(unsigned int flag, struct request_queue *q)
    void blk_queue_flag_clear(unsigned int flag, struct request_queue *q)
    void blk_queue_write_cache(struct request_queue *q, bool wc, bool fua)
    void blk_queue_max_discard_sectors(struct request_queue *q, unsigned int max_discard_sectors)
    void blk_queue_max_write_zeroes_sectors(struct request_queue *q, unsigned int max_write_same_sectors)
    """,
)


@function("void set_capacity(struct gendisk *disk, sector_t sectors)")
def set_capacity(machine: Machine, disk: int, sectors: int) -> None:
    """Tell how many sectors the whole partition has."""
    part = machine.memory.number(disk + DISK.part0)
    machine.memory.put(part + BLOCK_DEVICE.sectors, sectors)


@function("bool set_capacity_and_notify(struct gendisk *disk, sector_t size)")
def set_capacity_and_notify(machine: Machine, disk: int, sectors: int) -> int:
    """Nobody is told, since no disk has come to life."""
    set_capacity(machine, disk, sectors)
    return 0


@function(
    "int __percpu_counter_init(struct percpu_counter *fbc, s64 amount, gfp_t gfp, struct"
    " lock_class_key *key)"
)
def percpu_counter_init(machine: Machine, counter: int, amount: int, *_rest: int) -> int:
    machine.memory.put(counter + PER_CPU_COUNTER.count, amount)
    return 0


@function(
    "int __percpu_counter_init_many(struct percpu_counter *fbc, s64 amount, gfp_t gfp, u32"
    " nr_counters, struct lock_class_key *key)"
)
def percpu_counter_init_many(
    machine: Machine, counters: int, amount: int, _flags: int, count: int, _key: int
) -> int:
    for at in range(min(count, _COUNTERS_MAX)):
        percpu_counter_init(machine, counters + at * PER_CPU_COUNTER.size, amount)
    return 0


@function(
    "void percpu_counter_destroy(struct percpu_counter *fbc)",
    "void percpu_counter_destroy_many(struct percpu_counter *fbc, u32 nr_counters)",
)
def percpu_counter_destroy(_machine: Machine, _counter: int, *_count: int) -> None:
    """The counters have nothing to give back."""


@function(
    "bool alloc_cpumask_var_node(cpumask_var_t *mask, gfp_t flags, int node)",
    "bool zalloc_cpumask_var_node(cpumask_var_t *mask, gfp_t flags, int node)",
    "bool alloc_cpumask_var(cpumask_var_t *mask, gfp_t flags)",
    "bool zalloc_cpumask_var(cpumask_var_t *mask, gfp_t flags)",
)
def alloc_cpumask_var(machine: Machine, mask: int, *_rest: int) -> int:
    machine.memory.put(mask, allocate(machine, 1024))
    return 1


@function(
    "void free_cpumask_var(cpumask_var_t mask)", "void bitmap_free(const unsigned long *bitmap)"
)
def free_cpumask_var(machine: Machine, mask: int) -> None:
    release(machine, mask)


@function(
    "unsigned long *bitmap_zalloc(unsigned int nbits, gfp_t flags)",
    "unsigned long *bitmap_alloc(unsigned int nbits, gfp_t flags)",
)
def bitmap_zalloc(machine: Machine, bits: int, _flags: int) -> int:
    return allocate(machine, -(-bits // 64) * 8)


@function("struct folio *folio_alloc|folio_alloc_noprof(gfp_t gfp, unsigned int order)")
def folio_alloc(machine: Machine, _flags: int, order: int) -> int:
    return alloc_pages(machine, 0, order) or 0


@function("int zlib_inflate_workspacesize(void)")
def zlib_inflate_workspacesize(_machine: Machine) -> int:
    return 64 << 10


@function("int zlib_deflate_workspacesize(int windowBits, int memLevel)")
def zlib_deflate_workspacesize(_machine: Machine, window: int, level: int) -> int:
    """The window twice, the tables of links and heads, what is put out, and the state."""
    window, level = min(abs(window), _WINDOW_MAX), max(level, 1)
    return (4 << window) + (2 << level + 7) + (4 << level + 6) + _DEFLATE_STATE


@function("int sscanf(const char *buf, const char *fmt, ...)")
def sscanf(machine: Machine, text: int, template: int) -> int:
    words = variadic_arguments(machine, 2)
    found = scan(machine.memory.string(text), machine.memory.string(template))
    for size, value in found:
        target = next(words)
        if isinstance(value, bytes):
            machine.memory.write(target, value + b"\0")
        else:
            machine.memory.put(target, value, size)
    return len(found)
