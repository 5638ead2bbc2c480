# SPDX-License-Identifier: Apache-2.0
"""Changes an input a piece at a time, where a change anywhere would mostly hit its frame."""

import random
from collections.abc import Callable

from tests.fuzz.fuzzer import Format

Change = Callable[[bytes, int], bytes]
"""Changes bytes, to at most so many."""

PIECES_MAX = 64


def mutator(form: Format, change: Change) -> Callable[[bytes, int, int], bytes]:
    """Return what changes an input of a format, to at most so many bytes, by a seed.

    ``change`` changes the bytes of a piece, and now and then those of the whole input.
    """

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        dice = random.Random(seed)
        pieces = form.split(data)
        if not pieces or dice.randrange(8) == 0:
            return change(data, most)
        at = dice.randrange(len(pieces))
        match dice.randrange(8):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[dice.randrange(len(pieces))])
            case 2:
                other = dice.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case _:
                pieces[at] = change(pieces[at], min(most, len(pieces[at]) + 64))
        return form.join(pieces[:PIECES_MAX])[:most]

    return mutated
