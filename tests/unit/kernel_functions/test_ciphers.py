# SPDX-License-Identifier: Apache-2.0
"""The ChaCha block function, by the examples of its standards, and exclusive or (lib/crypto)."""

import struct

import pytest

from tests.support.kernel_calls import Crash, run
from tests.support.machine import ROOM, Machine, new_machine

STATE, STREAM, ONE, OTHER = ROOM, ROOM + 256, ROOM + 512, ROOM + 768
COUNTER = STATE + 48


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def put_state(machine: Machine, last_row: str) -> None:
    key = bytes(range(32))
    machine.memory.write(STATE, b"expand 32-byte k" + key + bytes.fromhex(last_row))


def test_a_block_is_that_of_rfc_8439(machine: Machine) -> None:
    put_state(machine, "01000000 00000009 0000004a 00000000")
    run(machine, "chacha_block_generic", STATE, STREAM, 20)
    assert machine.memory.read(STREAM, 64).hex(" ", 16) == (
        "10f1e7e4d13b5915500fdd1fa32071c4 c7d1f4c733c068030422aa9ac3d46c4e"
        " d2826446079faa0914c2d705d98b02a2 b5129cd1de164eb9cbd083e8a2503c4e"
    )


def test_a_block_leaves_the_state_for_the_next_one(machine: Machine) -> None:
    put_state(machine, "ffffffff 00000009 0000004a 00000000")
    before = machine.memory.read(STATE, 64)
    run(machine, "chacha_block_generic", STATE, STREAM, 20)
    first = machine.memory.read(STREAM, 64)
    assert machine.memory.read(STATE, 64) == before[:48] + bytes(4) + before[52:]
    run(machine, "chacha_block_generic", STATE, STREAM, 20)
    assert machine.memory.number(COUNTER, 4) == 1
    assert machine.memory.read(STREAM, 64) != first


def test_without_a_round_a_block_is_twice_the_state(machine: Machine) -> None:
    machine.memory.write(STATE, struct.pack("<16I", *range(0x80000000, 0x80000010)))
    run(machine, "chacha_block_generic", STATE, STREAM, 0)
    assert struct.unpack("<16I", machine.memory.read(STREAM, 64)) == tuple(range(0, 32, 2))


def test_a_key_of_xchacha_is_that_of_its_draft(machine: Machine) -> None:
    put_state(machine, "00000009 0000004a 00000000 31415927")
    before = machine.memory.read(STATE, 64)
    run(machine, "hchacha_block_generic", STATE, STREAM, 20)
    assert machine.memory.read(STREAM, 36).hex() == (
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc00000000"
    )
    assert machine.memory.read(STATE, 64) == before


@pytest.mark.parametrize("name", ["chacha_block_generic", "hchacha_block_generic"])
@pytest.mark.parametrize("rounds", [-1, 1 << 30])
def test_rounds_that_no_cipher_has_are_an_oops(machine: Machine, name: str, rounds: int) -> None:
    with pytest.raises(Crash, match=f"{name} cannot make sense of its arguments"):
        run(machine, name, STATE, STREAM, rounds)


@pytest.mark.parametrize("target", [STREAM, ONE, OTHER])
def test_bytes_are_put_together_by_exclusive_or(machine: Machine, target: int) -> None:
    machine.memory.write(ONE, b"\x0f\xf0\xff\x55\x11")
    machine.memory.write(OTHER, b"\xff\xf0\x00\xaa\x11")
    last = machine.memory.number(target + 4, 1)
    run(machine, "__crypto_xor", target, ONE, OTHER, 4)
    assert machine.memory.read(target, 5) == b"\xf0\x00\xff\xff" + bytes([last])
    run(machine, "__crypto_xor", target, ONE, OTHER, 0)
    assert machine.memory.read(target, 4) == b"\xf0\x00\xff\xff"
