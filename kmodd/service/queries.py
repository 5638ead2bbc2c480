# SPDX-License-Identifier: Apache-2.0
"""The calls of DatabaseService that ask what is in a tree and its configuration."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import grpc

from kmodd.config import Config
from kmodd.config.directives import Directive
from kmodd.database import Database
from kmodd.database.trie import read_index
from kmodd.plan import Stage
from kmodd.queries.lookups import Lookups
from kmodd.queries.messages import info_message, text
from kmodd.queries.modinfo import info_of_image
from kmodd.service.convert import problem_lines
from kmodd.service.uploads import Uploads
from kmodd.v1 import database_service_pb2 as pb
from kmodd.v1 import database_service_pb2_grpc

BATCH = 4096
"""Entries in one message of a stream: some 300 KiB, well below grpc's limit of 4 MiB."""

INDEXES = ("modules.alias.bin", "modules.symbols.bin")
"""The indexes that ``modprobe -c`` shows, in its order."""

Item = TypeVar("Item")

_SOURCES = {
    Stage.CONFIG_ALIAS: pb.NAME_SOURCE_CONFIG_ALIAS,
    Stage.MODULE: pb.NAME_SOURCE_MODULE,
    Stage.SYMBOL: pb.NAME_SOURCE_SYMBOL,
    Stage.COMMAND: pb.NAME_SOURCE_COMMAND,
    Stage.ALIAS: pb.NAME_SOURCE_ALIAS,
    Stage.BUILTIN: pb.NAME_SOURCE_BUILTIN,
    Stage.BUILTIN_ALIAS: pb.NAME_SOURCE_BUILTIN_ALIAS,
}
_KINDS = {"c": pb.DEVICE_KIND_CHARACTER, "b": pb.DEVICE_KIND_BLOCK}


class QueryCalls(database_service_pb2_grpc.DatabaseServiceServicer):
    """Translates between the API and the Lookups."""

    def __init__(self, lookups: Lookups, uploads: Uploads) -> None:
        self._lookups = lookups
        self._uploads = uploads

    def ResolveAlias(  # noqa: N802  # the API's name
        self, request: pb.ResolveAliasRequest, _context: grpc.ServicerContext
    ) -> pb.ResolveAliasResponse:
        """Answer with the modules that a name stands for."""
        resolution, config = self._lookups.resolve(request.name, request.release)
        return pb.ResolveAliasResponse(
            modules=[text(target.name) for target in resolution.targets],
            source=_SOURCES[resolution.stage],
            config_problems=problem_lines(config.problems),
        )

    def GetModuleInfo(  # noqa: N802
        self, request: pb.GetModuleInfoRequest, _context: grpc.ServicerContext
    ) -> pb.GetModuleInfoResponse:
        """Answer with what modules say of themselves."""
        infos = self._lookups.module_infos(
            request.name,
            request.release,
            by_module_name=request.module_name_only,
            symbols=request.symbols,
        )
        return pb.GetModuleInfoResponse(modules=map(info_message, infos))

    def InspectModule(  # noqa: N802
        self, requests: Iterator[pb.InspectModuleRequest], _context: grpc.ServicerContext
    ) -> pb.InspectModuleResponse:
        """Take in a module file and answer with what it says of itself."""
        with self._uploads.receive(requests) as (header, image):
            info = info_of_image(image, header.file_name)
        return pb.InspectModuleResponse(module=info_message(info))

    def GetConfiguration(  # noqa: N802
        self, request: pb.GetConfigurationRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.GetConfigurationResponse]:
        """Send the configuration, then the indexes."""
        config, database = self._lookups.configuration(request.release)
        yield pb.GetConfigurationResponse(problems=problem_lines(config.problems))
        for entries in _batches(config_entries(config)):
            yield pb.GetConfigurationResponse(entries=entries)
        for aliases in _batches(_alias_entries(database)):
            yield pb.GetConfigurationResponse(aliases=aliases)

    def GetDependencies(  # noqa: N802
        self, request: pb.GetDependenciesRequest, _context: grpc.ServicerContext
    ) -> pb.GetDependenciesResponse:
        """Answer with what a module needs."""
        names, modules = self._lookups.needs(request.name, request.release)
        return pb.GetDependenciesResponse(
            names=map(text, names),
            modules=[
                pb.ModuleNeeds(
                    name=text(each.name),
                    path=text(each.path),
                    builtin=each.builtin,
                    depends=map(text, each.depends),
                    soft_before=map(text, each.before),
                    soft_after=map(text, each.after),
                )
                for each in modules
            ],
        )

    def GetStaticNodes(  # noqa: N802
        self, request: pb.GetStaticNodesRequest, _context: grpc.ServicerContext
    ) -> pb.GetStaticNodesResponse:
        """Answer with the device nodes."""
        nodes = self._lookups.device_nodes(request.release)
        return pb.GetStaticNodesResponse(
            nodes=[
                pb.StaticNode(
                    module=text(node.module),
                    path=text(node.path),
                    kind=_KINDS[node.kind],
                    major=node.major,
                    minor=node.minor,
                )
                for node in nodes
            ]
        )


def config_entries(config: Config) -> Iterator[pb.ConfigEntry]:
    """Yield the directives in the order in which ``modprobe -c`` shows them."""
    for blacklist in config.blacklist:
        yield _entry(pb.CONFIG_DIRECTIVE_BLACKLIST, blacklist.module, "", blacklist)
    for install in config.installs:
        yield _entry(pb.CONFIG_DIRECTIVE_INSTALL, install.pattern, install.command, install)
    for remove in config.removes:
        yield _entry(pb.CONFIG_DIRECTIVE_REMOVE, remove.pattern, remove.command, remove)
    for alias in config.aliases:
        yield _entry(pb.CONFIG_DIRECTIVE_ALIAS, alias.pattern, alias.module, alias)
    for options in config.options:
        yield _entry(pb.CONFIG_DIRECTIVE_OPTIONS, options.module, options.text, options)
    for soft in config.softdeps:
        sides = (("pre:", soft.pre), ("post:", soft.post))
        words = " ".join(" ".join((side, *names)) for side, names in sides if names)
        yield _entry(pb.CONFIG_DIRECTIVE_SOFTDEP, soft.pattern, words, soft)
    for weak in config.weakdeps:
        yield _entry(pb.CONFIG_DIRECTIVE_WEAKDEP, weak.pattern, " ".join(weak.modules), weak)


def _entry(kind: pb.ConfigDirective, name: str, words: str, directive: Directive) -> pb.ConfigEntry:
    return pb.ConfigEntry(
        directive=kind,
        name=text(name),
        text=text(words),
        file=text(directive.file),
        line=directive.line,
    )


def _alias_entries(database: Database) -> Iterator[pb.AliasEntry]:
    for file in INDEXES:
        for key, _, value in read_index(database.files[file]):
            yield pb.AliasEntry(alias=key.decode("ascii"), module=value.decode("utf-8", "replace"))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
