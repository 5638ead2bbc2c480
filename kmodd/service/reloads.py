# SPDX-License-Identifier: Apache-2.0
"""ModuleService's answers about loaded modules whose files are others by now."""

import grpc

from kmodd.kernel.base import ModuleBuild
from kmodd.namespace import OutdatedModule, Staleness
from kmodd.queries.messages import text
from kmodd.service.pages import page_of
from kmodd.service.servicer import ModuleServicer
from kmodd.v1 import module_service_pb2 as pb


class ReloadCalls(ModuleServicer):
    """The part of ModuleService that is about modules which an upgrade has made old."""

    def ListOutdated(  # noqa: N802  # the API's name
        self, request: pb.ListOutdatedRequest, _context: grpc.ServicerContext
    ) -> pb.ListOutdatedResponse:
        """Answer with one page of the modules that their files are not."""
        found = self._namespace.outdated()
        version = f"{hash(found):x}"
        page = page_of(found, request.page_size, request.page_token, version=version)
        return pb.ListOutdatedResponse(
            modules=map(_outdated, page.items), next_page_token=page.next_token
        )


_STALENESS = {
    Staleness.CHANGED: pb.STALENESS_CHANGED,
    Staleness.GONE: pb.STALENESS_GONE,
    Staleness.UNREADABLE: pb.STALENESS_UNREADABLE,
    Staleness.UNKNOWN: pb.STALENESS_UNKNOWN,
}


def _outdated(module: OutdatedModule) -> pb.OutdatedModule:
    return pb.OutdatedModule(
        module=text(module.name),
        staleness=_STALENESS[module.staleness],
        path=text(module.path),
        loaded=_build(module.loaded),
        file=_build(module.file) if module.file else None,
        why=text(module.why),
    )


def _build(build: ModuleBuild) -> pb.ModuleBuild:
    return pb.ModuleBuild(
        build_id=bytes.fromhex(build.build_id), source_version=text(build.source_version)
    )
