# SPDX-License-Identifier: Apache-2.0
"""What a kernel's functions take and return, in words that are short enough to keep them all.

A word has a letter for what is returned and one for each parameter:

p          a pointer
1 2 4 8    a number of so many bytes
b h i l    the same, of numbers that can be below zero
s          a structure or union by value
v          nothing (void)
?          anything else
.          more parameters, of which the prototype says nothing; the last letter

Behind a colon stand the bytes of the structure that the returned pointer points at, where the types
tell, and ``=`` where the function takes such a pointer too: ``pp4:192=``.
"""

from collections.abc import Iterable
from functools import cache

from kmodd.kernelimage.btf import BtfKind, Layouts

NOTHING = "v"
"""The word of functions that take and return nothing. Nearly all that have it are written in
assembly, and the types say nothing of them."""

PARAMETERS_MAX = 64
"""Parameters that are looked at; Debian's kernels have 16 at most."""

_UNSIGNED = {1: "1", 2: "2", 4: "4", 8: "8"}
_SIGNED = {1: "b", 2: "h", 4: "i", 8: "l"}
_STRUCTURES = (BtfKind.STRUCT, BtfKind.UNION)
_NUMBERS = (BtfKind.INT, BtfKind.ENUM, BtfKind.ENUM64)


def read_prototypes(layouts: Layouts, names: Iterable[str] | None = None) -> dict[str, str]:
    """Return the words of those functions of which the types say something, of all without names.

    Nothing is said of a name that several functions have, with different prototypes.

    Raises KernelImageError where the types are not in order.
    """
    words, found = _Words(layouts), dict[str, str]()
    wanted = None if names is None else frozenset(names)
    for name, number in layouts.btf.named(wanted, BtfKind.FUNC):
        word = words.word(layouts.btf.target(number))
        if found.setdefault(name, word) != word:
            found[name] = NOTHING
    return {name: word for name, word in found.items() if word != NOTHING}


class _Words:
    """Words of prototypes, and letters of types: many functions have the same."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self._btf = layouts.btf
        self.word = cache(self._word)
        self._letter = cache(self._find_letter)

    def _word(self, number: int) -> str:
        returned, taken = self._btf.target(number), self._btf.parameter_types(number)
        end = ""
        if taken and not taken[-1]:
            # One that takes more than it says has a last parameter of no type.
            end = "."
            del taken[-1]
        del taken[PARAMETERS_MAX:]
        letter = self._letter
        letters = letter(returned) + "".join(map(letter, taken))
        structure = self._pointed(returned) if letters[0] == "p" else 0
        size = self._btf.extent(structure) if structure else 0
        if not size:
            return letters + end
        is_taken = any(self._pointed(each) == structure for each in taken)
        return f"{letters}{end}:{size}{'=' * is_taken}"

    def _find_letter(self, number: int) -> str:
        number = self._layouts.resolve(number)
        kind = self._btf.kind(number)
        if kind in (BtfKind.PTR, BtfKind.ARRAY):
            return "p"
        if kind is BtfKind.VOID:
            return "v"
        if kind in _STRUCTURES:
            return "s"
        if kind in _NUMBERS:
            letters = _SIGNED if self._btf.is_signed(number) else _UNSIGNED
            return letters.get(self._btf.extent(number), "?")
        return "?"

    def _pointed(self, number: int) -> int:
        """Return the structure that a pointer is to, 0 for any other type."""
        number = self._layouts.resolve(number)
        if self._btf.kind(number) is not BtfKind.PTR:
            return 0
        number = self._layouts.resolve(self._btf.target(number))
        return number if self._btf.kind(number) in _STRUCTURES else 0
