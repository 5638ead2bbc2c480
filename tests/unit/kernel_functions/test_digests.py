# SPDX-License-Identifier: Apache-2.0
"""Digests by both interfaces (crypto/shash.c, ahash.c), by the examples of their standards."""

import errno

import pytest

from tests.support.kernel_calls import Crash, held, oops, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

NAME, DATA, OUT, DESCRIPTOR, REQUEST, LIST, KEY = (ROOM + 512 * each for each in range(7))
FLAGS, SHASH_ALGORITHM = 12, 32
"""Where a ``struct crypto_shash`` has its flags, and points at its algorithm."""

AHASH_BASE = 72
DIGEST_SIZE, BLOCK_SIZE, ITS_NAME, DRIVER = -8, 36, 56, 184
"""From the part of a ``struct shash_alg`` on that all algorithms have."""

NEED_KEY = 1

ABC = {
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
}
"""What becomes of "abc" (RFC 1321, FIPS 180-4, FIPS 202)."""

JEFE = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
"""What becomes of "what do ya want for nothing?" with the key "Jefe" (RFC 4231, 4.3)."""

QUESTION = b"what do ya want for nothing?"


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def made(machine: Machine, name: str, kind: str = "shash") -> int:
    return run(machine, f"crypto_alloc_{kind}", put_text(machine, name, NAME), 0, 0)


def put_data(machine: Machine, data: bytes) -> None:
    machine.memory.write(DATA, data)


def result(machine: Machine, size: int = 32) -> str:
    return machine.memory.read(OUT, size).hex()


@pytest.mark.parametrize("name", ABC)
def test_a_digest_is_that_of_its_standard(machine: Machine, name: str) -> None:
    transform, size = made(machine, name), len(ABC[name]) // 2
    put_data(machine, b"abc")
    machine.memory.write(OUT, b"#" * 64)
    assert run(machine, "crypto_shash_tfm_digest", transform, DATA, 3, OUT) == 0
    assert machine.memory.read(OUT, size + 1) == bytes.fromhex(ABC[name]) + b"#"
    machine.memory.put(DESCRIPTOR, transform)
    assert run(machine, "crypto_shash_digest", DESCRIPTOR, DATA, 3, OUT) == 0
    assert result(machine, size) == ABC[name]
    algorithm = machine.memory.number(transform + SHASH_ALGORITHM)
    assert machine.memory.number(algorithm + DIGEST_SIZE, 4) == size
    assert machine.memory.number(algorithm + BLOCK_SIZE, 4) in (64, 136)


def test_a_digest_is_made_in_pieces_and_more_than_one_at_a_time(machine: Machine) -> None:
    transform = made(machine, "sha256")
    put_data(machine, b"abc")
    descriptors = (DESCRIPTOR, DESCRIPTOR + 256)
    for each in descriptors:
        machine.memory.put(each, transform)
        assert run(machine, "crypto_shash_init", each) == 0
    for each in descriptors:
        assert run(machine, "crypto_shash_update", each, DATA, 1) == 0
    assert run(machine, "crypto_shash_finup", descriptors[0], DATA + 1, 2, OUT) == 0
    assert result(machine) == ABC["sha256"]
    run(machine, "crypto_shash_update", descriptors[1], DATA + 1, 2)
    machine.memory.write(OUT, bytes(32))
    assert run(machine, "crypto_shash_final", descriptors[1], OUT) == 0
    assert result(machine) == ABC["sha256"]
    why = oops(machine, "crypto_shash_final", descriptors[1], OUT)
    assert "crypto_shash_final cannot make sense of its arguments" in why


def test_code_that_was_compiled_into_a_module_finds_the_functions(machine: Machine) -> None:
    transform = made(machine, "sha256")
    algorithm = machine.memory.number(transform + SHASH_ALGORITHM)
    put_data(machine, b"abc")
    machine.memory.put(DESCRIPTOR, transform)
    init, update, final = (machine.memory.number(algorithm - 96 + 8 * at) for at in range(3))
    with machine.running("sample"):
        assert machine.call(init, DESCRIPTOR) == 0
        assert machine.call(update, DESCRIPTOR, DATA, 3) == 0
        assert machine.call(final, DESCRIPTOR, OUT) == 0
    assert result(machine) == ABC["sha256"]


def test_a_digest_with_a_key_wants_it_first(machine: Machine) -> None:
    transform = made(machine, "hmac(sha256)")
    put_data(machine, QUESTION)
    put_text(machine, b"Jefe", KEY)
    assert machine.memory.number(transform + FLAGS, 4) == NEED_KEY
    digest = ("crypto_shash_tfm_digest", transform, DATA, len(QUESTION), OUT)
    assert run(machine, *digest) == -errno.ENOKEY
    assert run(machine, "crypto_shash_setkey", transform, KEY, 4) == 0
    assert run(machine, *digest) == 0
    assert result(machine) == JEFE
    plain = made(machine, "sha256")
    assert run(machine, "crypto_shash_setkey", plain, KEY, 4) == -errno.ENOSYS


def request(machine: Machine, name: str) -> int:
    """Put the two halves of the question into a request's list; return the transform."""
    transform = made(machine, name, "ahash")
    data = run(machine, "kmalloc_trace", 0, 0, 64)
    machine.memory.write(data, QUESTION)
    run(machine, "sg_init_table", LIST, 2)
    for at, start, size in ((LIST, data, 5), (LIST + 32, data + 5, len(QUESTION) - 5)):
        run(machine, "sg_init_one", OUT, start, size)
        end = machine.memory.number(at) & 2
        machine.memory.write(at, machine.memory.read(OUT, 32))
        machine.memory.put(at, machine.memory.number(at) & ~2 | end)
    for at, word in ((32, transform + AHASH_BASE), (56, LIST), (64, OUT)):
        machine.memory.put(REQUEST + at, word)
    machine.memory.put(REQUEST + 48, len(QUESTION), 4)
    return transform


