# SPDX-License-Identifier: Apache-2.0
"""DaemonService: what the daemon is and how it fares."""

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import grpc

from kmodd import __version__
from kmodd.access.caller import Role
from kmodd.access.policy import METHODS
from kmodd.access.rules import may_call
from kmodd.desired.findings import Standing
from kmodd.host.descriptors import entries
from kmodd.kernel.base import Emulation, Kernel
from kmodd.modulefile.modinfo import common_vermagic
from kmodd.namespace import Namespace, Origin, Running
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.queries.messages import text
from kmodd.records import replace
from kmodd.service.admission import Admission
from kmodd.service.convert import action_name, caller_message, duration, timestamp, tree_message
from kmodd.service.pages import page_of
from kmodd.service.view import View
from kmodd.state import Seal
from kmodd.trees import Generation, Trees
from kmodd.v1 import daemon_service_pb2 as pb
from kmodd.v1 import daemon_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmodd.service.metrics import Metrics

_KINDS = {
    "emulated": pb.KERNEL_KIND_EMULATED,
    "linux": pb.KERNEL_KIND_LINUX,
    "vm": pb.KERNEL_KIND_VM,
}

_ROLES = {
    Role.NONE: pb.ROLE_NONE,
    Role.OBSERVER: pb.ROLE_OBSERVER,
    Role.STEWARD: pb.ROLE_STEWARD,
    Role.LOADER: pb.ROLE_LOADER,
    Role.ADMIN: pb.ROLE_ADMIN,
}


