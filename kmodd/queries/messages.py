# SPDX-License-Identifier: Apache-2.0
"""Answers about a tree as messages of the API.

There are two libraries of these: protobuf's in kmodd.v1, and kmodd.messages for a process that has
no time to import that. ``api`` is the module of either that has the messages of DatabaseService;
both have the same names in it.
"""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from kmodd.config import Config
    from kmodd.config.directives import Directive
    from kmodd.database.device_nodes import DeviceNode
    from kmodd.database.tables import Tables
    from kmodd.modulefile import Signature
    from kmodd.modulefile.versions import SymbolVersion
    from kmodd.plan import Resolution
    from kmodd.queries.dependencies import ModuleNeeds
    from kmodd.queries.modinfo import ModuleInfo
    from kmodd.queries.search import FoundModule, Search

    Item = TypeVar("Item")

PROBLEMS_MAX = 100
"""Lines of one kind that a message has at most."""

BATCH = 4096
"""Entries in one message of a stream: some 300 KiB, well below grpc's limit of 4 MiB."""

FOUND_BATCH = 256
"""Modules in one message of a search: with the longest paths and descriptions below that limit."""

ALIAS_TOLD = 256
"""Characters of an alias that a search tells."""

INDEXES = ("modules.alias.bin", "modules.symbols.bin")
"""The indexes that ``modprobe -c`` shows, in its order."""


def text(value: str) -> str:
    """Return ``value`` as a protobuf string can carry it: bytes that are not UTF-8 replaced."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def texts(values: Iterable[str]) -> list[str]:
    """Return each of ``values`` so."""
    return [text(value) for value in values]


def problem_lines(problems: Sequence[str]) -> list[str]:
    """Return what an answer tells of a configuration's problems."""
    return texts(problems[:PROBLEMS_MAX])


def info_message(info: ModuleInfo, api: Any) -> Any:
    """Return what a module says of itself."""
    return api.ModuleInfo(
        name=text(info.name),
        path=text(info.path),
        builtin=info.builtin,
        fields=[_field(key, value, api) for key, value in info.fields],
        build_id=info.build_id,
        signature=_signature(info.signature, api) if info.signature else None,
        versions=[_symbol(each, api) for each in info.versions],
        exports=[_symbol(each, api) for each in info.exports],
        error=text(info.error),
        error_errno=info.errno,
    )


def resolution_message(resolution: Resolution, config: Config, api: Any) -> Any:
    """Return what a name stands for."""
    return api.ResolveAliasResponse(
        modules=[text(target.name) for target in resolution.targets],
        source=getattr(api, f"NAME_SOURCE_{resolution.stage.name}"),
        config_problems=problem_lines(config.problems),
    )


def needs_message(names: Sequence[str], modules: Sequence[ModuleNeeds], api: Any) -> Any:
    """Return what the modules that a name stands for need."""
    return api.GetDependenciesResponse(
        names=texts(names),
        modules=[
            api.ModuleNeeds(
                name=text(each.name),
                path=text(each.path),
                builtin=each.builtin,
                depends=texts(each.depends),
                soft_before=texts(each.before),
                soft_after=texts(each.after),
            )
            for each in modules
        ],
    )


def node_message(node: DeviceNode, api: Any) -> Any:
    """Return a device node whose opening loads a module."""
    return api.StaticNode(
        module=text(node.module),
        path=text(node.path),
        kind=api.DEVICE_KIND_CHARACTER if node.kind == "c" else api.DEVICE_KIND_BLOCK,
        major=node.major,
        minor=node.minor,
    )


def search_of(request: Any) -> Search:
    """Return what a FindModulesRequest looks for."""
    from kmodd.queries.search import Search

    return Search(
        pattern=request.pattern,
        words=tuple(request.words),
        builtin=request.builtin,
        descriptions=request.descriptions,
    )


