# SPDX-License-Identifier: Apache-2.0
"""StateService: what the machine is wished to have, and how far it is so."""

import threading
from collections.abc import Iterable, Iterator

import grpc

from kmodd.desired.findings import Finding, Move, MoveKind, Presence, Standing
from kmodd.desired.wish import Wish, WishedState
from kmodd.errors import Reason, StateError
from kmodd.namespace.state_keeper import KeptState, StateKeeper
from kmodd.namespace.wish_sources import WishSource
from kmodd.queries.messages import text
from kmodd.service.admission import Admission
from kmodd.service.convert import timestamp
from kmodd.service.failures import failure_message
from kmodd.service.view import View
from kmodd.v1 import state_service_pb2 as pb
from kmodd.v1 import state_service_pb2_grpc

WAKE = 0.5
"""Seconds after which a watch looks whether its client is still there."""


class StateService(state_service_pb2_grpc.StateServiceServicer):
    """Translates between the API and a StateKeeper. ``stopping`` ends every stream."""

    def __init__(
        self, keeper: StateKeeper, admission: Admission, stopping: threading.Event
    ) -> None:
        self._keeper = keeper
        self._admission = admission
        self._stopping = stopping

    def GetState(  # noqa: N802  # the API's name
        self, _request: pb.GetStateRequest, _context: grpc.ServicerContext
    ) -> pb.GetStateResponse:
        """Answer with how all fares."""
        state = self._keeper.refreshed()
        view = self._admission.view()
        return pb.GetStateResponse(
            modules=_standings(state, state.findings, view), sources=_sources(state)
        )

    def WatchState(  # noqa: N802
        self, _request: pb.WatchStateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchStateResponse]:
        """Tell of all, then of each change."""
        before = self._keeper.refreshed()
        view = self._admission.view()
        yield pb.WatchStateResponse(
            modules=_standings(before, before.findings, view),
            sources=_sources(before),
            has_sources=True,
        )
        while context.is_active():
            if self._stopping.is_set():
                raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
            now = self._keeper.wait(before.revision, WAKE)
            if now.revision == before.revision:
                continue
            yield _change(before, now, self._admission.view())
            before = now

    def ApplyState(  # noqa: N802
        self, request: pb.ApplyStateRequest, _context: grpc.ServicerContext
    ) -> pb.ApplyStateResponse:
        """Take wishes over, or tell what would be done."""
        call = self._admission.asked_by()
        self._keeper.check(request.source, request.document, call)
        if request.dry_run:
            state = self._keeper.planned(request.source, request.document)
        else:
            state = self._keeper.apply(request.source, request.document, call, request.revision)
        view = self._admission.view()
        return pb.ApplyStateResponse(
            modules=_standings(state, state.findings, view), sources=_sources(state)
        )


def _change(before: KeptState, now: KeptState, view: View) -> pb.WatchStateResponse:
    known = {finding.name: finding for finding in before.findings}
    names = {finding.name for finding in now.findings}
    news = [finding for finding in now.findings if finding != known.get(finding.name)]
    return pb.WatchStateResponse(
        modules=_standings(now, news, view),
        gone=sorted(known.keys() - names),
        sources=_sources(now) if now.sources != before.sources else (),
        has_sources=now.sources != before.sources,
    )


def _standings(
    state: KeptState, findings: Iterable[Finding], view: View
) -> Iterator[pb.ModuleStanding]:
    """Yield what is told of each finding; who is no admin is told no values of parameters."""
    for finding in findings:
        error = view.shown_error(finding.error) if finding.error else None
        message = pb.ModuleStanding(
            module=finding.name,
            wish=_wish(finding.wish, view) if finding.wish else None,
            presence=_PRESENCES[finding.presence],
            standing=_STANDINGS[finding.standing],
            why=text(error.message if error else finding.why),
            failure=failure_message(error) if error else None,
            moves=[_move(move, view) for move in finding.moves],
            parameters=[_setting(name, value, view) for name, value in finding.values],
        )
        if finding.name in state.since:
            message.since_time.CopyFrom(timestamp(state.since[finding.name]))
        yield message


def _wish(wish: Wish, view: View) -> pb.Wish:
    return pb.Wish(
        state=_STATES[wish.state],
        parameters=[_setting(name, value, view) for name, value in wish.parameters],
        reload_when_unused=wish.reload,
        enforce=wish.enforce,
        source=text(wish.source),
        line=wish.line,
    )


def _move(move: Move, view: View) -> pb.Move:
    parameter = _setting(move.parameter, move.value, view) if move.parameter else None
    return pb.Move(kind=_MOVES[move.kind], parameter=parameter)


def _setting(name: str, value: str, view: View) -> pb.ParameterSetting:
    return pb.ParameterSetting(name=name, value=text(value) if view.shows_values() else None)


def _sources(state: KeptState) -> Iterator[pb.StateSource]:
    yield from map(_source, state.sources)


def _source(source: WishSource) -> pb.StateSource:
    return pb.StateSource(
        name=text(source.name),
        applied=source.applied,
        wish_count=len(source.document.wishes),
        problems=map(text, source.problems),
        revision=source.revision,
    )


_STATES = {
    WishedState.LOADED: pb.WISHED_STATE_LOADED,
    WishedState.ABSENT: pb.WISHED_STATE_ABSENT,
    WishedState.DENIED: pb.WISHED_STATE_DENIED,
    WishedState.HELD: pb.WISHED_STATE_HELD,
}
_PRESENCES = {
    Presence.ABSENT: pb.PRESENCE_ABSENT,
    Presence.LOADED: pb.PRESENCE_LOADED,
    Presence.COMING: pb.PRESENCE_COMING,
    Presence.GOING: pb.PRESENCE_GOING,
    Presence.BUILTIN: pb.PRESENCE_BUILTIN,
}
_STANDINGS = {
    Standing.DONE: pb.STANDING_DONE,
    Standing.PENDING: pb.STANDING_PENDING,
    Standing.WAITING: pb.STANDING_WAITING,
    Standing.DRIFTED: pb.STANDING_DRIFTED,
    Standing.IMPOSSIBLE: pb.STANDING_IMPOSSIBLE,
}
_MOVES = {
    MoveKind.RELEASE: pb.MOVE_KIND_RELEASE,
    MoveKind.UNLOAD: pb.MOVE_KIND_UNLOAD,
    MoveKind.LOAD: pb.MOVE_KIND_LOAD,
    MoveKind.HOLD: pb.MOVE_KIND_HOLD,
    MoveKind.SET: pb.MOVE_KIND_SET,
    MoveKind.RELOAD: pb.MOVE_KIND_RELOAD,
}
