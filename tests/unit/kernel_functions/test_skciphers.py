# SPDX-License-Identifier: Apache-2.0
"""Ciphers for any number of bytes (crypto/skcipher.c), by the examples of NIST SP 800-38A."""

import errno

import pytest

from tests.support.kernel_calls import Crash, held, oops, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

NAME, REQUEST, SOURCE, TARGET, KEY, IV = (ROOM + 512 * each for each in range(6))
BASE, FLAGS, ALGORITHM = 8, 12, 32
"""Where a ``struct crypto_skcipher`` has what all transforms have, its flags and its algorithm."""

LEAST_KEY, MOST_KEY, IV_SIZE, BLOCK_SIZE = -24, -20, -16, 36
"""From the part of a ``struct skcipher_alg`` on that all algorithms have."""

NEED_KEY = 1
PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
KEY_128 = "2b7e151628aed2a6abf7158809cf4f3c"
KEY_256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
COUNTING = "000102030405060708090a0b0c0d0e0f"

EXAMPLES = [
    (
        "ecb(aes)",
        KEY_128,
        "",
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
        "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        "",
    ),
    (
        "cbc(aes)",
        KEY_128,
        COUNTING,
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
        "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        "3ff1caa1681fac09120eca307586e1a7",
    ),
    (
        "cbc(aes)",
        KEY_256,
        COUNTING,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
        "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        "b2eb05e2c39be9fcda6c19078c6a9d1b",
    ),
    (
        "ctr(aes)",
        KEY_128,
        "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
        "f0f1f2f3f4f5f6f7f8f9fafbfcfdff03",
    ),
]
"""F.1.1, F.2.1, F.2.5, F.5.1: a mode, the key, the IV, what becomes of ``PLAIN``, and the IV that
the kernel goes on with."""


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def made(machine: Machine, name: str, key: str = "") -> int:
    transform = run(machine, "crypto_alloc_skcipher", put_text(machine, name, NAME), 0, 0)
    if key:
        machine.memory.write(KEY, bytes.fromhex(key))
        assert run(machine, "crypto_skcipher_setkey", transform, KEY, len(key) // 2) == 0
    return transform


def request(machine: Machine, transform: int, data: bytes, iv: str = "") -> int:
    """Make a request that leaves its result where its data is; return where that is."""
    place = run(machine, "kmalloc_trace", 0, 0, 4096)
    machine.memory.write(place, data)
    run(machine, "sg_init_one", SOURCE, place, len(data))
    machine.memory.write(IV, bytes.fromhex(iv))
    machine.memory.put(REQUEST, len(data), 4)
    for at, word in ((8, IV), (16, SOURCE), (24, SOURCE), (64, transform + BASE)):
        machine.memory.put(REQUEST + at, word)
    return place


@pytest.mark.parametrize(("name", "key", "iv", "expected", "after"), EXAMPLES)
def test_a_cipher_is_that_of_its_standard(
    machine: Machine, name: str, key: str, iv: str, expected: str, after: str
) -> None:
    transform = made(machine, name, key)
    place = request(machine, transform, PLAIN, iv)
    assert run(machine, "crypto_skcipher_encrypt", REQUEST) == 0
    assert machine.memory.read(place, 64).hex() == expected
    assert machine.memory.read(IV, len(after) // 2).hex() == after
    place = request(machine, transform, bytes.fromhex(expected), iv)
    assert run(machine, "crypto_skcipher_decrypt", REQUEST) == 0
    assert machine.memory.read(place, 64) == PLAIN
    assert machine.memory.read(IV, len(after) // 2).hex() == after


def test_only_a_counter_leaves_a_block_unfinished(machine: Machine) -> None:
    name, key, iv, expected, _ = EXAMPLES[3]
    place = request(machine, made(machine, name, key), PLAIN[:21], iv)
    assert run(machine, "crypto_skcipher_encrypt", REQUEST) == 0
    assert machine.memory.read(place, 21).hex() == expected[:42]
    for other in ("ecb(aes)", "cbc(aes)"):
        place = request(machine, made(machine, other, key), PLAIN[:17], iv)
        assert run(machine, "crypto_skcipher_encrypt", REQUEST) == -errno.EINVAL
        assert machine.memory.read(place, 17) == PLAIN[:17]


@pytest.mark.parametrize(
    ("name", "iv_size", "block"), [("ecb(aes)", 0, 16), ("cbc(aes)", 16, 16), ("ctr(aes)", 16, 1)]
)
def test_an_algorithm_tells_its_sizes(
    machine: Machine, name: str, iv_size: int, block: int
) -> None:
    transform = made(machine, name)
    algorithm = machine.memory.number(transform + ALGORITHM)
    sizes = (LEAST_KEY, MOST_KEY, IV_SIZE, BLOCK_SIZE)
    found = [machine.memory.number(algorithm + at, 4) for at in sizes]
    assert found == [16, 32, iv_size, block]


def test_a_cipher_wants_a_key_of_a_size_that_it_has(machine: Machine) -> None:
    transform = made(machine, "cbc(aes)")
    request(machine, transform, PLAIN, COUNTING)
    assert machine.memory.number(transform + FLAGS, 4) == NEED_KEY
    assert run(machine, "crypto_skcipher_encrypt", REQUEST) == -errno.ENOKEY
    for size in (0, 5, 33, 1 << 31):
        assert run(machine, "crypto_skcipher_setkey", transform, KEY, size) == -errno.EINVAL
    assert run(machine, "crypto_skcipher_decrypt", REQUEST) == -errno.ENOKEY
    assert run(machine, "crypto_skcipher_setkey", transform, KEY, 24) == 0
    assert machine.memory.number(transform + FLAGS, 4) == 0
    assert run(machine, "crypto_skcipher_encrypt", REQUEST) == 0


def test_what_is_not_computed_succeeds_and_leaves_all_as_it_was(machine: Machine) -> None:
    transform = made(machine, "adiantum(xchacha12,aes)", KEY_256)
    place = request(machine, transform, PLAIN)
    assert run(machine, "crypto_skcipher_encrypt", REQUEST) == 0
    assert machine.memory.read(place, 64) == PLAIN


def test_a_list_that_has_less_than_is_asked_for_is_an_oops(machine: Machine) -> None:
    request(machine, made(machine, "ecb(aes)", KEY_128), PLAIN)
    machine.memory.put(REQUEST, 80, 4)
    why = oops(machine, "crypto_skcipher_encrypt", REQUEST)
    assert "crypto_skcipher_encrypt cannot make sense of its arguments" in why
    run(machine, "sg_init_one", TARGET, run(machine, "kmalloc_trace", 0, 0, 64), 32)
    machine.memory.put(REQUEST, 64, 4)
    machine.memory.put(REQUEST + 24, TARGET)
    with pytest.raises(Crash, match="cannot make sense"):
        run(machine, "crypto_skcipher_encrypt", REQUEST)


def test_a_transform_is_on_the_account_until_it_is_destroyed(machine: Machine) -> None:
    transform = made(machine, "cbc(aes)")
    assert held(machine) == [("cipher transform", "cipher transform 'cbc(aes)'")]
    run(machine, "crypto_destroy_tfm", transform, transform + BASE)
    assert held(machine) == []
    made(machine, "cbc(aes)")
    assert unload(machine) == [("cipher transform", "cipher transform 'cbc(aes)'")]
