# SPDX-License-Identifier: Apache-2.0
"""Which modules a tree has: by the pattern of a name, and by what is said of them."""

from __future__ import annotations

from kmodd.database.text import decode, read_builtin_modinfo
from kmodd.database.trie import read_index
from kmodd.database.walk import full_path
from kmodd.errors import Reason, RequestError, TreeError
from kmodd.globs import PatternTable
from kmodd.names import ALIAS_MAX, check_query, normalise_alias
from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kmodd.database.tables import Tables

WORDS_MAX = 16
"""Words of one search; each is looked for in all that is said of thousands of modules."""

ALIASES_TOLD = 3
"""Aliases of one module that an answer tells at most."""

_NAME, _DESCRIPTION, _ALIAS = range(3)
"""Where a module's word is, the place that tells most first."""


@record(kw_only=True)
class Search:
    """What is looked for.

    ``pattern`` is a shell pattern of names, "" for all. Each of the ``words`` is to be in a
    module's name, its description or one of its aliases, in capitals or not. ``descriptions``
    tells that they are wanted in the answer, ``builtin`` that modules are which are built into the
    kernel. A dash is an underscore but in a description.
    """

    pattern: str = ""
    words: tuple[str, ...] = ()
    builtin: bool = False
    descriptions: bool = False

    @property
    def reads_descriptions(self) -> bool:
        """Whether anything of the answer depends on them."""
        return self.descriptions or bool(self.words)


@record(kw_only=True)
class FoundModule:
    """A module that was looked for.

    ``path`` is its file's, "" for one that is built into the kernel. ``aliases`` are some of those
    that have a word which is nowhere else.
    """

    name: str
    path: str
    description: str
    aliases: tuple[str, ...] = ()


def search_modules(search: Search, database: Tables) -> Iterator[FoundModule]:
    """Yield the modules that are looked for, by their names.

    Where there are words, those come first that have one in the name, then those that have one in
    the description. Raises RequestError for a pattern or words that can be none, TreeError for an
    index that is damaged.
    """
    _check(search)
    modules = _modules(search, database)
    if not search.words:
        return modules
    aliases = _Aliases(database, builtin=search.builtin)
    return iter(_matching([_folded(word) for word in search.words], modules, aliases))


def _check(search: Search) -> None:
    if search.pattern:
        normalise_alias(check_query(search.pattern))
    if len(search.words) > WORDS_MAX:
        raise RequestError(Reason.INVALID_REQUEST, f"more than {WORDS_MAX} words to search for")
    for word in search.words:
        if not word:
            raise RequestError(Reason.INVALID_REQUEST, "a word to search for is empty")
        if len(word) > ALIAS_MAX:
            why = f"a word of more than {ALIAS_MAX} characters to search for"
            raise RequestError(Reason.INVALID_REQUEST, why)


def _modules(search: Search, database: Tables) -> Iterator[FoundModule]:
    """Yield the modules whose names match the pattern, in the order of their names."""
    pattern = normalise_alias(search.pattern)
    table = PatternTable([(pattern, True)]) if pattern else None
    builtins = _builtins(database) if search.builtin else {}
    for name in sorted({*database.names(), *builtins}):
        if table is not None and not table.select(name):
            continue
        record = database.module(name)
        if record is None or database.is_builtin(name):
            if search.builtin:
                yield FoundModule(name=name, path="", description=builtins.get(name, ""))
            continue
        yield FoundModule(
            name=name,
            path=full_path(database.directory, record.path),
            description=record.description,
        )


def _builtins(database: Tables) -> dict[str, str]:
    """Return the description of each module that is built into the kernel, "" without one."""
    names = read_index(database.files["modules.builtin.bin"])
    found = {decode(name): "" for name, _, _ in names}
    for module, key, value in read_builtin_modinfo(database.builtin_modinfo):
        if key == "description" and not found.get(module):
            found[module] = value
    return found


def _matching(
    words: Sequence[tuple[str, str]], modules: Iterable[FoundModule], aliases: _Aliases
) -> list[FoundModule]:
    """Return the modules that have all the words, the best ones first."""
    found: list[tuple[int, FoundModule]] = []
    for module in modules:
        matched = _match(words, module, aliases)
        if matched is not None:
            found.append(matched)
    found.sort(key=lambda each: each[0])
    return [module for _, module in found]


def _match(
    words: Sequence[tuple[str, str]], module: FoundModule, aliases: _Aliases
) -> tuple[int, FoundModule] | None:
    """Return where the module has its words at best, and the module; None where one is missing."""
    name, description = module.name.lower(), module.description.lower()
    best = _ALIAS
    told: list[str] = []
    for word, spelled in words:
        if spelled in name:
            best = _NAME
        elif word in description:
            best = min(best, _DESCRIPTION)
        elif having := aliases.having(module.name, spelled):
            told += having
        else:
            return None
    if not told:
        return best, module
    aliases_told = tuple(dict.fromkeys(told))[:ALIASES_TOLD]
    return best, FoundModule(
        name=module.name,
        path=module.path,
        description=module.description,
        aliases=aliases_told,
    )


def _folded(word: str) -> tuple[str, str]:
    """Return how a word is looked for in texts, and how in names."""
    return word.lower(), word.lower().replace("-", "_")


class _Aliases:
    """The aliases of a tree's modules; they are read when the first one is asked for."""

    def __init__(self, database: Tables, *, builtin: bool) -> None:
        self._database = database
        self._files = ("modules.alias.bin", *(["modules.builtin.alias.bin"] if builtin else ()))
        self._having: dict[str, dict[str, list[str]]] = {}
        self._all: list[tuple[str, str]] | None = None

    def having(self, module: str, word: str) -> Sequence[str]:
        """Return some aliases of a module that have a word in them."""
        if word not in self._having:
            found: dict[str, list[str]] = {}
            for alias, owner in self._read():
                if word in alias.lower():
                    known = found.setdefault(owner, [])
                    if len(known) < ALIASES_TOLD:
                        known.append(alias)
            self._having[word] = found
        return self._having[word].get(module, ())

    def _read(self) -> Iterable[tuple[str, str]]:
        if self._all is None:
            self._all = []
            for file in self._files:
                try:
                    entries = read_index(self._database.files[file])
                    self._all += [(decode(key), decode(value)) for key, _, value in entries]
                except TreeError as error:
                    what = f"{self._database.directory}/{file}: {error.message}"
                    raise TreeError(error.reason, what, detail=self._database.directory) from None
        return self._all
