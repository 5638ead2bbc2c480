# SPDX-License-Identifier: Apache-2.0
"""Digests, with a key and without (crypto/shash.c, crypto/ahash.c, crypto/hmac.c).

They are computed where Python has them; of others nothing is, and that is told. Nobody has hardware
for them, so that a request is answered at once.
"""

import errno
import hashlib
import hmac
from typing import Any

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import (
    AHASH,
    AHASH_REQUEST,
    CRYPTO_ALGORITHM,
    HASH_ALGORITHM,
    SHASH,
    SHASH_ALGORITHM,
    SHASH_DESCRIPTOR,
)
from kmodd.kernel.emulated.functions.scatterlists import read_list
from kmodd.kernel.emulated.functions.strings import bounded
from kmodd.kernel.emulated.functions.transforms import (
    NEED_KEY,
    Transform,
    make_transform,
    transform_at,
)
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.state import KeptByAddress

Digest = Any
"""A digest of Python's under way: of hashlib, or of hmac."""

_STATE_SIZE = 208
"""Bytes that a module leaves for a digest's state (struct sha512_state); they stay empty here."""

_NAMES = {
    **{each: each for each in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")},
    **{f"sha3-{size}": f"sha3_{size}" for size in (224, 256, 384, 512)},
}
"""The kernel's names, and Python's."""


class Digests(KeptByAddress[Digest]):
    """Those that are under way, by the structure that the module asks with."""


def _python_name(algorithm: str) -> str:
    """Return what a digest is called in Python, empty for none."""
    return _NAMES.get(algorithm.removeprefix("hmac(").removesuffix(")"), "")


def _is_keyed(algorithm: str) -> bool:
    return algorithm.startswith("hmac(") and algorithm.endswith(")")


def _begin(transform: Transform) -> Digest | None:
    """Return a new digest, None for one that is not known here."""
    name = _python_name(transform.algorithm)
    if not name:
        return None
    if _is_keyed(transform.algorithm):
        return hmac.new(transform.key or b"", digestmod=name)
    return hashlib.new(name, usedforsecurity=False)


def _make(
    machine: Machine, kind: str, name: int, pointer: int, base: int, flags: int, size_at: int
) -> int:
    made = make_transform(machine, kind, name, pointer=pointer, base=base)
    transform = transform_at(machine, made)
    digest = _begin(transform)
    if digest is None:
        machine.note_unmodelled(f"digest {transform.algorithm}")
        return made
    algorithm = machine.memory.number(made + pointer)
    machine.memory.put(algorithm - base + size_at, digest.digest_size, 4)
    machine.memory.put(algorithm + CRYPTO_ALGORITHM.block_size, digest.block_size, 4)
    machine.memory.put(made + flags, NEED_KEY if _is_keyed(transform.algorithm) else 0, 4)
    return made


@function("struct crypto_shash *crypto_alloc_shash(const char *alg_name, u32 type, u32 mask)")
def crypto_alloc_shash(machine: Machine, name: int, _type: int, _mask: int) -> int:
    fields = SHASH_ALGORITHM
    made = _make(
        machine, "transform", name, SHASH.algorithm, fields.base, SHASH.flags, fields.digest_size
    )
    if _begin(transform_at(machine, made)) is None:
        return made
    machine.memory.put(made + SHASH.descriptor_size, _STATE_SIZE, 4)
    start = machine.memory.number(made + SHASH.algorithm) - fields.base
    machine.memory.put(start + fields.descriptor_size, _STATE_SIZE, 4)
    for at, verb in (
        (fields.init, "init"),
        (fields.update, "update"),
        (fields.final, "final"),
        (fields.finup, "finup"),
        (fields.digest, "digest"),
        (fields.set_key, "setkey"),
    ):
        machine.memory.put(start + at, machine.kernel_symbols.address(f"crypto_shash_{verb}"))
    return made


@function("struct crypto_ahash *crypto_alloc_ahash(const char *alg_name, u32 type, u32 mask)")
def crypto_alloc_ahash(machine: Machine, name: int, _type: int, _mask: int) -> int:
    made = _make(
        machine,
        "hash transform",
        name,
        AHASH.algorithm,
        HASH_ALGORITHM.base,
        AHASH.flags,
        HASH_ALGORITHM.digest_size,
    )
    for field, verb in (
        ("init", "init"),
        ("update", "update"),
        ("final", "final"),
        ("finup", "finup"),
        ("digest", "digest"),
        ("set_key", "setkey"),
    ):
        if AHASH.has(field):
            address = machine.kernel_symbols.address(f"crypto_ahash_{verb}")
            machine.memory.put(made + getattr(AHASH, field), address)
    return made


def _set_key(machine: Machine, made: int, flags: int, key: int, size: int) -> int:
    transform = transform_at(machine, made)
    if not _is_keyed(transform.algorithm):
        return -errno.ENOSYS
    transform.key = machine.memory.read(key, bounded(size))
    machine.memory.put(made + flags, machine.memory.number(made + flags, 4) & ~NEED_KEY, 4)
    return 0


@function("int crypto_shash_setkey(struct crypto_shash *tfm, const u8 *key, unsigned int keylen)")
def crypto_shash_setkey(machine: Machine, made: int, key: int, size: int) -> int:
    return _set_key(machine, made, SHASH.flags, key, size)


@function("int crypto_ahash_setkey(struct crypto_ahash *tfm, const u8 *key, unsigned int keylen)")
def crypto_ahash_setkey(machine: Machine, made: int, key: int, size: int) -> int:
    return _set_key(machine, made, AHASH.flags, key, size)


def _start(machine: Machine, at: int, made: int, flags: int) -> int:
    """Begin a digest that is kept by the structure at ``at``; return 0 or an errno below zero."""
    if machine.memory.number(made + flags, 4) & NEED_KEY:
        return -errno.ENOKEY
    machine.state(Digests).by_address[at] = _begin(transform_at(machine, made))
    return 0


def _go_on(machine: Machine, at: int, made: int, data: bytes) -> None:
    """Add to a digest by the transform ``made``; raises ValueError where none was begun."""
    digest = _under_way(machine, at, made)
    if digest is not None:
        digest.update(data)


def _under_way(machine: Machine, at: int, made: int) -> Digest | None:
    """Return a digest, None for one that is not known here.

    Of these a module may put the state there itself, and begin none (lib/libcrc32c.c).
    """
    digests = machine.state(Digests).by_address
    if at in digests:
        return digests[at]
    if _python_name(transform_at(machine, made).algorithm):
        raise ValueError(f"no digest was begun at {at:#x}")
    return None


def _finish(machine: Machine, at: int, made: int, out: int) -> None:
    """Store a digest, which ends with that."""
    digest = _under_way(machine, at, made)
    if digest is not None:
        machine.memory.write(out, digest.digest())
    machine.state(Digests).by_address.pop(at, None)


def _transform_of(machine: Machine, descriptor: int) -> int:
    return machine.memory.number(descriptor + SHASH_DESCRIPTOR.transform)


@function("int crypto_shash_init(struct shash_desc *desc)")
def crypto_shash_init(machine: Machine, descriptor: int) -> int:
    return _start(machine, descriptor, _transform_of(machine, descriptor), SHASH.flags)


@function("int crypto_shash_update(struct shash_desc *desc, const u8 *data, unsigned int len)")
def crypto_shash_update(machine: Machine, descriptor: int, data: int, size: int) -> None:
    read = machine.memory.read(data, bounded(size))
    _go_on(machine, descriptor, _transform_of(machine, descriptor), read)


@function("int crypto_shash_final(struct shash_desc *desc, u8 *out)")
def crypto_shash_final(machine: Machine, descriptor: int, out: int) -> None:
    _finish(machine, descriptor, _transform_of(machine, descriptor), out)


@function(
    "int crypto_shash_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)"
)
def crypto_shash_finup(machine: Machine, descriptor: int, data: int, size: int, out: int) -> None:
    crypto_shash_update(machine, descriptor, data, size)
    _finish(machine, descriptor, _transform_of(machine, descriptor), out)


@function(
    "int crypto_shash_digest(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)"
)
def crypto_shash_digest(machine: Machine, descriptor: int, data: int, size: int, out: int) -> int:
    code = crypto_shash_init(machine, descriptor) or 0
    if not code:
        crypto_shash_finup(machine, descriptor, data, size, out)
    return code


@function(
    "int crypto_shash_tfm_digest(struct crypto_shash *tfm, const u8 *data, unsigned int len, u8"
    " *out)"
)
def crypto_shash_tfm_digest(machine: Machine, made: int, data: int, size: int, out: int) -> int:
    code = _start(machine, made, made, SHASH.flags)
    if not code:
        _go_on(machine, made, made, machine.memory.read(data, bounded(size)))
        _finish(machine, made, made, out)
    return code


def _hash_of(machine: Machine, request: int) -> int:
    return machine.memory.number(request + AHASH_REQUEST.transform) - AHASH.base


@function("int crypto_ahash_init(struct ahash_request *req)")
def crypto_ahash_init(machine: Machine, request: int) -> int:
    return _start(machine, request, _hash_of(machine, request), AHASH.flags)


@function("int crypto_ahash_update(struct ahash_request *req)")
def crypto_ahash_update(machine: Machine, request: int) -> None:
    source = machine.memory.number(request + AHASH_REQUEST.source)
    size = machine.memory.number(request + AHASH_REQUEST.size, 4)
    _go_on(machine, request, _hash_of(machine, request), read_list(machine, source, size))


@function("int crypto_ahash_final(struct ahash_request *req)")
def crypto_ahash_final(machine: Machine, request: int) -> None:
    result = machine.memory.number(request + AHASH_REQUEST.result)
    _finish(machine, request, _hash_of(machine, request), result)


@function("int crypto_ahash_finup(struct ahash_request *req)")
def crypto_ahash_finup(machine: Machine, request: int) -> None:
    crypto_ahash_update(machine, request)
    crypto_ahash_final(machine, request)


@function("int crypto_ahash_digest(struct ahash_request *req)")
def crypto_ahash_digest(machine: Machine, request: int) -> int:
    code = crypto_ahash_init(machine, request) or 0
    if not code:
        crypto_ahash_finup(machine, request)
    return code


@function(
    "void sha256(const u8 *data, unsigned int len, u8 *out) until 6.16",
    "void sha256(const u8 *data, size_t len, u8 *out) since 6.17",
)
def sha256(machine: Machine, data: int, size: int, out: int) -> None:
    read = machine.memory.read(data, bounded(size))
    machine.memory.write(out, hashlib.sha256(read, usedforsecurity=False).digest())
