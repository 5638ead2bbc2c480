# SPDX-License-Identifier: Apache-2.0
"""What a function gives that is not modelled: the one table.

What the kernel says that the function returns decides, and where it is a search, its name:

================================  ====================================================
returned                          given
================================  ====================================================
nothing                           0
a number                          0: there is no error
a number of a search              all bits: no processor, no bit comes behind it
a structure's pointer             an object of its size, all zeros
a pointer that is taken, too      NULL: an iterator has come to its end
a pointer of a search             NULL: nothing is found
any other pointer                 ERR_PTR(-ENOSYS)
not known                         0, and it is told
================================  ====================================================
"""

import errno
from typing import NamedTuple

OBJECT_MAX = 64 << 10
"""Bytes of an object that is given, at most."""

_ALL_BITS = (1 << 64) - 1
_NO_FUNCTION = (1 << 64) - errno.ENOSYS
_SEARCHES = frozenset({"find", "first", "get", "last", "lookup", "next", "prev", "search", "walk"})
_STEPS = frozenset({"first", "last", "next", "prev"})
_UNKNOWN = frozenset("s?")


class StubValue(NamedTuple):
    """What is given: the bytes of an object, or a ``number`` where ``object_size`` is 0."""

    number: int = 0
    object_size: int = 0
    is_known: bool = True


def stub_value(name: str, word: str | None) -> StubValue:
    """Return what a function of that name gives; ``word`` is its kernelimage.prototypes one."""
    if word is None or word[0] in _UNKNOWN:
        return StubValue(is_known=False)
    kinds, _, pointed = word.partition(":")
    parts = _SEARCHES.intersection(name.split("_"))
    if kinds[0] != "p":
        return StubValue(_ALL_BITS if parts & _STEPS and kinds[0] != "v" else 0)
    if pointed.endswith("=") or parts:
        return StubValue()
    size = int(pointed or 0)
    return StubValue(object_size=size) if 0 < size <= OBJECT_MAX else StubValue(_NO_FUNCTION)
