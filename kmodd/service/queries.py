# SPDX-License-Identifier: Apache-2.0
"""The calls of DatabaseService that ask what is in a tree and its configuration."""

from collections.abc import Callable, Iterator

import grpc

from kmodd.queries.lookups import Lookups
from kmodd.queries.messages import (
    configuration_messages,
    found_messages,
    info_message,
    needs_message,
    node_message,
    resolution_message,
    search_of,
)
from kmodd.queries.modinfo import info_of_image
from kmodd.service.kept_infos import KeptInfos
from kmodd.service.uploads import Uploads
from kmodd.v1 import database_service_pb2 as pb
from kmodd.v1 import database_service_pb2_grpc


class QueryCalls(database_service_pb2_grpc.DatabaseServiceServicer):
    """Translates between the API and the Lookups."""

    def __init__(self, lookups: Lookups, uploads: Uploads, in_force: Callable[[], object]) -> None:
        """``in_force`` returns the generation in force for the kernel's own release."""
        self._lookups = lookups
        self._uploads = uploads
        self._in_force = in_force
        self._infos = KeptInfos()

    def ResolveAlias(  # noqa: N802  # the API's name
        self, request: pb.ResolveAliasRequest, _context: grpc.ServicerContext
    ) -> pb.ResolveAliasResponse:
        """Answer with the modules that a name stands for."""
        resolution, config = self._lookups.resolve(request.name, request.release)
        found: pb.ResolveAliasResponse = resolution_message(resolution, config, pb)
        return found

    def GetModuleInfo(  # noqa: N802
        self, request: pb.GetModuleInfoRequest, _context: grpc.ServicerContext
    ) -> pb.GetModuleInfoResponse | bytes:
        """Answer with what modules say of themselves."""
        asked, generation = request.SerializeToString(), self._in_force()
        kept = self._infos.find(asked, generation)
        if kept is not None:
            return kept
        infos = self._lookups.module_infos(
            request.name,
            request.release,
            by_module_name=request.module_name_only,
            symbols=request.symbols,
        )
        answer = pb.GetModuleInfoResponse(modules=[info_message(info, pb) for info in infos])
        is_whole = not any(info.errno for info in infos)
        if is_whole and not request.release and self._in_force() is generation:
            paths = (info.path for info in infos if info.path and not info.builtin)
            self._infos.keep(asked, generation, paths, answer.SerializeToString())
        return answer

    def InspectModule(  # noqa: N802
        self, requests: Iterator[pb.InspectModuleRequest], _context: grpc.ServicerContext
    ) -> pb.InspectModuleResponse:
        """Take in a module file and answer with what it says of itself."""
        with self._uploads.receive(requests) as (header, image):
            info = info_of_image(image, header.file_name)
        return pb.InspectModuleResponse(module=info_message(info, pb))

    def GetConfiguration(  # noqa: N802
        self, request: pb.GetConfigurationRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.GetConfigurationResponse]:
        """Send the configuration, then the indexes."""
        config, database = self._lookups.configuration(request.release)
        yield from configuration_messages(config, database, pb)

    def GetDependencies(  # noqa: N802
        self, request: pb.GetDependenciesRequest, _context: grpc.ServicerContext
    ) -> pb.GetDependenciesResponse:
        """Answer with what a module needs."""
        names, modules = self._lookups.needs(request.name, request.release)
        needs: pb.GetDependenciesResponse = needs_message(names, modules, pb)
        return needs

    def FindModules(  # noqa: N802
        self, request: pb.FindModulesRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.FindModulesResponse]:
        """Send the modules that are looked for."""
        found = self._lookups.search(search_of(request), request.release)
        yield from found_messages(found, pb, descriptions=request.descriptions)

    def GetStaticNodes(  # noqa: N802
        self, request: pb.GetStaticNodesRequest, _context: grpc.ServicerContext
    ) -> pb.GetStaticNodesResponse:
        """Answer with the device nodes."""
        nodes = self._lookups.device_nodes(request.release)
        return pb.GetStaticNodesResponse(nodes=[node_message(node, pb) for node in nodes])
