# SPDX-License-Identifier: Apache-2.0
"""Cryptographic transforms and checksums (crypto/, lib/crc32.c, lib/hexdump.c, security/keys)."""

import errno

import pytest

from kmodd.kernel.emulated.hardware import addresses
from tests.support.kernel_calls import Crash, error_pointer, held, put_text, run
from tests.support.machine import ROOM, new_machine

NAME, DATA, TARGET = ROOM, ROOM + 256, ROOM + 512


def test_what_is_no_transform_is_not_destroyed() -> None:
    machine = new_machine()
    other = run(machine, "kmalloc_trace", 0, 0, 64)
    run(machine, "crypto_destroy_tfm", other, other + 8)
    run(machine, "crypto_destroy_tfm", 0, 0)
    assert machine.heap.size(other) is not None


@pytest.mark.parametrize("kind", ["sync_skcipher", "aead", "base"])
def test_a_transform_of_what_is_not_computed_is_only_there(kind: str) -> None:
    machine = new_machine()
    made = run(machine, f"crypto_alloc_{kind}", put_text(machine, b"gcm(aes)", NAME), 0, 0)
    assert held(machine) == [("cipher transform", "cipher transform")]
    run(machine, "crypto_destroy_tfm", made, made + 8)
    assert (held(machine), machine.heap.size(made)) == ([], None)


def test_no_algorithm_is_there_to_be_tested() -> None:
    machine = new_machine()
    put_text(machine, b"sha256", NAME)
    assert run(machine, "alg_test", NAME, NAME, 0, 0) == -errno.ENOENT


@pytest.mark.parametrize(
    ("size", "place", "differs"), [(8, 7, 1), (7, 7, 0), (0, 0, 0), (3 << 20, 2 << 20, 1)]
)
def test_bytes_are_compared_to_the_last_one(size: int, place: int, differs: int) -> None:
    machine = new_machine()
    one, other = (run(machine, "vzalloc", 4 << 20) for _ in range(2))
    machine.memory.put(other + place, 1, 1)
    assert bool(run(machine, "__crypto_memneq", one, other, size)) == differs


def test_the_checksum_is_that_of_ethernet() -> None:
    machine = new_machine()
    put_text(machine, b"123456789", DATA)
    assert run(machine, "crc32_le", 0xFFFFFFFF, DATA, 9) ^ 0xFFFFFFFF == 0xCBF43926
    assert run(machine, "crc32_le", 0x1234, DATA, 0) == 0x1234
    first = run(machine, "crc32_le", 0xFFFFFFFF, DATA, 4)
    assert run(machine, "crc32_le", first, DATA + 4, 5) ^ 0xFFFFFFFF == 0xCBF43926


def test_the_checksum_is_of_all_that_there_is() -> None:
    machine = new_machine()
    data = run(machine, "vzalloc", 3 << 20)
    before = run(machine, "crc32_le", 0, data, 3 << 20)
    machine.memory.put(data + (2 << 20), 1, 1)
    assert run(machine, "crc32_le", 0, data, 3 << 20) != before


def test_bytes_become_hexadecimal_digits() -> None:
    machine = new_machine()
    machine.memory.write(DATA, b"\x00\x1f\xff")
    machine.memory.write(TARGET, b"#" * 8)
    assert run(machine, "bin2hex", TARGET, DATA, 3) == TARGET + 6
    assert machine.memory.read(TARGET, 8) == b"001fff##"


@pytest.mark.parametrize("name", ["__crypto_memneq", "crc32_le", "bin2hex"])
def test_more_than_all_memory_is_an_oops(name: str) -> None:
    with pytest.raises(Crash, match=f"{name} cannot make sense of its arguments"):
        run(new_machine(), name, TARGET, DATA, (1 << 64) - 1)


def test_a_queue_of_requests_is_empty_and_has_a_length() -> None:
    machine = new_machine()
    machine.memory.write(DATA, b"\xff" * 40)
    run(machine, "crypto_init_queue", DATA, 50)
    words = [machine.memory.number(DATA + at) for at in (0, 8, 16)]
    assert words == [DATA, DATA, DATA]
    assert [machine.memory.number(DATA + at, 4) for at in (24, 28, 32)] == [0, 50, 0xFFFFFFFF]


def test_a_key_is_no_error_and_goes_with_its_ring() -> None:
    machine = new_machine()
    ring = run(machine, "keyring_alloc", NAME, 0, 0, ROOM, 0, 0, 0, 0)
    key = run(machine, "key_create_or_update", ring | 1, NAME, NAME, DATA, 4, 0, 0)
    assert addresses.DIRECT_MAP <= key < error_pointer(4095)
    assert held(machine) == [("key ring", "")]
