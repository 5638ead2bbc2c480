# SPDX-License-Identifier: Apache-2.0
"""Damage a file at random."""

import random
import struct


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return ``data`` with some of it changed, or cut short."""
    image = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        place = dice.randrange(len(image))
        match dice.randrange(5):
            case 0:
                image[place] ^= 1 << dice.randrange(8)
            case 1:
                image[place] = dice.choice((0, 0x7F, 0x80, 0xFF))
            case 2:
                word = dice.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(image)))
                image[place : place + 4] = struct.pack("<I", word)[: len(image) - place]
            case 3:
                image[place : place + 8] = bytes(image[dice.randrange(len(image)) :][:8])
            case 4 if dice.randrange(4) == 0:
                del image[place:]
                return bytes(image) or b"\0"
    return bytes(image)
