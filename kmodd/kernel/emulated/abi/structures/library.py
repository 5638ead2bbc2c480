# SPDX-License-Identifier: Apache-2.0
"""What all parts use: lists, trees, hash tables, pages, transforms, the processor."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, bytes_of, since_6_1, whole


class _ListHead(Structure, of="list_head"):
    """``struct list_head``"""

    next: int = at(0)
    previous: int = at(8, "prev")


class _TreeNode(Structure, of="rb_node"):
    """``struct rb_node``; the lowest bits of ``parent`` are the colour"""

    parent: int = at(0, "__rb_parent_color")
    right: int = at(8, "rb_right")
    left: int = at(16, "rb_left")


class _HashTable(Structure, of="rhashtable"):
    """``struct rhashtable``, and ``struct rhltable``; ``parameters`` is a copy"""

    buckets: int = at(0, "tbl")
    key_size: int = at(8, "key_len")
    most: int = at(12, "max_elems")
    parameters: int = at(16, "p")
    is_list: int = at(56, "rhlist")


class _HashParameters(Structure, of="rhashtable_params"):
    """``struct rhashtable_params``"""

    key_size: int = at(2, "key_len")
    head: int = at(6, "head_offset")
    hash_of_object: int = at(24, "obj_hashfn")
    compare: int = at(32, "obj_cmpfn")
    size: int = whole(40)


class _HashListEntry(Structure, of="rhlist_head"):
    """``struct rhlist_head``; ``same`` is the next one with the same key"""

    next: int = at(0, "rhead")
    same: int = at(8, "next")


class _MatchToken(Structure, of="match_token"):
    """``struct match_token``"""

    token: int = at(0)
    pattern: int = at(8)
    size: int = whole(16)


class _Substring(Structure, of="substring_t"):
    """``substring_t``"""

    start: int = at(0, "from")
    end: int = at(8, "to")
    size: int = whole(16)


class _BucketTable(Structure, of="bucket_table"):
    """``struct bucket_table``"""

    count: int = at(0, "size")
    buckets: int = at(64)


class _Page(Structure, of="page"):
    """``struct page``"""

    references: int = at(52, "_refcount")


class _PerCpuCounter(Structure, of="percpu_counter"):
    """``struct percpu_counter``"""

    count: int = at(8)
    size: int = whole(40)


class _Scatterlist(Structure, of="scatterlist"):
    """``struct scatterlist``; the lowest bits of ``page`` tell a chain and the end"""

    page: int = at(0, "page_link")
    offset: int = at(8)
    length: int = at(12)
    size: int = whole(32)


class _ScatterlistIterator(Structure, of="sg_mapping_iter"):
    """``struct sg_mapping_iter`` with its ``struct sg_page_iter``"""

    page: int = at(0)
    address: int = at(8, "addr")
    length: int = at(16)
    consumed: int = at(24)
    entry: int = at(32, "piter.sg")
    page_number: int = at(40, "piter.sg_pgoffset")
    entries_left: int = at(44, "piter.__nents")
    is_begun: int = at(48, "piter.__pg_advance")
    offset: int = at(56, "__offset")
    remaining: int = at(60, "__remaining")
    flags: int = at(64, "__flags")
    size: int = whole(72)


class _Processor(Structure, of="cpuinfo_x86"):
    """``struct cpuinfo_x86``"""

    features: int = at(40, "x86_capability")
    features_size: int = bytes_of(96, "x86_capability")
    family: int = at(0, "x86")
    vendor: int = at(1, "x86_vendor")
    model: int = at(2, "x86_model")
    stepping: int = at(3, "x86_stepping")
    virtual_bits: int = at(28, "x86_virt_bits")
    physical_bits: int = at(29, "x86_phys_bits")
    level: int = at(36, "cpuid_level")
    name: int = at(152, "x86_model_id")
    cache_size: int = at(216, "x86_cache_size")
    loops_per_jiffy: int = at(240)
    cores: int = at(256, "x86_max_cores")
    flush_size: int = at(262, "x86_clflush_size")
    size: int = whole(288)


class _Paravirtual(Structure, of="paravirt_patch_template"):
    """``struct paravirt_patch_template``, of which there is one: ``pv_ops``"""

    save_flags: int = at(240, "irq.save_fl")
    disable_interrupts: int = at(248, "irq.irq_disable")
    enable_interrupts: int = at(256, "irq.irq_enable")


class _ProcessorId(Structure, of="x86_cpu_id"):
    """``struct x86_cpu_id``"""

    vendor: int = at(0)
    family: int = at(2)
    model: int = at(4)
    steppings: int = at(6)
    feature: int = at(8)
    size: int = whole(24)


class _RateLimit(Structure, of="ratelimit_state"):
    """``struct ratelimit_state``; ``interval`` is in ticks"""

    interval: int = at(4)
    burst: int = at(8)
    printed: int = at(12)
    missed: int = at(16)
    began: int = at(24, "begin")


class _Idr(Structure, of="idr"):
    """``struct idr``; ``following`` is behind the last of ``idr_alloc_cyclic``"""

    following: int = at(20, "idr_next")


class _CacheArguments(Structure, of="kmem_cache_args"):
    """``struct kmem_cache_args``"""

    constructor: int = since_6_1("ctor")


class _ParallelInstance(Structure, of="padata_instance"):
    """``struct padata_instance``"""

    kobject: int = at(72, "kobj")


LIST_HEAD: Final = _ListHead()
TREE_NODE: Final = _TreeNode()
HASH_TABLE: Final = _HashTable()
HASH_PARAMETERS: Final = _HashParameters()
HASH_LIST_ENTRY: Final = _HashListEntry()
MATCH_TOKEN: Final = _MatchToken()
SUBSTRING: Final = _Substring()
BUCKET_TABLE: Final = _BucketTable()
PAGE_STRUCT: Final = _Page()
PER_CPU_COUNTER: Final = _PerCpuCounter()
SCATTERLIST: Final = _Scatterlist()
SCATTERLIST_ITERATOR: Final = _ScatterlistIterator()
PARAVIRTUAL: Final = _Paravirtual()
PROCESSOR: Final = _Processor()
PROCESSOR_ID: Final = _ProcessorId()
RATE_LIMIT: Final = _RateLimit()
IDR: Final = _Idr()
CACHE_ARGUMENTS: Final = _CacheArguments()
PARALLEL_INSTANCE: Final = _ParallelInstance()
