# SPDX-License-Identifier: Apache-2.0
"""The whole of what is known of a module tree, as one value.

It is frozen, with all in it: a rebuild makes a new Database, and whoever holds the old one reads
on undisturbed.
"""

from __future__ import annotations

from kmodd.database import trie
from kmodd.database.closures import highest_first
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kmodd.database.closures import Closure
    from kmodd.database.inventory import Inventory, ModuleRecord
    from kmodd.database.parts import Made
    from kmodd.errors import CycleError

OUTPUTS = (
    *("modules.dep", "modules.dep.bin", "modules.alias", "modules.alias.bin"),
    *("modules.softdep", "modules.weakdep", "modules.symbols", "modules.symbols.bin"),
    *("modules.builtin.bin", "modules.builtin.alias.bin", "modules.devname"),
)
"""The files of a database, in the order in which depmod writes them."""


@record
class Dependencies:
    """Which module needs which, closed: everything that must be there before it.

    ``order`` names all modules, each one after all that it needs. A closure is a set of
    positions in ``order`` (see closures.py); the same sets are in the same form.
    """

    order: tuple[str, ...]
    closures: Mapping[str, Closure]

    def users_first(self, name: str) -> list[str]:
        """Return all that ``name`` needs, each one before what itself needs (modules.dep)."""
        return [self.order[position] for position in highest_first(self.closures[name])]


@record(kw_only=True)
class Database:
    """One generation of a module tree's database; safe to share between threads.

    ``directory`` is the tree's (``.../lib/modules/<release>``). ``modules`` maps each name to its
    record in the order of priority, ``softdeps`` and ``weakdeps`` are the lines of the files of
    these names as (module, text). ``files`` maps each file's name to its bytes in the order in
    which depmod writes them; large ones may be made as they are asked for. ``file_problems`` are
    what depmod warns of as it makes each of them, in the same order. ``cycles`` is why some modules
    of the tree are not among these, None where all are. ``unwritable`` says why the files of
    dependencies cannot be made, which are not among the ``files`` then, "" where they can.
    ``inventory`` and ``makings`` serve the next build alone.
    """

    release: str
    directory: str
    modules: Mapping[str, ModuleRecord]
    builtins: frozenset[str]
    needs: Dependencies
    softdeps: tuple[tuple[str, str], ...]
    weakdeps: tuple[tuple[str, str], ...]
    files: Mapping[str, bytes]
    file_problems: Mapping[str, tuple[str, ...]]
    inventory: Inventory
    makings: Mapping[str, Made]
    symbol_prefix: str = ""
    cycles: CycleError | None = None
    unwritable: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """All that depmod would warn of, one line each, as it words them after its own name."""
        said = self.file_problems.values()
        return self.inventory.problems + tuple(line for lines in said for line in lines)

    @property
    def left_out(self) -> Mapping[str, str]:
        """The modules of the tree that cannot be loaded, each with the reason in words."""
        return self.cycles.left_out if self.cycles else {}

    @property
    def builtin_modinfo(self) -> bytes:
        """What modules.builtin.modinfo has, nothing where there is no such file."""
        return self.inventory.builtin_modinfo or b""

    def names(self) -> Iterable[str]:
        """Return the names of all modules, in the order of priority."""
        return self.modules

    def module(self, name: str) -> ModuleRecord | None:
        """Return the record of the module ``name`` (spelled with underscores), if there is one."""
        return self.modules.get(name)

    def dependencies(self, name: str) -> tuple[ModuleRecord, ...]:
        """Return all that ``name`` needs in the order to load it, itself left out.

        Raises KeyError for a module that the tree does not hold.
        """
        return tuple(self.modules[each] for each in reversed(self.needs.users_first(name)))

    def search_aliases(self, query: str) -> tuple[str, ...]:
        """Return the modules with an alias that matches ``query``, by rising priority."""
        return self._search("modules.alias.bin", query)

    def search_symbols(self, query: str) -> tuple[str, ...]:
        """Return the modules that export the symbol of ``query`` (``symbol:NAME``)."""
        return self._search("modules.symbols.bin", query)

    def search_builtin_aliases(self, query: str) -> tuple[str, ...]:
        """Return the kernel's builtin modules with an alias that matches ``query``."""
        return self._search("modules.builtin.alias.bin", query)

    def is_builtin(self, name: str) -> bool:
        """Tell whether the module ``name`` is part of the kernel itself."""
        return name in self.builtins

    def _search(self, file: str, query: str) -> tuple[str, ...]:
        return trie.search_wild(self.files[file], query)
