# SPDX-License-Identifier: Apache-2.0
"""What all parts use: lists, trees, hash tables, pages, transforms, the processor."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _ListHead:
    """``struct list_head``"""

    next: int = 0
    previous: int = 8


@dataclass(frozen=True, slots=True)
class _TreeNode:
    """``struct rb_node``; the lowest bits of ``parent`` are the colour"""

    parent: int = 0
    right: int = 8
    left: int = 16


@dataclass(frozen=True, slots=True)
class _HashTable:
    """``struct rhashtable``, and ``struct rhltable``; ``parameters`` is a copy"""

    buckets: int = 0
    key_size: int = 8
    most: int = 12
    parameters: int = 16
    is_list: int = 56


@dataclass(frozen=True, slots=True)
class _HashParameters:
    """``struct rhashtable_params``"""

    key_size: int = 2
    head: int = 6
    hash_of_object: int = 24
    compare: int = 32
    size: int = 40


@dataclass(frozen=True, slots=True)
class _HashListEntry:
    """``struct rhlist_head``; ``same`` is the next one with the same key"""

    next: int = 0
    same: int = 8


@dataclass(frozen=True, slots=True)
class _MatchToken:
    """``struct match_token``"""

    token: int = 0
    pattern: int = 8
    size: int = 16


@dataclass(frozen=True, slots=True)
class _Substring:
    """``substring_t``"""

    start: int = 0
    end: int = 8
    size: int = 16


@dataclass(frozen=True, slots=True)
class _BucketTable:
    """``struct bucket_table``"""

    count: int = 0
    buckets: int = 64


@dataclass(frozen=True, slots=True)
class _Page:
    """``struct page``"""

    references: int = 52


@dataclass(frozen=True, slots=True)
class _PerCpuCounter:
    """``struct percpu_counter``"""

    count: int = 8


@dataclass(frozen=True, slots=True)
class _Shash:
    """``struct crypto_shash``"""

    algorithm: int = 32


@dataclass(frozen=True, slots=True)
class _ShashAlgorithm:
    """``struct shash_alg``; its functions come first"""

    base: int = 96


@dataclass(frozen=True, slots=True)
class _CryptoAlgorithm:
    """``struct crypto_alg``, which a ``struct shash_alg`` has as its base"""

    name: int = 56
    driver_name: int = 184
    name_size: int = 128


@dataclass(frozen=True, slots=True)
class _Scatterlist:
    """``struct scatterlist``; the lowest bits of ``page`` tell a chain and the end"""

    page: int = 0
    offset: int = 8
    length: int = 12
    size: int = 32


@dataclass(frozen=True, slots=True)
class _ScatterlistIterator:
    """``struct sg_mapping_iter`` with its ``struct sg_page_iter``"""

    page: int = 0
    address: int = 8
    length: int = 16
    consumed: int = 24
    entry: int = 32
    page_number: int = 40
    entries_left: int = 44
    is_begun: int = 48
    offset: int = 56
    remaining: int = 60
    flags: int = 64
    size: int = 72


@dataclass(frozen=True, slots=True)
class _Processor:
    """``struct cpuinfo_x86``"""

    features: int = 40
    feature_words: int = 24
    model: int = 152
    cache_size: int = 216
    loops_per_jiffy: int = 240
    cores: int = 256
    flush_size: int = 262
    size: int = 288


@dataclass(frozen=True, slots=True)
class _ProcessorId:
    """``struct x86_cpu_id``"""

    vendor: int = 0
    family: int = 2
    model: int = 4
    steppings: int = 6
    feature: int = 8
    size: int = 24


@dataclass(frozen=True, slots=True)
class _RateLimit:
    """``struct ratelimit_state``; ``interval`` is in ticks"""

    interval: int = 4
    burst: int = 8
    printed: int = 12
    missed: int = 16
    began: int = 24


@dataclass(frozen=True, slots=True)
class _Idr:
    """``struct idr``; ``following`` is behind the last of ``idr_alloc_cyclic``"""

    following: int = 20


@dataclass(frozen=True, slots=True)
class _CryptoQueue:
    """``struct crypto_queue``"""

    length: int = 24
    most: int = 28


@dataclass(frozen=True, slots=True)
class _ParallelInstance:
    """``struct padata_instance``"""

    kobject: int = 72


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
SHASH: Final = _Shash()
SHASH_ALGORITHM: Final = _ShashAlgorithm()
SCATTERLIST: Final = _Scatterlist()
SCATTERLIST_ITERATOR: Final = _ScatterlistIterator()
PROCESSOR: Final = _Processor()
PROCESSOR_ID: Final = _ProcessorId()
RATE_LIMIT: Final = _RateLimit()
IDR: Final = _Idr()
CRYPTO_ALGORITHM: Final = _CryptoAlgorithm()
CRYPTO_QUEUE: Final = _CryptoQueue()
PARALLEL_INSTANCE: Final = _ParallelInstance()