def test_a_request_is_answered_at_once_whatever_pieces_its_data_is_in(machine: Machine) -> None:
    transform = request(machine, "hmac(sha256)")
    put_text(machine, b"Jefe", KEY)
    assert run(machine, "crypto_ahash_digest", REQUEST) == -errno.ENOKEY
    assert run(machine, "crypto_ahash_setkey", transform, KEY, 4) == 0
    for calls in (
        ("crypto_ahash_digest",),
        ("crypto_ahash_init", "crypto_ahash_update", "crypto_ahash_final"),
        ("crypto_ahash_init", "crypto_ahash_finup"),
    ):
        machine.memory.write(OUT, bytes(32))
        assert [run(machine, each, REQUEST) for each in calls] == [0] * len(calls)
        assert result(machine) == JEFE
    digest = machine.memory.number(transform + 32)
    with machine.running("sample"):
        assert machine.call(digest, REQUEST) == 0
    machine.memory.put(REQUEST + 48, 4000, 4)
    with pytest.raises(Crash, match="crypto_ahash_digest cannot make sense of its arguments"):
        run(machine, "crypto_ahash_digest", REQUEST)


@pytest.mark.parametrize(
    ("name", "driver"),
    [(b"crc32c", b"crc32c-generic"), (b"x" * 127, b"x" * 127), (b"x" * 122, b"x" * 122 + b"-gene")],
)
def test_an_algorithm_tells_its_name_and_that_of_its_driver(
    machine: Machine, name: bytes, driver: bytes
) -> None:
    transform = run(machine, "crypto_alloc_shash", put_text(machine, name, NAME), 0, 0)
    algorithm = machine.memory.number(transform + SHASH_ALGORITHM)
    assert machine.memory.read(algorithm + ITS_NAME, 128).rstrip(b"\0") == name
    assert machine.memory.read(algorithm + DRIVER, 128).rstrip(b"\0") == driver


@pytest.mark.parametrize("kind", ["shash", "ahash"])
def test_what_is_not_computed_succeeds_and_leaves_all_as_it_was(
    machine: Machine, kind: str
) -> None:
    transform = made(machine, "crc32c", kind)
    machine.memory.write(OUT, b"#" * 32)
    if kind == "shash":
        machine.memory.put(DESCRIPTOR, transform)
        assert run(machine, "crypto_shash_digest", DESCRIPTOR, DATA, 3, OUT) == 0
        algorithm = machine.memory.number(transform + SHASH_ALGORITHM)
        with machine.running("sample"):
            assert machine.call(machine.memory.number(algorithm - 96), DESCRIPTOR) == 0
    else:
        machine.memory.put(REQUEST + 32, transform + AHASH_BASE)
        run(machine, "sg_init_one", LIST, run(machine, "kmalloc_trace", 0, 0, 8), 8)
        machine.memory.put(REQUEST + 56, LIST)
        assert run(machine, "crypto_ahash_digest", REQUEST) == 0
    assert machine.memory.read(OUT, 32) == b"#" * 32


def test_a_module_may_put_the_state_of_a_checksum_there_itself(machine: Machine) -> None:
    """As crc32c() and crc_t10dif() do (lib/libcrc32c.c, lib/crc-t10dif.c), which begin none."""
    machine.memory.put(DESCRIPTOR, made(machine, "crc32c"))
    machine.memory.put(DESCRIPTOR + 8, 0x1234, 4)
    machine.memory.write(OUT, b"#" * 32)
    assert run(machine, "crypto_shash_update", DESCRIPTOR, DATA, 3) == 0
    assert run(machine, "crypto_shash_final", DESCRIPTOR, OUT) == 0
    assert machine.memory.number(DESCRIPTOR + 8, 4) == 0x1234
    machine.memory.put(DESCRIPTOR, made(machine, "sha256"))
    assert "no digest was begun" in oops(machine, "crypto_shash_update", DESCRIPTOR, DATA, 3)


@pytest.mark.parametrize("kind", ["shash", "ahash"])
def test_a_transform_is_on_the_account_until_it_is_destroyed(machine: Machine, kind: str) -> None:
    transform = made(machine, "sha256", kind)
    what = {"shash": "transform", "ahash": "hash transform"}[kind]
    assert held(machine) == [(what, f"{what} 'sha256'")]
    for _ in range(2):
        run(machine, "crypto_destroy_tfm", transform, transform + 8)
    assert (held(machine), machine.heap.size(transform)) == ([], None)
    left = made(machine, "sha256", kind)
    assert unload(machine) == [(what, f"{what} 'sha256'")]
    assert machine.heap.size(left) is None


def test_a_transform_that_is_none_is_an_oops(machine: Machine) -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(machine, "crypto_alloc_shash", 0, 0, 0)
    why = oops(machine, "crypto_shash_tfm_digest", DATA, DATA, 3, OUT)
    assert "crypto_shash_tfm_digest cannot make sense of its arguments" in why


def test_sha256_is_there_without_a_transform(machine: Machine) -> None:
    put_data(machine, b"abc")
    run(machine, "sha256", DATA, 3, OUT)
    assert result(machine) == ABC["sha256"]
