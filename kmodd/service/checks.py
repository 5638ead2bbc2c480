# SPDX-License-Identifier: Apache-2.0
"""EmulationService's CheckModule: what is wrong with a module, told as it is looked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from kmodd.checking import FailedCall, Flaw, Progress, Report
from kmodd.errors import KmoddError, Reason, RequestError, StateError
from kmodd.kernel.trials import CodePlace, Trials
from kmodd.modulefile.source_lines import SourceLine
from kmodd.namespace.checks import CheckRequest, Checks
from kmodd.queries.messages import text, texts
from kmodd.service.uploads import Uploads
from kmodd.v1 import emulation_service_pb2 as pb
from kmodd.v1 import emulation_service_pb2_grpc

WAKE = 0.5
"""Seconds after which a check looks whether the daemon is stopping."""


class CheckCalls(emulation_service_pb2_grpc.EmulationServiceServicer):
    """The part of EmulationService that tries modules."""

    def __init__(self, checks: Checks, uploads: Uploads, stopping: threading.Event) -> None:
        self._checks = checks
        self._uploads = uploads
        self._stopping = stopping

    def CheckModule(  # noqa: N802  # the API's name
        self, requests: Iterator[pb.CheckModuleRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.CheckModuleResponse]:
        """Take in a module, try it, and tell how far that is; it ends with the call."""
        with self._uploads.receive(requests) as (header, image):
            if bool(header.module) == bool(image):
                why = "a check is of a module's name, or of a file that is sent"
                raise RequestError(Reason.INVALID_REQUEST, why)
            request = CheckRequest(
                name=header.module,
                image=image,
                file_name=header.file_name,
                parameters=header.parameters,
                pairs=header.pairs,
                runs_max=header.runs_max,
            )
            ending = _Ending(context, self._stopping)
            with ending.watching():
                try:
                    for told in self._checks.run(request, ending.opened):
                        yield _response(told)
                except KmoddError:
                    ending.check()
                    raise


class _Ending:
    """Closes the kernel of a check when its client has gone, or the daemon stops.

    ``_lock`` guards the kernel, and whether it is to be closed.
    """

    def __init__(self, context: grpc.ServicerContext, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._trials: Trials | None = None
        self._is_ended = False
        context.add_callback(self.end)

    def opened(self, trials: Trials) -> None:
        """Take the kernel that is to be closed."""
        with self._lock:
            self._trials = trials
            is_ended = self._is_ended
        if is_ended:
            trials.close()

    def end(self) -> None:
        """Close the kernel, now or as soon as there is one."""
        with self._lock:
            self._is_ended = True
            trials = self._trials
        if trials is not None:
            trials.close()

    def check(self) -> None:
        """Raise StateError where the daemon is stopping."""
        if self._stopping.is_set():
            raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """End the check when the daemon stops, for as long as the context is open."""
        threading.Thread(target=self._watch, name="kmodd-check", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(WAKE):
            if self._stopping.is_set():
                self.end()
                return


def _response(told: Progress | Report) -> pb.CheckModuleResponse:
    if isinstance(told, Progress):
        progress = pb.CheckProgress(runs_done=told.done, runs_total=told.total)
        return pb.CheckModuleResponse(progress=progress)
    return pb.CheckModuleResponse(
        report=pb.CheckReport(
            module=text(told.module),
            findings=map(_flaw, told.flaws),
            runs=told.runs,
            runs_left_out=told.left_out,
            calls_failed=told.calls,
            devices=texts(told.devices),
            functions_not_checked=texts(told.not_modelled),
            runs_untold=told.untold,
            untold_reason=text(told.why_untold),
        )
    )


def _flaw(found: Flaw) -> pb.CheckFinding:
    kind = f"CHECK_FINDING_KIND_{found.kind.upper().replace(' ', '_')}"
    return pb.CheckFinding(
        kind=getattr(pb, kind),
        what=text(found.what),
        place=_place(found.place, found.line),
        phase=_phase(found.phase),
        rule=found.rule,
        failed=map(_failed, found.failed),
        device=text(found.device),
        result=found.result,
        runs=found.runs,
        log_lines=texts(found.log),
    )


def _failed(failed: FailedCall) -> pb.FailedCall:
    return pb.FailedCall(
        function=text(failed.call.name),
        failure=text(failed.call.how),
        place=_place(failed.call.place, failed.line),
        phase=_phase(failed.call.phase),
    )


def _place(place: CodePlace, line: SourceLine | None) -> pb.CodePlace:
    message = pb.CodePlace(function=text(place.function), offset=place.offset)
    if line is not None:
        message.file, message.line = text(line.file), line.line
    return message


def _phase(phase: str) -> Any:
    return getattr(pb, f"CHECK_PHASE_{phase.upper()}")
