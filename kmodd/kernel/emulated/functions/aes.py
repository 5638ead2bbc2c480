# SPDX-License-Identifier: Apache-2.0
"""The block cipher AES (FIPS 197), and the kernel's own functions for one block (lib/crypto/aes.c).

A column of the state is a number whose lowest byte is its first, as the kernel's words are on x86.
"""

import errno
import struct
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.abi.structures import AES_CONTEXT
from kmodd.kernel.emulated.machine.machine import Machine

BLOCK = 16
"""Bytes of a block."""

KEY_SIZES = (16, 24, 32)
"""Bytes that a key may have."""

_WORDS = struct.Struct("<4I")
_REDUCED = 0x11B
"""The polynomial of the field of bytes (FIPS 197, 4.2)."""


def _times(one: int, other: int) -> int:
    """Multiply two bytes in the field."""
    product = 0
    while other:
        product ^= one * (other & 1)
        one = one << 1 ^ _REDUCED * (one >> 7)
        other >>= 1
    return product


def _substitutes() -> bytes:
    """Return the S-box: of each byte the inverse, then the affine transformation (5.1.1)."""
    box = bytearray(256)
    power = inverse = 1
    for _ in range(255):
        # 3 generates all bytes but 0, and 0xf6 is its inverse.
        power, inverse = _times(power, 3), _times(inverse, 0xF6)
        spread = inverse ^ inverse << 1 ^ inverse << 2 ^ inverse << 3 ^ inverse << 4
        box[power] = (spread ^ spread >> 8) & 0xFF ^ 0x63
    box[0] = 0x63
    return bytes(box)


def _mixed(first: int, second: int, third: int, fourth: int) -> int:
    return first | second << 8 | third << 16 | fourth << 24


