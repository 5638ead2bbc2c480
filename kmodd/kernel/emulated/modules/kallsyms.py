# SPDX-License-Identifier: Apache-2.0
"""The names of a module's functions, for as long as it is there.

The module's whole symbol table would keep its file's image in memory: 90 KiB for the average of
Debian's modules. What addresses are named by comes to 5.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass

from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns

NAMES_MAX = 4 << 20
"""Bytes of the names that are kept of a module's functions (490,000 in amdgpu's string table, the
largest of Debian's)."""

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SymbolPlace:
    """Where in a module an address is, as the kernel's ``%pS`` says it.

    ``symbol`` is empty where nothing is named; ``size`` reaches to the next symbol.
    """

    module: str
    symbol: str
    offset: int
    size: int

    def __str__(self) -> str:
        module = f" [{self.module}]" if self.module else ""
        return f"{self.symbol}+{self.offset:#x}/{self.size:#x}{module}"


class FunctionNames:
    """The addresses of a module's functions, and their names in the order of its table."""

    __slots__ = ("_addresses", "_known", "_names", "_sorted")

    def __init__(
        self, symbols: SymbolColumns, addresses: Sequence[int], placed: Container[int]
    ) -> None:
        """``addresses`` are those of all symbols, ``placed`` the sections that are in memory.

        In a table that does not add up nothing is named.
        """
        sections = symbols.sections
        kept = [at for at in symbols.functions() if sections[at] in placed]
        self._addresses = array("Q", [addresses[at] & _MASK for at in kept])
        names = symbols.raw_names(kept, limit=NAMES_MAX)
        self._names = b"\0".join(names) if names else bytes(max(len(kept) - 1, 0))
        self._sorted: list[tuple[int, int]] | None = None
        self._known: dict[int, str] = {}

    def nearest(self, address: int, low: int, end: int) -> tuple[str, int, int]:
        """Return the function that ``address`` is in, its start and its end.

        The function lies between ``low`` and ``end``; the name is empty where there is none.
        """
        if self._sorted is None:
            self._sorted = sorted(zip(self._addresses, range(len(self._addresses)), strict=True))
        functions = self._sorted
        at = bisect_right(functions, (address, 1 << 62)) - 1
        if at < 0 or functions[at][0] < low:
            return "", low, low
        start = functions[at][0]
        # Of several names for one address the first in the table counts.
        first = bisect_left(functions, (start, 0))
        above = at + 1
        if above < len(functions) and functions[above][0] < end:
            end = functions[above][0]
        return self._name(functions[first][1]), start, end

    def _name(self, place: int) -> str:
        """Return a name by its place in the table; the same few are asked for again and again."""
        name = self._known.get(place)
        if name is None:
            name = self._names.split(b"\0")[place].decode("utf-8", "surrogateescape")
            self._known[place] = name
        return name
