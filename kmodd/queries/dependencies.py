# SPDX-License-Identifier: Apache-2.0
"""What a module needs directly, and what that needs: the graph below one module."""

from __future__ import annotations

from kmodd.database.walk import full_path
from kmodd.names import symbol_key
from kmodd.plan import find, resolve
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmodd.config import Config
    from kmodd.database.tables import Tables


@record
class ModuleNeeds:
    """What one module needs: ``depends`` for its symbols, ``before`` and ``after`` softly.

    ``path`` is empty for a module that is built into the kernel, or that the tree does not hold.
    """

    name: str
    path: str
    builtin: bool
    depends: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


def needs_of(
    name: str, database: Tables, config: Config
) -> tuple[tuple[str, ...], tuple[ModuleNeeds, ...]]:
    """Return the modules that ``name`` stands for, and the needs of these and of all below them.

    Each module comes once, in the order in which a walk down meets it. Raises as ``resolve``
    does.
    """
    names = tuple(target.name for target in resolve(name, database, config).targets)
    found: dict[str, ModuleNeeds] = {}
    pending = list(reversed(names))
    while pending:
        module = pending.pop()
        if module not in found:
            needs = found[module] = _needs(module, database, config)
            pending += reversed((*needs.before, *needs.depends, *needs.after))
    return names, tuple(found.values())


def _needs(name: str, database: Tables, config: Config) -> ModuleNeeds:
    record = database.module(name)
    own = record.softdeps if record else ()
    before, after = config.soft_names_of(name, own)
    return ModuleNeeds(
        name=name,
        path=full_path(database.directory, record.path) if record else "",
        builtin=database.is_builtin(name),
        depends=_direct(name, database),
        before=_found(before, database, config),
        after=_found(after, database, config),
    )


def _direct(name: str, database: Tables) -> tuple[str, ...]:
    """Return the modules whose symbols ``name`` imports, in the order to load them."""
    record = database.module(name)
    if record is None:
        return ()
    imports = {symbol_key(symbol) for symbol in record.imports}
    return tuple(
        each.name
        for each in database.dependencies(name)
        if any(symbol in imports for symbol, _ in each.exports)
    )


def _found(names: Sequence[str], database: Tables, config: Config) -> tuple[str, ...]:
    targets = (target for name in names for target in find(name, database, config))
    return tuple(dict.fromkeys(target.name for target in targets))
