# SPDX-License-Identifier: Apache-2.0
"""AES, by the examples of FIPS 197, and the kernel's functions for one block (lib/crypto/aes.c)."""

import errno

import pytest

from tests.support.kernel_calls import oops, run
from tests.support.machine import ROOM, Machine, new_machine

CONTEXT, KEY, BLOCK, OUT = (ROOM + 1024 * each for each in range(4))
DECRYPTING, KEY_SIZE = 240, 480
"""Offsets in ``struct crypto_aes_ctx``, whose encrypting key comes first."""

PLAIN = "00112233445566778899aabbccddeeff"
EXAMPLES = {
    16: "69c4e0d86a7b0430d8cdb78070b4c55a",
    24: "dda97ca4864cdfe06eaf70a0ec0d7191",
    32: "8ea2b7ca516745bfeafc49904b496089",
}
"""What becomes of ``PLAIN``, by the size of a key that counts from 0 (C.1 to C.3)."""


@pytest.fixture
def machine() -> Machine:
    made = new_machine()
    made.memory.write(KEY, bytes(range(32)))
    made.memory.write(BLOCK, bytes.fromhex(PLAIN))
    return made


@pytest.mark.parametrize("size", EXAMPLES)
def test_a_block_is_that_of_the_standard_there_and_back(machine: Machine, size: int) -> None:
    assert run(machine, "aes_expandkey", CONTEXT, KEY, size) == 0
    assert machine.memory.number(CONTEXT + KEY_SIZE, 4) == size
    run(machine, "aes_encrypt", CONTEXT, OUT, BLOCK)
    assert machine.memory.read(OUT, 16).hex() == EXAMPLES[size]
    run(machine, "aes_decrypt", CONTEXT, OUT, OUT)
    assert machine.memory.read(OUT, 16).hex() == PLAIN


def test_a_key_is_expanded_as_the_standard_has_it(machine: Machine) -> None:
    machine.memory.write(KEY, bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    run(machine, "aes_expandkey", CONTEXT, KEY, 16)
    words = machine.memory.read(CONTEXT, 176).hex(" ", 4).split()
    assert (words[4], words[10], words[43]) == ("a0fafe17", "5935807a", "b6630ca6")  # A.1
    back = machine.memory.read(CONTEXT + DECRYPTING, 176).hex(" ", 4).split()
    assert (back[:4], back[40:]) == (words[40:], words[:4])
    assert back[4] not in words


@pytest.mark.parametrize("size", [0, 15, 17, 33, 1 << 31])
def test_a_key_of_another_size_is_refused(machine: Machine, size: int) -> None:
    assert run(machine, "aes_expandkey", CONTEXT, KEY, size) == -errno.EINVAL
    assert machine.memory.read(CONTEXT, 484) == bytes(484)


@pytest.mark.parametrize("name", ["aes_encrypt", "aes_decrypt"])
def test_a_context_without_a_key_is_an_oops(machine: Machine, name: str) -> None:
    why = oops(machine, name, CONTEXT, OUT, BLOCK)
    assert f"{name} cannot make sense of its arguments (a key of 0 bytes)" in why
