# SPDX-License-Identifier: Apache-2.0
"""Ciphers by which any number of bytes goes with one key (crypto/skcipher.c, crypto/cbc.c, ctr.c,
ecb.c).

AES is computed, in the modes that there are here; of other ciphers nothing is, and that is told.
"""

import errno
from collections.abc import Callable

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import (
    CRYPTO_ALGORITHM,
    SKCIPHER,
    SKCIPHER_ALGORITHM,
    SKCIPHER_REQUEST,
)
from kmodd.kernel.emulated.functions.aes import BLOCK, KEY_SIZES, Aes
from kmodd.kernel.emulated.functions.scatterlists import read_list, write_list
from kmodd.kernel.emulated.functions.transforms import NEED_KEY, make_transform, transform_at
from kmodd.kernel.emulated.machine.machine import Machine

Mode = Callable[[Aes, bytes, bytes], tuple[bytes, bytes]]
"""Takes a key, bytes and an IV; returns the bytes after it, and the IV to go on with."""


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def _xor(one: bytes, other: bytes) -> bytes:
    """Return as much as there is of the first."""
    mixed = int.from_bytes(one, "big") ^ int.from_bytes(other[: len(one)], "big")
    return mixed.to_bytes(len(one), "big")


def _encrypt_alone(key: Aes, data: bytes, iv: bytes) -> tuple[bytes, bytes]:
    return b"".join(map(key.encrypt, _blocks(data))), iv


def _decrypt_alone(key: Aes, data: bytes, iv: bytes) -> tuple[bytes, bytes]:
    return b"".join(map(key.decrypt, _blocks(data))), iv


def _encrypt_chained(key: Aes, data: bytes, iv: bytes) -> tuple[bytes, bytes]:
    done = list[bytes]()
    for block in _blocks(data):
        iv = key.encrypt(_xor(block, iv))
        done.append(iv)
    return b"".join(done), iv


def _decrypt_chained(key: Aes, data: bytes, iv: bytes) -> tuple[bytes, bytes]:
    done = list[bytes]()
    for block in _blocks(data):
        done.append(_xor(key.decrypt(block), iv))
        iv = block
    return b"".join(done), iv


def _count(key: Aes, data: bytes, iv: bytes) -> tuple[bytes, bytes]:
    """The IV is a number that each block has another of; there and back are the same."""
    done = list[bytes]()
    for block in _blocks(data):
        done.append(_xor(block, key.encrypt(iv)))
        iv = ((int.from_bytes(iv, "big") + 1) % (1 << 8 * BLOCK)).to_bytes(BLOCK, "big")
    return b"".join(done), iv


_MODES: dict[str, tuple[Mode, Mode, int, int]] = {
    "ecb(aes)": (_encrypt_alone, _decrypt_alone, 0, BLOCK),
    "cbc(aes)": (_encrypt_chained, _decrypt_chained, BLOCK, BLOCK),
    "ctr(aes)": (_count, _count, BLOCK, 1),
}
"""There and back, the bytes of the IV, and of what the number of bytes has to be a multiple."""


@function("struct crypto_skcipher *crypto_alloc_skcipher(const char *alg_name, u32 type, u32 mask)")
def crypto_alloc_skcipher(machine: Machine, name: int, _type: int, _mask: int) -> int:
    made = make_transform(
        machine,
        "cipher transform",
        name,
        pointer=SKCIPHER.algorithm,
        base=SKCIPHER_ALGORITHM.base,
    )
    wanted = transform_at(machine, made).algorithm
    mode = _MODES.get(wanted)
    if mode is None:
        machine.note_unmodelled(f"cipher {wanted}")
        return made
    algorithm = machine.memory.number(made + SKCIPHER.algorithm)
    start = algorithm - SKCIPHER_ALGORITHM.base
    _, _, iv_size, block_size = mode
    for at, number in (
        (start + SKCIPHER_ALGORITHM.least_key, KEY_SIZES[0]),
        (start + SKCIPHER_ALGORITHM.most_key, KEY_SIZES[-1]),
        (start + SKCIPHER_ALGORITHM.iv_size, iv_size),
        (algorithm + CRYPTO_ALGORITHM.block_size, block_size),
        (made + SKCIPHER.flags, NEED_KEY),
    ):
        machine.memory.put(at, number, 4)
    return made


@function(
    "int crypto_skcipher_setkey(struct crypto_skcipher *tfm, const u8 *key, unsigned int keylen)"
)
def crypto_skcipher_setkey(machine: Machine, made: int, key: int, size: int) -> int:
    transform = transform_at(machine, made)
    if transform.algorithm not in _MODES:
        return 0
    if size not in KEY_SIZES:
        return -errno.EINVAL
    transform.key = machine.memory.read(key, size)
    at = made + SKCIPHER.flags
    machine.memory.put(at, machine.memory.number(at, 4) & ~NEED_KEY, 4)
    return 0


@function("int crypto_skcipher_encrypt(struct skcipher_request *req)")
def crypto_skcipher_encrypt(machine: Machine, request: int) -> int:
    return _crypt(machine, request, is_back=False)


@function("int crypto_skcipher_decrypt(struct skcipher_request *req)")
def crypto_skcipher_decrypt(machine: Machine, request: int) -> int:
    return _crypt(machine, request, is_back=True)


def _crypt(machine: Machine, request: int, *, is_back: bool) -> int:
    fields, number = SKCIPHER_REQUEST, machine.memory.number
    transform = transform_at(machine, number(request + fields.transform) - SKCIPHER.base)
    mode = _MODES.get(transform.algorithm)
    if mode is None:
        return 0
    if transform.key is None:
        return -errno.ENOKEY
    there, back, iv_size, block_size = mode
    size = number(request + fields.size, 4)
    if size % block_size:
        return -errno.EINVAL
    iv_at = number(request + fields.iv) if iv_size else 0
    iv = machine.memory.read(iv_at, iv_size) if iv_size else b""
    data = read_list(machine, number(request + fields.source), size)
    done, iv = (back if is_back else there)(Aes(transform.key), data, iv)
    write_list(machine, number(request + fields.target), done)
    if iv_size:
        machine.memory.write(iv_at, iv)
    return 0
