# SPDX-License-Identifier: Apache-2.0
"""DatabaseService: rebuild, list the trees."""

import queue
import threading
from collections.abc import Iterator

import grpc

from kmodd.errors import Reason, TreeError
from kmodd.service.convert import tree_message
from kmodd.service.pages import page_of
from kmodd.trees import Generation, Trees
from kmodd.v1 import database_service_pb2 as pb
from kmodd.v1 import database_service_pb2_grpc


class DatabaseService(database_service_pb2_grpc.DatabaseServiceServicer):
    """Translates between the API and the Trees."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees

    def RebuildDatabase(  # noqa: N802  # the API's name
        self, request: pb.RebuildDatabaseRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.RebuildDatabaseResponse]:
        """Rebuild, telling how far it is; the rebuild goes on when the client leaves."""
        told: queue.Queue[tuple[int, int] | Generation | BaseException] = queue.Queue()

        def rebuild() -> None:
            try:
                told.put(
                    self._trees.rebuild(
                        request.release, progress=lambda read, total: told.put((read, total))
                    )
                )
            except BaseException as error:  # handed to the thread that answers
                told.put(error)

        threading.Thread(target=rebuild, name="kmodd-depmod", daemon=True).start()
        while isinstance(item := told.get(), tuple):
            progress = pb.RebuildProgress(files_read=item[0], files_total=item[1])
            yield pb.RebuildDatabaseResponse(progress=progress)
        if isinstance(item, BaseException):
            raise item
        if item.problem and item.publication is None:
            raise TreeError(Reason.TREE_NOT_WRITABLE, item.problem)
        yield pb.RebuildDatabaseResponse(tree=tree_message(item))

    def ListTrees(  # noqa: N802
        self, request: pb.ListTreesRequest, _context: grpc.ServicerContext
    ) -> pb.ListTreesResponse:
        """Answer with one page of the releases."""
        releases = self._trees.releases()
        page = page_of(
            releases, request.page_size, request.page_token, version=f"{hash(releases):x}"
        )
        return pb.ListTreesResponse(
            trees=[tree_message(self._trees.current(release)) for release in page.items],
            next_page_token=page.next_token,
        )
