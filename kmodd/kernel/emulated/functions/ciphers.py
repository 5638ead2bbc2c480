# SPDX-License-Identifier: Apache-2.0
"""The ChaCha block function and what ciphers are put together with (lib/crypto).

The kernel's own part of its stream cipher (RFC 8439), by which modules test themselves.
"""

import struct

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.functions.strings import bounded
from kmodd.kernel.emulated.machine.machine import Machine

_STATE = struct.Struct("<16I")
_COUNTER, _WORD = 12, 0xFFFFFFFF
_ROUNDS_MAX = 20
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
"""The words of a double round's quarter rounds: the columns, then the diagonals (RFC 8439, 2.3)."""


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD


def _permuted(state: tuple[int, ...], rounds: int) -> list[int]:
    """Return a state after so many rounds; raises ValueError for more than any cipher has."""
    if not 0 <= rounds <= _ROUNDS_MAX:
        raise ValueError(f"{rounds} rounds")
    words = list(state)
    for _ in range(0, rounds, 2):
        for one, two, three, four in _QUARTERS:
            a, b, c, d = words[one], words[two], words[three], words[four]
            a = a + b & _WORD
            d = _rotated(d ^ a, 16)
            c = c + d & _WORD
            b = _rotated(b ^ c, 12)
            a = a + b & _WORD
            d = _rotated(d ^ a, 8)
            c = c + d & _WORD
            b = _rotated(b ^ c, 7)
            words[one], words[two], words[three], words[four] = a, b, c, d
    return words


def _state(machine: Machine, at: int) -> tuple[int, ...]:
    return _STATE.unpack(machine.memory.read(at, _STATE.size))


@function("void chacha_block_generic(u32 *state, u8 *stream, int nrounds)")
def chacha_block_generic(machine: Machine, at: int, stream: int, rounds: int) -> None:
    """The next 64 bytes of the key stream; the state's counter goes on to the block after it."""
    state = _state(machine, at)
    mixed = zip(state, _permuted(state, rounds), strict=True)
    machine.memory.write(stream, _STATE.pack(*(old + new & _WORD for old, new in mixed)))
    machine.memory.put(at + 4 * _COUNTER, state[_COUNTER] + 1 & _WORD, 4)


@function("void hchacha_block_generic(const u32 *state, u32 *out, int nrounds)")
def hchacha_block_generic(machine: Machine, at: int, out: int, rounds: int) -> None:
    """The key that XChaCha goes on with: the first and the last row, with nothing added."""
    words = _permuted(_state(machine, at), rounds)
    machine.memory.write(out, struct.pack("<8I", *words[:4], *words[12:]))


@function("void __crypto_xor(u8 *dst, const u8 *src1, const u8 *src2, unsigned int size)")
def crypto_xor(machine: Machine, target: int, one: int, other: int, size: int) -> None:
    left = int.from_bytes(machine.memory.read(one, bounded(size)), "little")
    right = int.from_bytes(machine.memory.read(other, size), "little")
    machine.memory.write(target, (left ^ right).to_bytes(size, "little"))