def found_messages(found: Iterable[FoundModule], api: Any, *, descriptions: bool) -> Iterator[Any]:
    """Yield modules that were looked for, in parts."""
    for modules in _batches(found, FOUND_BATCH):
        yield api.FindModulesResponse(
            modules=[
                api.FoundModule(
                    name=text(each.name),
                    path=text(each.path),
                    builtin=not each.path,
                    description=text(each.description) if descriptions else "",
                    aliases=texts(alias[:ALIAS_TOLD] for alias in each.aliases),
                )
                for each in modules
            ]
        )


def configuration_messages(config: Config, database: Tables, api: Any) -> Iterator[Any]:
    """Yield the configuration, then the indexes, in parts."""
    yield api.GetConfigurationResponse(problems=problem_lines(config.problems))
    for entries in _batches(config_entries(config, api)):
        yield api.GetConfigurationResponse(entries=entries)
    for aliases in _batches(_alias_entries(database, api)):
        yield api.GetConfigurationResponse(aliases=aliases)


def config_entries(config: Config, api: Any) -> Iterator[Any]:
    """Yield the directives in the order in which ``modprobe -c`` shows them."""
    for blacklist in config.blacklist:
        yield _entry(api.CONFIG_DIRECTIVE_BLACKLIST, blacklist.module, "", blacklist, api)
    for install in config.installs:
        kind = api.CONFIG_DIRECTIVE_INSTALL
        yield _entry(kind, install.pattern, install.command, install, api)
    for remove in config.removes:
        yield _entry(api.CONFIG_DIRECTIVE_REMOVE, remove.pattern, remove.command, remove, api)
    for alias in config.aliases:
        yield _entry(api.CONFIG_DIRECTIVE_ALIAS, alias.pattern, alias.module, alias, api)
    for options in config.options:
        yield _entry(api.CONFIG_DIRECTIVE_OPTIONS, options.module, options.text, options, api)
    for soft in config.softdeps:
        sides = (("pre:", soft.pre), ("post:", soft.post))
        words = " ".join(" ".join((side, *names)) for side, names in sides if names)
        yield _entry(api.CONFIG_DIRECTIVE_SOFTDEP, soft.pattern, words, soft, api)
    for weak in config.weakdeps:
        words = " ".join(weak.modules)
        yield _entry(api.CONFIG_DIRECTIVE_WEAKDEP, weak.pattern, words, weak, api)


def _field(key: str, value: str, api: Any) -> Any:
    return api.ModuleInfoField(
        key=text(key), value=text(value), raw_value=_raw(value), raw_key=_raw(key)
    )


def _raw(value: str) -> bytes:
    """Return the bytes of ``value`` where they are not UTF-8, none where they are."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape")
    return b""


def _signature(signature: Signature, api: Any) -> Any:
    return api.ModuleSignature(
        id=signature.type.value,
        signer=text(signature.signer),
        raw_signer=_raw(signature.signer),
        key_id=signature.key_id,
        hash_algorithm=signature.hash_algorithm,
        value=signature.value,
    )


def _symbol(version: SymbolVersion, api: Any) -> Any:
    return api.SymbolCrc(symbol=text(version.name), crc=version.crc & 0xFFFFFFFF)


def _entry(kind: int, name: str, words: str, directive: Directive, api: Any) -> Any:
    return api.ConfigEntry(
        directive=kind,
        name=text(name),
        text=text(words),
        file=text(directive.file),
        line=directive.line,
    )


def _alias_entries(database: Tables, api: Any) -> Iterator[Any]:
    from kmodd.database.trie import read_index
    from kmodd.errors import TreeError

    for file in INDEXES:
        try:
            for key, _, value in read_index(database.files[file]):
                alias, module = key.decode("ascii"), value.decode("utf-8", "replace")
                yield api.AliasEntry(alias=alias, module=module)
        except TreeError as error:
            what = f"{database.directory}/{file}: {error.message}"
            raise TreeError(error.reason, what, detail=database.directory) from None


def _batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
