# SPDX-License-Identifier: Apache-2.0
"""DatabaseService: rebuild, list the trees, and what is asked of one (see queries.py)."""

import threading
from collections.abc import Iterator

import grpc

from kmodd.errors import Reason, StateError
from kmodd.queries.lookups import Lookups
from kmodd.service.convert import tree_message
from kmodd.service.pages import page_of
from kmodd.service.queries import QueryCalls
from kmodd.service.uploads import Uploads
from kmodd.trees import Trees, TreeSummary
from kmodd.trees.requested_rebuild import RequestedRebuild
from kmodd.v1 import database_service_pb2 as pb

WAKE = 0.5
"""Seconds after which a watching call looks whether its client is still there."""


class DatabaseService(QueryCalls):
    """Translates between the API and the Trees. ``stopping`` ends every stream."""

    def __init__(self, trees: Trees, uploads: Uploads, stopping: threading.Event) -> None:
        super().__init__(Lookups(trees), uploads, trees.in_force)
        self._trees = trees
        self._stopping = stopping

    def RebuildDatabase(  # noqa: N802  # the API's name
        self, request: pb.RebuildDatabaseRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.RebuildDatabaseResponse]:
        """Rebuild, telling how far it is; the rebuild goes on when the client leaves."""
        rebuild = RequestedRebuild(self._trees, request.release)
        for read, total in rebuild.progress():
            message = pb.RebuildProgress(files_read=read, files_total=total)
            yield pb.RebuildDatabaseResponse(progress=message)
        yield pb.RebuildDatabaseResponse(tree=tree_message(rebuild.result().summary))

    def WatchDatabase(  # noqa: N802
        self, request: pb.WatchDatabaseRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchDatabaseResponse]:
        """Tell of each generation that differs from the one last told of."""
        told: dict[str, TreeSummary] = {}
        swaps = -1
        while context.is_active():
            if self._stopping.is_set():
                raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
            now = self._trees.wait_swap(swaps, WAKE)
            if now == swaps:
                continue
            swaps = now
            found = self._trees.summaries()
            for release in told.keys() - found.keys():
                del told[release]
                yield pb.WatchDatabaseResponse(gone_release=release)
            for release, summary in found.items():
                if request.release in ("", release) and summary != told.get(release):
                    told[release] = summary
                    yield pb.WatchDatabaseResponse(tree=tree_message(summary))

    def ListTrees(  # noqa: N802
        self, request: pb.ListTreesRequest, _context: grpc.ServicerContext
    ) -> pb.ListTreesResponse:
        """Answer with one page of the releases."""
        releases = self._trees.releases()
        page = page_of(
            releases, request.page_size, request.page_token, version=f"{hash(releases):x}"
        )
        return pb.ListTreesResponse(
            trees=map(tree_message, filter(None, map(self._trees.summary, page.items))),
            next_page_token=page.next_token,
        )
