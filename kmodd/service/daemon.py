# SPDX-License-Identifier: Apache-2.0
"""DaemonService: what the daemon is and how it fares."""

import os
import time

import grpc
from google.protobuf.duration_pb2 import Duration

from kmodd import __version__
from kmodd.caller import Role
from kmodd.kernel.base import Kernel
from kmodd.namespace import Namespace
from kmodd.service.convert import text, tree_message
from kmodd.trees import Trees
from kmodd.v1 import daemon_service_pb2 as pb
from kmodd.v1 import daemon_service_pb2_grpc

_KINDS = {"emulated": pb.KERNEL_KIND_EMULATED, "linux": pb.KERNEL_KIND_LINUX}

_ROLES = {
    Role.OBSERVER: pb.ROLE_OBSERVER,
    Role.LOADER: pb.ROLE_LOADER,
    Role.ADMIN: pb.ROLE_ADMIN,
}


class DaemonService(daemon_service_pb2_grpc.DaemonServiceServicer):
    """Translates the state of the daemon's parts."""

    def __init__(self, kernel: Kernel, trees: Trees, namespace: Namespace, role: Role) -> None:
        self._kernel = kernel
        self._trees = trees
        self._namespace = namespace
        self._role = _ROLES[role]
        self._started = time.monotonic()

    def GetStatus(  # noqa: N802  # the API's name
        self, _request: pb.GetStatusRequest, _context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        """Answer with the status."""
        listing = self._namespace.listing()
        generation = self._trees.in_force()
        uptime = Duration()
        uptime.FromNanoseconds(int((time.monotonic() - self._started) * 1e9))
        identity = self._kernel.identity()
        return pb.GetStatusResponse(
            version=__version__,
            pid=os.getpid(),
            uptime=uptime,
            kernel=_KINDS[self._kernel.kind],
            release=text(self._kernel.release),
            root=text(str(self._trees.root)),
            vermagic=text(identity.vermagic),
            runs_init=self._kernel.runs_init,
            symbol_source=text(identity.symbol_source),
            loaded_count=len(listing.modules),
            tree=tree_message(generation) if generation else None,
            role=self._role,
            epoch=listing.epoch,
            revision=listing.revision,
            boot_id=text(self._kernel.boot_id),
            taint_mask=identity.taint_mask,
            taints=identity.taints,
        )
