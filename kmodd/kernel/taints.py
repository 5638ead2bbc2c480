# SPDX-License-Identifier: Apache-2.0
"""The letters of a kernel's taints, and the bits of /proc/sys/kernel/tainted.

What each stands for tells Documentation/admin-guide/tainted-kernels.rst.
"""

from collections.abc import Iterable

LETTERS = "PFSRMBUDAWCIOELKXTNJ"
"""The letter of each bit, the lowest first (kernel/panic.c, taint_flags)."""


def in_order(letters: Iterable[str]) -> str:
    """Return taints in the order of their bits, as /proc/modules and the kernel's log do."""
    return "".join(sorted(letters, key=LETTERS.index))


def mask_of(letters: Iterable[str]) -> int:
    """Return the bits of these taints."""
    return sum(1 << LETTERS.index(letter) for letter in set(letters))


def letters_of(mask: int) -> str:
    """Return the letters of a mask's taints; a bit that is newer than we know has none."""
    return "".join(letter for bit, letter in enumerate(LETTERS) if mask >> bit & 1)
