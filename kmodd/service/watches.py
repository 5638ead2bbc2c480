# SPDX-License-Identifier: Apache-2.0
"""ModuleService's events: what happens to the modules, as it happens."""

from collections.abc import Iterable, Iterator
from functools import partial

import grpc

from kmodd.errors import Reason, StateError
from kmodd.kernel.base import LoadedModule
from kmodd.namespace import ChangeKind, Event, Finished, Watch
from kmodd.queries.messages import text
from kmodd.service.convert import action_name, caller_message, duration, module_message, timestamp
from kmodd.service.cut_off import cut_off
from kmodd.service.failures import failure_message
from kmodd.service.servicer import ModuleServicer
from kmodd.service.view import View
from kmodd.v1 import module_service_pb2 as pb

WAKE = 0.5
"""Seconds after which a watch looks whether its client is still there."""

_KINDS = {
    ChangeKind.LOADED: pb.CHANGE_KIND_LOADED,
    ChangeKind.UNLOADED: pb.CHANGE_KIND_UNLOADED,
    ChangeKind.CHANGED: pb.CHANGE_KIND_CHANGED,
}


class WatchCalls(ModuleServicer):
    """The part of ModuleService that tells of modules and of what happens to them."""

    def WatchModules(  # noqa: N802  # the API's name
        self, request: pb.WatchModulesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchModulesResponse]:
        """Send what there is where the client has seen nothing yet, then what comes."""
        with self._namespace.watch(request.epoch, request.revision) as watch:
            watch.lost = partial(cut_off, context)
            context.send_initial_metadata(())
            if watch.listing is not None:
                yield self._snapshot(watch, watch.listing.modules)
            while context.is_active():
                for event in watch.take(WAKE):
                    view = self._admission.view()
                    if event.finished is None or view.shows(event.finished):
                        yield _event(watch.epoch, event, view)
                if self._namespace.stopping.is_set():
                    raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")

    def _snapshot(self, watch: Watch, modules: Iterable[LoadedModule]) -> pb.WatchModulesResponse:
        return pb.WatchModulesResponse(
            epoch=watch.epoch,
            revision=watch.revision,
            snapshot=pb.ModuleSnapshot(
                modules=self._module_messages(modules, self._namespace.hold_counts())
            ),
        )


def _event(epoch: str, event: Event, view: View) -> pb.WatchModulesResponse:
    message = pb.WatchModulesResponse(
        epoch=epoch, revision=event.revision, time=timestamp(event.time)
    )
    if event.finished is not None:
        message.operation.CopyFrom(_finished(event.finished, view))
        return message
    for change in event.changes:
        message.changes.changes.add(
            kind=_KINDS[change.kind],
            module=module_message(view.shown_module(change.module)),
            by_others=change.by_others,
        )
    return message


def _finished(finished: Finished, view: View) -> pb.FinishedOperation:
    error = view.shown_error(finished.error) if finished.error else None
    message = pb.FinishedOperation(
        number=finished.number,
        action=action_name(finished.action),
        what=text(finished.what),
        duration=duration(finished.seconds),
        loaded=map(text, finished.loaded),
        unloaded=map(text, finished.unloaded),
        failure=failure_message(error) if error else None,
        origin=text(finished.origin),
        device=text(finished.device),
    )
    if view.shows_callers():
        message.socket = text(finished.caller.socket)
        message.role = finished.caller.role
        if (caller := caller_message(finished.caller)) is not None:
            message.caller.CopyFrom(caller)
    return message
