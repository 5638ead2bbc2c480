# SPDX-License-Identifier: Apache-2.0
"""Cryptographic transforms and checksums that modules use while they are loaded (crypto/, lib/)."""

import errno
import zlib

from kmodd.kernel.emulated.abi.function_table import function, makers, pairs, reclaims
from kmodd.kernel.emulated.abi.structures import CRYPTO_QUEUE
from kmodd.kernel.emulated.functions.strings import bounded
from kmodd.kernel.emulated.functions.transforms import free_transform
from kmodd.kernel.emulated.machine.machine import Machine

_TRANSFORMS = ("transform", "hash transform", "cipher transform")
_CRC32 = 0xEDB88320


@function("int alg_test(const char *driver, const char *alg, u32 type, u32 mask)")
def alg_test(_machine: Machine, *_arguments: int) -> int:
    """There is no algorithm here that could be tried."""
    return -errno.ENOENT


@function("void crypto_destroy_tfm(void *mem, struct crypto_tfm *tfm)")
def crypto_destroy_tfm(machine: Machine, made: int, _transform: int) -> None:
    for kind in _TRANSFORMS:
        if machine.ledger.give(kind, made) is not None:
            free_transform(machine, made)


@reclaims(*_TRANSFORMS)
def forget_transform(machine: Machine, made: int) -> None:
    """Free a transform."""
    free_transform(machine, made)


@function("unsigned long __crypto_memneq(const void *a, const void *b, size_t size)")
def crypto_memneq(machine: Machine, one: int, other: int, size: int) -> int:
    size = bounded(size)
    return int(machine.memory.read(one, size) != machine.memory.read(other, size))


@function("u32 crc32_le(u32 crc, const unsigned char *p, size_t len)")
def crc32_le(machine: Machine, seed: int, data: int, size: int) -> int:
    whole = machine.memory.read(data, bounded(size))
    return zlib.crc32(whole, seed ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


@function("char *bin2hex(char *dst, const void *src, size_t count)")
def bin2hex(machine: Machine, target: int, source: int, count: int) -> int:
    text = machine.memory.read(source, bounded(count)).hex().encode()
    machine.memory.write(target, text)
    return target + len(text)


@function(
    "key_ref_t key_create_or_update(key_ref_t keyring_ref, const char *type, const char *description, const void *payload, size_t plen, unsigned int perm, unsigned long flags)"
)
def key_create_or_update(_machine: Machine, ring: int, *_rest: int) -> int:
    """Keys go with their ring."""
    return ring


@function("void crypto_init_queue(struct crypto_queue *queue, unsigned int max_qlen)")
def crypto_init_queue(machine: Machine, queue: int, most: int) -> None:
    """An empty list, its backlog, how many are there and how many may be."""
    for at in (0, 8, 16):
        machine.memory.put(queue + at, queue)
    machine.memory.put(queue + CRYPTO_QUEUE.length, 0, 4)
    machine.memory.put(queue + CRYPTO_QUEUE.most, most, 4)


pairs(
    """
    int crypto_register_alg(struct crypto_alg *alg) / void crypto_unregister_alg(struct crypto_alg *alg)
    int crypto_register_algs(struct crypto_alg *algs, int count) / void crypto_unregister_algs(struct crypto_alg *algs, int count)
    int crypto_register_shash(struct shash_alg *alg) / void crypto_unregister_shash(struct shash_alg *alg)
    int crypto_register_shashes(struct shash_alg *algs, int count) / void crypto_unregister_shashes(struct shash_alg *algs, int count)
    int crypto_register_ahash(struct ahash_alg *alg) / void crypto_unregister_ahash(struct ahash_alg *alg)
    int crypto_register_ahashes(struct ahash_alg *algs, int count) / void crypto_unregister_ahashes(struct ahash_alg *algs, int count)
    int crypto_register_skcipher(struct skcipher_alg *alg) / void crypto_unregister_skcipher(struct skcipher_alg *alg)
    int crypto_register_skciphers(struct skcipher_alg *algs, int count) / void crypto_unregister_skciphers(struct skcipher_alg *algs, int count)
    int crypto_register_aead(struct aead_alg *alg) / void crypto_unregister_aead(struct aead_alg *alg)
    int crypto_register_aeads(struct aead_alg *algs, int count) / void crypto_unregister_aeads(struct aead_alg *algs, int count)
    int crypto_register_rng(struct rng_alg *alg) / void crypto_unregister_rng(struct rng_alg *alg)
    int crypto_register_rngs(struct rng_alg *algs, int count) / void crypto_unregister_rngs(struct rng_alg *algs, int count)
    int crypto_register_kpp(struct kpp_alg *alg) / void crypto_unregister_kpp(struct kpp_alg *alg)
    int crypto_register_akcipher(struct akcipher_alg *alg) / void crypto_unregister_akcipher(struct akcipher_alg *alg)
    int crypto_register_acomp(struct acomp_alg *alg) / void crypto_unregister_acomp(struct acomp_alg *alg)
    int crypto_register_scomp(struct scomp_alg *alg) / void crypto_unregister_scomp(struct scomp_alg *alg)
    int crypto_register_template(struct crypto_template *tmpl) / void crypto_unregister_template(struct crypto_template *tmpl)
    int crypto_register_templates(struct crypto_template *tmpls, int count) / void crypto_unregister_templates(struct crypto_template *tmpls, int count)
    int crypto_register_notifier(struct notifier_block *nb) / int crypto_unregister_notifier(struct notifier_block *nb)
    """,
    "crypto algorithm (EEXIST)",
)
makers(
    """
    cipher transform: struct crypto_sync_skcipher *crypto_alloc_sync_skcipher(const char *alg_name, u32 type, u32 mask)
    cipher transform: struct crypto_aead *crypto_alloc_aead(const char *alg_name, u32 type, u32 mask)
    cipher transform: struct crypto_tfm *crypto_alloc_base(const char *alg_name, u32 type, u32 mask)
    """,
    size=4096,
)
