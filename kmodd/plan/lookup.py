# SPDX-License-Identifier: Apache-2.0
"""What a name stands for, asked of one source after the other until one answers.

The order is libkmod's (``kmod_module_new_from_lookup``). It follows that an alias of the
configuration hides a module of the same name, and that aliases do not lead to aliases.
"""

from __future__ import annotations

from kmodd.config import Config
from kmodd.enums import Enum
from kmodd.errors import NotFoundError, Reason, RequestError
from kmodd.names import check_query, module_name, normalise_alias
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from kmodd.database.tables import Tables


class Stage(Enum):
    """The source that answered to a name; the first one counts."""

    CONFIG_ALIAS = "alias of the configuration"
    MODULE = "module"
    SYMBOL = "exported symbol"
    COMMAND = "install or remove command"
    ALIAS = "alias of a module"
    BUILTIN = "builtin module"
    BUILTIN_ALIAS = "alias of a builtin module"


@record
class Target:
    """One module that a name stands for, whether or not there is a file of it.

    ``alias`` is the alias by which it was reached, "" for its own name. For an alias of the
    configuration it is the pattern as written there: options are looked up by that. ``named``
    tells that nothing but a command's line for exactly this name makes it a module.
    """

    name: str
    alias: str
    named: bool = False


@record
class Resolution:
    """What a name stands for, in kmod's order (``modprobe -R``), and which source said so."""

    query: str
    stage: Stage
    targets: tuple[Target, ...]


def resolve(name: str, database: Tables, config: Config) -> Resolution:
    """Return what the module name, alias or ``symbol:NAME`` stands for.

    Raises RequestError (INVALID_NAME) for what cannot be a name, and NotFoundError
    (MODULE_NOT_FOUND) where nothing answers to it, both with the tree's directory as their detail;
    DEPENDENCY_CYCLE for a module that is left out.
    """
    try:
        query = normalise_alias(check_query(name))
    except RequestError as error:
        error.detail = database.directory
        raise
    resolution = _look_up(query, database, config)
    if resolution is None:
        raise not_found(name, database)
    return resolution


def resolve_module(name: str, database: Tables) -> Resolution:
    """Return the module called ``name`` (spelled with underscores), or builtin by that alias.

    Neither the configuration nor the aliases of modules count (``modinfo -m``). Raises
    NotFoundError as ``resolve`` does.
    """
    resolution = _look_up(name, database, Config(), _MODULE_SEARCHES)
    if resolution is None:
        raise not_found(name, database)
    return resolution


def find(name: str, database: Tables, config: Config) -> tuple[Target, ...]:
    """Return what a name of the configuration stands for: nothing, if nothing answers to it."""
    try:
        resolution = _look_up(normalise_alias(name), database, config)
    except RequestError:
        return ()
    return resolution.targets if resolution else ()


def not_found(name: str, database: Tables) -> NotFoundError:
    """Return the error for a name that the tree of ``database`` has no module for.

    One that is only left out (DEPENDENCY_CYCLE) is told with the reason.
    """
    why = database.left_out.get(module_name(name))
    if why is not None:
        return NotFoundError(
            Reason.DEPENDENCY_CYCLE, f"module {name} is {why}", module=name, detail=why
        )
    return NotFoundError(
        Reason.MODULE_NOT_FOUND,
        f"module {name} not found in directory {database.directory}",
        module=name,
        detail=database.directory,
    )


def _look_up(
    query: str, database: Tables, config: Config, searches: tuple[_Search, ...] | None = None
) -> Resolution | None:
    for stage, search in searches or _SEARCHES:
        targets = search(query, database, config)
        if targets:
            return Resolution(query, stage, targets)
    return None


def _by_config_alias(query: str, _: Tables, config: Config) -> tuple[Target, ...]:
    return tuple(Target(alias.module, alias.pattern) for alias in config.aliases_of(query))


def _by_module(query: str, database: Tables, _: Config) -> tuple[Target, ...]:
    return (Target(query, ""),) if database.module(query) else ()


def _by_symbol(query: str, database: Tables, _: Config) -> tuple[Target, ...]:
    if not query.startswith("symbol:"):
        return ()
    return tuple(Target(name, query) for name in database.search_symbols(query))


def _by_command(query: str, _: Tables, config: Config) -> tuple[Target, ...]:
    return (Target(query, "", named=True),) if config.has_command(query) else ()


def _by_alias(query: str, database: Tables, _: Config) -> tuple[Target, ...]:
    return tuple(Target(name, query) for name in database.search_aliases(query))


def _by_builtin(query: str, database: Tables, _: Config) -> tuple[Target, ...]:
    return (Target(query, ""),) if database.is_builtin(query) else ()


def _by_builtin_alias(query: str, database: Tables, _: Config) -> tuple[Target, ...]:
    return tuple(Target(name, query) for name in database.search_builtin_aliases(query))


_Search: TypeAlias = "tuple[Stage, Callable[[str, Tables, Config], tuple[Target, ...]]]"

_SEARCHES: tuple[_Search, ...] = (
    (Stage.CONFIG_ALIAS, _by_config_alias),
    (Stage.MODULE, _by_module),
    (Stage.SYMBOL, _by_symbol),
    (Stage.COMMAND, _by_command),
    (Stage.ALIAS, _by_alias),
    (Stage.BUILTIN, _by_builtin),
    (Stage.BUILTIN_ALIAS, _by_builtin_alias),
)

_MODULE_SEARCHES: tuple[_Search, ...] = (
    (Stage.MODULE, _by_module),
    (Stage.BUILTIN, _by_builtin),
    (Stage.BUILTIN_ALIAS, _by_builtin_alias),
)
