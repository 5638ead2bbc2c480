# SPDX-License-Identifier: Apache-2.0
"""Write types as a compiler describes them (Documentation/bpf/btf.rst)."""

import struct
from collections.abc import Sequence

from kmodd.kernelimage.btf import BtfKind


class BtfWriter:
    """Types that grow until ``data`` makes a section of them; each gets the next number.

    With ``first`` and ``strings_first`` they go on behind those of a kernel.
    """

    def __init__(self, order: str = "<", *, first: int = 1, strings_first: int = 0) -> None:
        self._order = order
        self._next = first
        self._strings_first = strings_first
        self._strings = b"\0" if not strings_first else b""
        self._types = b""

    def add(
        self,
        kind: BtfKind,
        name: str = "",
        rest: int = 0,
        *,
        parts: Sequence[tuple[str | int, ...]] = (),
        once: Sequence[int] = (),
        flag: bool = False,
    ) -> int:
        """Add a type, and return its number. ``parts`` and ``once`` stand behind it."""
        info = flag << 31 | kind << 24 | len(parts)
        self._types += self._pack(self._string(name), info, rest)
        for part in parts:
            self._types += self._pack(
                *(self._string(each) if isinstance(each, str) else each for each in part)
            )
        self._types += self._pack(*once)
        self._next += 1
        return self._next - 1

    def integer(self, name: str, size: int, *, is_signed: bool = False) -> int:
        """Add a plain number of ``size`` bytes."""
        return self.add(BtfKind.INT, name, size, once=(is_signed << 24 | 8 * size,))

    def function(self, name: str, returns: int, *takes: int, variadic: bool = False) -> int:
        """Add a function with a prototype of its own."""
        parts: list[tuple[str | int, ...]] = [("", each) for each in takes]
        prototype = self.add(BtfKind.FUNC_PROTO, rest=returns, parts=parts + [("", 0)] * variadic)
        return self.add(BtfKind.FUNC, name, prototype)

    def structure(
        self,
        name: str,
        size: int,
        members: Sequence[tuple[str, int, int]],
        *,
        kind: BtfKind = BtfKind.STRUCT,
        flag: bool = False,
    ) -> int:
        """Add a structure with members of a name, a type and a place in bits."""
        return self.add(kind, name, size, parts=members, flag=flag)

    def data(self) -> bytes:
        """Return the section."""
        sizes = (0, len(self._types), len(self._types), len(self._strings))
        header = struct.pack(self._order + "HBBI4I", 0xEB9F, 1, 0, 24, *sizes)
        return header + self._types + self._strings

    def _pack(self, *words: int) -> bytes:
        return b"".join(struct.pack(f"{self._order}I", word & 0xFFFFFFFF) for word in words)

    def _string(self, text: str) -> int:
        if not text:
            return 0
        key = text.encode() + b"\0"
        if key not in self._strings:
            self._strings += key
        return self._strings_first + self._strings.index(key)
