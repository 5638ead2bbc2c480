# SPDX-License-Identifier: Apache-2.0
"""ModuleService: list, load, unload."""

from collections.abc import Iterable, Iterator

import grpc

from kmodd.namespace import DescribedParameter, Namespace, Outcome, RequestContext
from kmodd.queries.messages import problem_lines, text
from kmodd.queries.plans import insert_flags, load_request, unload_request
from kmodd.service.admission import Admission
from kmodd.service.convert import (
    leaks_told,
    note_message,
    parameter_message,
    section_message,
)
from kmodd.service.failures import abort, result_message
from kmodd.service.holds import HoldCalls
from kmodd.service.kept_answers import AnswerBasis, KeptAnswers
from kmodd.service.pages import page_of
from kmodd.service.reloads import ReloadCalls
from kmodd.service.requests import (
    check_names,
    load_context,
    load_requests,
    unload_context,
    wait_of,
)
from kmodd.service.uploads import Uploads
from kmodd.service.watches import WatchCalls
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb


class ModuleService(HoldCalls, ReloadCalls, WatchCalls):
    """Translates between the API and a Namespace."""

    def __init__(
        self, namespace: Namespace, uploads: Uploads, limits: Limits, admission: Admission
    ) -> None:
        super().__init__(namespace, admission, limits)
        self._uploads = uploads
        self._listings = KeptAnswers()

    def ListModules(  # noqa: N802  # the API's name
        self, request: pb.ListModulesRequest, _context: grpc.ServicerContext
    ) -> bytes:
        """Answer with one page of the listing."""
        listing = self._namespace.listing()
        origins, holds = self._namespace.origins_version(), self._namespace.hold_counts()
        basis = AnswerBasis((listing,), (origins, holds))

        def made() -> pb.ListModulesResponse:
            page = page_of(
                listing.modules,
                request.page_size,
                request.page_token,
                version=f"{listing.epoch}-{listing.revision}",
            )
            return pb.ListModulesResponse(
                modules=self._module_messages(page.items, holds),
                next_page_token=page.next_token,
                epoch=listing.epoch,
                revision=listing.revision,
            )

        asked = self._admission.view().role, request.page_size, request.page_token
        return self._listings.answer(asked, basis, made)

    def GetModule(  # noqa: N802
        self, request: pb.GetModuleRequest, _context: grpc.ServicerContext
    ) -> pb.GetModuleResponse:
        """Answer with one module."""
        details, parameters = self._namespace.details(request.name)
        version, source_version = details.version, details.source_version
        (message,) = self._module_messages((details.module,), self._namespace.hold_counts())
        sections = self._admission.view().shown_sections(details.sections)
        return pb.GetModuleResponse(
            module=message,
            core_size_bytes=details.core_size,
            init_size_bytes=details.init_size,
            version=None if version is None else text(version),
            source_version=None if source_version is None else text(source_version),
            parameters=self._parameters(parameters),
            sections=map(section_message, sections),
            notes=map(note_message, details.notes),
        )

    def GetParameters(  # noqa: N802
        self, request: pb.GetParametersRequest, _context: grpc.ServicerContext
    ) -> pb.GetParametersResponse:
        """Answer with the parameters of one module."""
        _, parameters = self._namespace.details(request.module)
        return pb.GetParametersResponse(parameters=self._parameters(parameters))

    def SetParameter(  # noqa: N802
        self, request: pb.SetParameterRequest, _context: grpc.ServicerContext
    ) -> pb.SetParameterResponse:
        """Set a parameter and answer with what has become of it."""
        call = self._admission.asked_by()
        now = self._namespace.set_parameter(request.module, request.parameter, request.value, call)
        (parameter,) = self._parameters([now])
        return pb.SetParameterResponse(parameter=parameter)

    def InsertModule(  # noqa: N802
        self, requests: Iterator[pb.InsertModuleRequest], context: grpc.ServicerContext
    ) -> pb.InsertModuleResponse:
        """Take in an image and load it, with what it needs where the header says so."""
        with self._uploads.receive(requests) as (header, image):
            if not header.HasField("load"):
                flags = insert_flags(header.ignore_vermagic, header.ignore_modversions)
                call = self._admission.asked_by()
                module = self._namespace.insert(
                    image, header.file_name, header.parameters, flags, call
                )
                (message,) = self._module_messages((module,), self._namespace.hold_counts())
                return pb.InsertModuleResponse(module=message)
            load = header.load
            outcome = self._namespace.load_file(
                image,
                header.file_name,
                load_request("", load),
                load_context(load, self._admission),
            )
        outcome = self._admission.view().shown(outcome)
        if not load.failure_in_result:
            _abort_if_failed(outcome, context)
        return pb.InsertModuleResponse(
            result=result_message(outcome), config_problems=problem_lines(outcome.problems)
        )

    def LoadModules(  # noqa: N802
        self, request: pb.LoadModulesRequest, context: grpc.ServicerContext
    ) -> bytes:
        """Load each name, or all of them together."""
        key = request.SerializeToString()
        if not self._admission.is_nested():
            settled: bytes | None = self._namespace.settled_answer(key, self._admission.caller())
            if settled is not None:
                return settled
        call = load_context(request, self._admission)
        basis = self._namespace.basis()
        loads = load_requests(request, self._limits.names_per_request)
        if request.atomic:
            outcomes = self._namespace.load_together(loads, call)
        else:
            outcomes = self._namespace.load_each(loads, call)
        outcomes = tuple(map(self._admission.view().shown, outcomes))
        if len(loads) == 1 and not request.failure_in_result:
            _abort_if_failed(outcomes[0], context)
        answer = pb.LoadModulesResponse(
            results=map(result_message, outcomes),
            config_problems=problem_lines(outcomes[-1].problems),
        ).SerializeToString()
        if _depends_on_no_more(request, call):
            self._namespace.settle(key, call, basis, outcomes, answer)
        return answer

    def UnloadModules(  # noqa: N802
        self, request: pb.UnloadModulesRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModulesResponse:
        """Unload each name."""
        names = check_names(request.names, self._limits.names_per_request)
        call = unload_context(request, self._admission)
        unloads = [unload_request(name, request) for name in names]
        view = self._admission.view()
        outcomes = tuple(map(view.shown, self._namespace.unload_each(unloads, call)))
        if len(names) == 1 and not request.failure_in_result:
            _abort_if_failed(outcomes[0], context)
        return pb.UnloadModulesResponse(
            results=map(result_message, outcomes),
            config_problems=problem_lines(outcomes[-1].problems),
        )

    def RemoveModule(  # noqa: N802
        self, request: pb.RemoveModuleRequest, _context: grpc.ServicerContext
    ) -> pb.RemoveModuleResponse:
        """Unload one module alone."""
        call = self._admission.asked_by(wait=wait_of(request))
        report = self._namespace.remove(request.name, call, force=request.force)
        return pb.RemoveModuleResponse(leaks=leaks_told(report))

    def _parameters(self, parameters: Iterable[DescribedParameter]) -> list[pb.Parameter]:
        view = self._admission.view()
        return [parameter_message(view.shown_parameter(each)) for each in parameters]


def _depends_on_no_more(request: pb.LoadModulesRequest, call: RequestContext) -> bool:
    """Tell whether what a load that does nothing answers depends on no more than its basis."""
    assumes = call.assumed is not None
    return not (request.parameters or assumes or call.release or call.token)


def _abort_if_failed(outcome: Outcome, context: grpc.ServicerContext) -> None:
    """End the call where its only name failed."""
    if outcome.error is not None:
        abort(context, outcome.error, outcome)
