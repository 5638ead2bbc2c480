# SPDX-License-Identifier: Apache-2.0
"""A module in the emulated machine's memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodd.kernel.emulated.modules.kallsyms import FunctionNames, SymbolPlace


@dataclass(slots=True, eq=False)
class ModuleImage:
    """A module that is in memory.

    ``exports`` are the addresses of its exported symbols, ``gpl_only`` those for the GPL alone.
    ``init`` and ``exit`` are 0 where it has none. ``end`` and ``init_end`` are behind its last byte
    of each memory, the texts' ends where the code in it ends. ``per_cpu`` is where in the per-CPU
    area its variables are, 0 for none; ``bugs`` and ``jumps`` are where its tables of warnings and
    of static branches are, and the bytes of those; ``keys`` are what decides these branches, once
    somebody has looked. ``has_init_memory`` tells whether what is for init alone is still there.
    """

    name: str
    start: int
    end: int
    init_start: int
    init_end: int
    text_end: int
    init_text_end: int
    functions: FunctionNames
    this_module: int = 0
    init: int = 0
    exit: int = 0
    per_cpu: int = 0
    bugs: tuple[int, int] = (0, 0)
    jumps: tuple[int, int] = (0, 0)
    keys: frozenset[int] | None = None
    parameters: int = 0
    exports: Mapping[str, int] = field(default_factory=dict)
    gpl_only: frozenset[str] = frozenset()
    has_init_memory: bool = True

    def is_text(self, address: int) -> bool:
        """Tell whether ``address`` is in the module's code."""
        return (
            self.start <= address < self.text_end or self.init_start <= address < self.init_text_end
        )

    def is_code(self, address: int) -> bool:
        """Tell whether ``address`` is in the module's code and still there."""
        return self.is_text(address) and (
            self.has_init_memory or not self.init_start <= address < self.init_end
        )

    def find(self, address: int) -> SymbolPlace:
        """Name the function that ``address`` is in (find_kallsyms_symbol)."""
        in_init = self.init_start <= address < self.init_end
        low = self.init_start if in_init else self.start
        end = self.init_text_end if in_init else self.text_end
        name, start, end = self.functions.nearest(address, low, end)
        return SymbolPlace(self.name, name, address - start, max(end - start, 0))
