# SPDX-License-Identifier: Apache-2.0
"""Values of parameters: as they are given, and as /sys/module shows them."""

import re

_YES = re.compile(r"[yYtT1]|[oO][nN]")
_NO = re.compile(r"[nNfF0]|[oO][fF]")
_NUMBER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19})")


def is_same_value(given: str, shown: str) -> bool:
    """Tell whether a parameter that was ``given`` so is ``shown`` so.

    A bool is Y or N in /sys, however it was given, and a number is decimal (kernel/params.c); the
    elements of an array have commas between them.
    """
    if given == shown:
        return True
    givens, showns = given.split(","), shown.split(",")
    return len(givens) == len(showns) and all(map(_is_same, givens, showns))


def _is_same(given: str, shown: str) -> bool:
    spelled = {"Y": _YES, "N": _NO}.get(shown)
    if given == shown or (spelled is not None and spelled.match(given) is not None):
        return True
    numbers = _number(given), _number(shown)
    return None not in numbers and numbers[0] == numbers[1]


def _number(text: str) -> int | None:
    """Return the number that ``text`` is to the kernel (kstrtoll with base 0), None for none."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits = found[2]
    base = 16 if digits[1:2] in ("x", "X") else 8 if digits[0] == "0" else 10
    return int(found[1] + digits, base)
