# SPDX-License-Identifier: Apache-2.0
"""ModuleService's holds: a call that is a hold, and what administrators see of them."""

import threading
from collections.abc import Iterator

import grpc

from kmodd.namespace import Hold
from kmodd.queries.messages import problem_lines, text
from kmodd.records import replace
from kmodd.service.convert import caller_message, timestamp
from kmodd.service.failures import result_message
from kmodd.service.pages import page_of
from kmodd.service.requests import load_context, load_requests
from kmodd.service.servicer import ModuleServicer
from kmodd.v1 import module_service_pb2 as pb

END_PATIENCE = 30.0
"""Seconds that EndHold waits for the hold to end, which may have modules to unload."""


class HoldCalls(ModuleServicer):
    """The part of ModuleService that is about holds."""

    def HoldModules(  # noqa: N802  # the API's name
        self, request: pb.HoldModulesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.HoldModulesResponse]:
        """Load, answer once, and hold for as long as the call lives."""
        wanted = load_requests(request.load, self._limits.names_per_request)
        loads = [replace(load, ignore_loaded=False) for load in wanted]
        call = replace(load_context(request.load, self._admission), dry_run=False)
        over = threading.Event()
        if not context.add_callback(over.set):
            return  # the client has gone before anything was done for it
        with self._namespace.hold(
            loads, call, unload=request.unload, note=request.note, over=over
        ) as (hold, outcomes):
            view = self._admission.view()
            yield pb.HoldModulesResponse(
                hold=hold.number,
                modules=map(text, sorted(hold.pins)),
                results=[result_message(view.shown(outcome)) for outcome in outcomes],
                config_problems=problem_lines(outcomes[-1].problems),
            )
            over.wait()
            if hold.why is not None:
                raise hold.why

    def ListHolds(  # noqa: N802
        self, request: pb.ListHoldsRequest, _context: grpc.ServicerContext
    ) -> pb.ListHoldsResponse:
        """Answer with one page of the holds."""
        holds = self._namespace.activity().holds
        version = f"{hash(tuple(hold.number for hold in holds)):x}"
        page = page_of(holds, request.page_size, request.page_token, version=version)
        return pb.ListHoldsResponse(
            holds=map(_hold_message, page.items), next_page_token=page.next_token
        )

    def EndHold(  # noqa: N802
        self, request: pb.EndHoldRequest, _context: grpc.ServicerContext
    ) -> pb.EndHoldResponse:
        """End a hold, and wait until that is done."""
        hold = self._namespace.end_hold(request.hold, self._admission.asked_by())
        hold.closed.wait(END_PATIENCE)
        return pb.EndHoldResponse()


def _hold_message(hold: Hold) -> pb.Hold:
    return pb.Hold(
        hold=hold.number,
        names=map(text, hold.names),
        modules=map(text, sorted(hold.pins)),
        note=text(hold.note),
        socket=text(hold.caller.socket),
        role=hold.caller.role,
        began_time=timestamp(hold.began),
        caller=caller_message(hold.caller),
    )