def _turned(table: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return a table for each place in a column, the first given."""
    return tuple(
        tuple((each << 8 * place | each >> 32 - 8 * place) & 0xFFFFFFFF for each in table)
        for place in range(4)
    )


class _Tables(NamedTuple):
    """What a round does with the bytes of a column, there and back, each in its place; ``unmix`` is
    a column before it was mixed (5.3.3).
    """

    box: bytes
    unbox: bytes
    forward: tuple[tuple[int, ...], ...]
    backward: tuple[tuple[int, ...], ...]
    unmix: tuple[tuple[int, ...], ...]


@cache
def _tables() -> _Tables:
    """Return the tables, which take milliseconds to make."""
    box = _substitutes()
    unbox = bytes(box.index(each) for each in range(256))
    mix = _turned([_mixed(_times(each, 2), each, each, _times(each, 3)) for each in range(256)])
    unmix = _turned([_mixed(*(_times(each, by) for by in (14, 9, 13, 11))) for each in range(256)])
    forward = tuple(tuple(table[box[each]] for each in range(256)) for table in mix)
    backward = tuple(tuple(table[unbox[each]] for each in range(256)) for table in unmix)
    return _Tables(box, unbox, forward, backward, unmix)


def _substituted(word: int) -> int:
    return _mixed(*(_tables().box[word >> place & 0xFF] for place in (0, 8, 16, 24)))


def _unmixed(word: int) -> int:
    found = 0
    for place, table in enumerate(_tables().unmix):
        found ^= table[word >> 8 * place & 0xFF]
    return found


class Aes:
    """A key, expanded."""

    def __init__(self, key: bytes) -> None:
        """Raises ValueError for a key of another size than ``KEY_SIZES``."""
        if len(key) not in KEY_SIZES:
            raise ValueError(f"a key of {len(key)} bytes")
        size = len(key) // 4
        words = list(struct.unpack(f"<{size}I", key))
        constant = 1
        for number in range(size, 4 * (size + 7)):
            word = words[-1]
            if number % size == 0:
                word = _substituted(word >> 8 | (word & 0xFF) << 24) ^ constant
                constant = _times(constant, 2)
            elif size > 6 and number % size == 4:
                word = _substituted(word)
            words.append(word ^ words[-size])
        self.encrypting = tuple(words)
        rounds = [words[at : at + 4] for at in range(0, len(words), 4)][::-1]
        within = [[_unmixed(word) for word in each] for each in rounds[1:-1]]
        ordered = [rounds[0], *within, rounds[-1]]
        self.decrypting = tuple(word for each in ordered for word in each)

    def encrypt(self, block: bytes) -> bytes:
        """Return a block encrypted."""
        return _encrypted(block, self.encrypting)

    def decrypt(self, block: bytes) -> bytes:
        """Return a block decrypted."""
        return _decrypted(block, self.decrypting)


def _encrypted(block: bytes, key: tuple[int, ...]) -> bytes:
    return _through(block, key, _tables().forward, _tables().box, 1)


def _decrypted(block: bytes, key: tuple[int, ...]) -> bytes:
    return _through(block, key, _tables().backward, _tables().unbox, -1)


def _through(
    block: bytes, key: tuple[int, ...], tables: Sequence[Sequence[int]], box: bytes, step: int
) -> bytes:
    """Take a block through all rounds; the rows are shifted by ``step`` columns each."""
    one, two, three, four = tables
    state = [word ^ key[at] for at, word in enumerate(_WORDS.unpack(block))]
    for begin in range(4, len(key) - 4, 4):
        state = [
            one[state[at] & 0xFF]
            ^ two[state[(at + step) % 4] >> 8 & 0xFF]
            ^ three[state[(at + 2) % 4] >> 16 & 0xFF]
            ^ four[state[(at - step) % 4] >> 24]
            ^ key[begin + at]
            for at in range(4)
        ]
    last = len(key) - 4
    return _WORDS.pack(
        *(
            _mixed(
                box[state[at] & 0xFF],
                box[state[(at + step) % 4] >> 8 & 0xFF],
                box[state[(at + 2) % 4] >> 16 & 0xFF],
                box[state[(at - step) % 4] >> 24],
            )
            ^ key[last + at]
            for at in range(4)
        )
    )


@function("int aes_expandkey(struct crypto_aes_ctx *ctx, const u8 *in_key, unsigned int key_len)")
def aes_expandkey(machine: Machine, context: int, key: int, size: int) -> int:
    if size not in KEY_SIZES:
        return -errno.EINVAL
    expanded = Aes(machine.memory.read(key, size))
    for at, words in (
        (AES_CONTEXT.encrypting, expanded.encrypting),
        (AES_CONTEXT.decrypting, expanded.decrypting),
    ):
        machine.memory.write(context + at, struct.pack(f"<{len(words)}I", *words))
    machine.memory.put(context + AES_CONTEXT.key_size, size, 4)
    return 0


def _of(machine: Machine, context: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return both keys of a context; raises ValueError where it has none."""
    size = machine.memory.number(context + AES_CONTEXT.key_size, 4)
    if size not in KEY_SIZES:
        raise ValueError(f"a key of {size} bytes")
    count = size + 28
    encrypting, decrypting = (
        struct.unpack(f"<{count}I", machine.memory.read(context + at, 4 * count))
        for at in (AES_CONTEXT.encrypting, AES_CONTEXT.decrypting)
    )
    return encrypting, decrypting


@function("void aes_encrypt(const struct crypto_aes_ctx *ctx, u8 *out, const u8 *in)")
def aes_encrypt(machine: Machine, context: int, out: int, source: int) -> None:
    key, _ = _of(machine, context)
    block = machine.memory.read(source, BLOCK)
    machine.memory.write(out, _encrypted(block, key))


@function("void aes_decrypt(const struct crypto_aes_ctx *ctx, u8 *out, const u8 *in)")
def aes_decrypt(machine: Machine, context: int, out: int, source: int) -> None:
    _, key = _of(machine, context)
    block = machine.memory.read(source, BLOCK)
    machine.memory.write(out, _decrypted(block, key))