class DaemonService(daemon_service_pb2_grpc.DaemonServiceServicer):
    """Translates the state of the daemon's parts."""

    def __init__(
        self,
        kernel: Kernel,
        trees: Trees,
        namespace: Namespace,
        keeper: StateKeeper,
        admission: Admission,
        started: float,
        metrics: "Callable[[], Metrics]",
    ) -> None:
        """``started`` is when the daemon started (time.monotonic()).

        ``metrics`` is called for those who ask for them: a start has no time for it.
        """
        self._kernel = kernel
        self._trees = trees
        self._namespace = namespace
        self._keeper = keeper
        self._admission = admission
        self._started = started
        self._metrics = metrics
        self._magic: tuple[Generation | None, str] = (None, "")

    def GetStatus(  # noqa: N802  # the API's name
        self, _request: pb.GetStatusRequest, _context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        """Answer with the status."""
        view = self._admission.view()
        listing = self._namespace.listing()
        activity = self._namespace.activity()
        origins = Counter(self._namespace.origin_of(module.name) for module in listing.modules)
        identity = self._kernel.identity()
        wished = [each for each in self._keeper.state.findings if each.wish is not None]
        emulation = self._kernel if isinstance(self._kernel, Emulation) else None
        generation = self._trees.in_force()  # last, as a kernel that boots may have been waited for
        return pb.GetStatusResponse(
            version=__version__,
            pid=os.getpid(),
            uptime=duration(time.monotonic() - self._started),
            kernel=_KINDS[self._kernel.kind],
            release=text(self._kernel.release),
            root=text(str(self._trees.root)),
            vermagic=text(identity.vermagic or self._vermagic(generation)),
            runs_init=emulation is None or emulation.runs_init,
            why_not_run=emulation.why_not_run if emulation else "",
            symbol_source=text(identity.symbol_source),
            loaded_count=len(listing.modules),
            tree=tree_message(generation.summary) if generation else None,
            role=_ROLES[view.role],
            epoch=listing.epoch,
            revision=listing.revision,
            boot_id=text(self._kernel.boot_id),
            taint_mask=identity.taint_mask,
            taints=identity.taints,
            asked_count=origins[Origin.ASKED] + origins[Origin.STATE],
            dependency_count=origins[Origin.DEPENDENCY],
            operation_count=len(activity.operations),
            hold_count=len(activity.holds),
            watch_count=activity.watches,
            thread_count=entries("/proc/self/task"),
            open_file_count=entries("/proc/self/fd") - 1,
            oldest_revision=activity.revisions[0],
            newest_revision=activity.revisions[1],
            start_failures=map(text, map(view.shown_line, self._namespace.start_failures)),
            kmod_exact=self._namespace.exact,
            tree_refusal=text(self._trees.refusal()),
            hotplug_count=origins[Origin.HOTPLUG],
            others_count=origins[Origin.OTHERS],
            refusal=text(self._kernel.refusal()),
            seal=_seal_message(self._namespace.sealing.seal, view),
            hotplug=self._namespace.hotplug is not None,
            wish_count=len(wished),
            labels=[
                pb.Label(name=text(name), value=text(value))
                for name, value in self._keeper.machine.labels.items()
            ],
            unfulfilled_count=sum(each.standing is not Standing.DONE for each in wished),
        )

    def _vermagic(self, generation: Generation | None) -> str:
        """Return the version magic that a tree's modules have; they are looked through once."""
        known, magic = self._magic
        if known is not generation:
            records = generation.database.modules.values() if generation else ()
            magic = common_vermagic(each.vermagic for each in records)
            self._magic = (generation, magic)
        return magic

    def Seal(  # noqa: N802
        self, request: pb.SealRequest, _context: grpc.ServicerContext
    ) -> pb.SealResponse:
        """Seal the kernel, or tell what would be missing."""
        view = self._admission.view()
        missing = self._namespace.missing()
        if request.check:
            seal = self._namespace.sealing.seal
        else:
            # Within the operation that a command was run by it would wait for that one's end.
            seal = self._namespace.seal(replace(self._admission.asked_by(), token=""))
        return pb.SealResponse(
            seal=_seal_message(seal, view),
            missing=[
                pb.MissingModule(name=text(each.name), wanted_by=text(each.wanted_by))
                for each in missing
            ],
        )

    def GetMetrics(  # noqa: N802
        self, _request: pb.GetMetricsRequest, _context: grpc.ServicerContext
    ) -> bytes:
        """Answer with the metrics."""
        return self._metrics().answer()

    def ListOperations(  # noqa: N802
        self, request: pb.ListOperationsRequest, _context: grpc.ServicerContext
    ) -> pb.ListOperationsResponse:
        """Answer with one page of the operations under way."""
        running = self._namespace.activity().operations
        version = f"{hash(tuple(each.operation.number for each in running)):x}"
        page = page_of(running, request.page_size, request.page_token, version=version)
        return pb.ListOperationsResponse(
            operations=map(_operation_message, page.items), next_page_token=page.next_token
        )

    def WhoAmI(  # noqa: N802
        self, _request: pb.WhoAmIRequest, _context: grpc.ServicerContext
    ) -> pb.WhoAmIResponse:
        """Answer with the caller."""
        caller = self._admission.caller()
        is_real = self._kernel.traits.is_real
        return pb.WhoAmIResponse(
            socket=text(caller.socket),
            role=_ROLES[caller.role],
            caller=caller_message(caller),
            allowed_modules=map(text, caller.allow),
            denied_modules=map(text, caller.deny),
            may_give_parameters=caller.role is Role.ADMIN or caller.parameters,
            methods=[
                method for method in sorted(METHODS) if may_call(caller, method, is_real=is_real)
            ],
            wish_source=text(caller.source) if caller.role is Role.STEWARD else "",
        )


def _seal_message(seal: Seal | None, view: View) -> pb.Seal | None:
    if seal is None:
        return None
    by = text(seal.by) if view.shows_callers() else ""
    return pb.Seal(time=timestamp(seal.time), by=by)


def _operation_message(running: Running) -> pb.Operation:
    operation = running.operation
    return pb.Operation(
        number=operation.number,
        action=action_name(operation.action),
        what=text(operation.what),
        socket=text(operation.caller.socket),
        role=operation.caller.role,
        began_time=timestamp(operation.began),
        parent=operation.parent.number if operation.parent else 0,
        module=text(running.leads),
        command=text(operation.running),
        waits_for_module=text(running.waits_for),
        waits_for_operation=running.behind,
        pinned_modules=map(text, sorted(running.pins)),
        caller=caller_message(operation.caller),
        origin=operation.origin,
    )
