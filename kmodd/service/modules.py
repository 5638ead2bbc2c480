# SPDX-License-Identifier: Apache-2.0
"""ModuleService: list, load, unload."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import grpc

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import InsertFlags, LoadedModule
from kmodd.namespace import DescribedParameter, Namespace, Outcome, RequestContext
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.queries.messages import text
from kmodd.service.admission import Admission, token_of
from kmodd.service.convert import (
    assumed_module,
    note_message,
    parameter_message,
    problem_lines,
    section_message,
)
from kmodd.service.failures import abort, result_message
from kmodd.service.holds import HoldCalls
from kmodd.service.pages import page_of
from kmodd.service.uploads import Uploads
from kmodd.service.watches import WatchCalls
from kmodd.settings import Limits
from kmodd.v1 import module_service_pb2 as pb

LONGEST_WAIT = 3600.0
"""Seconds that a removal waits at most."""

_NESTED_OPTIONS = defaultdict(str, {pb.VERBOSITY_QUIET: "-q", pb.VERBOSITY_VERBOSE: "-v"})


class ModuleService(HoldCalls, WatchCalls):
    """Translates between the API and a Namespace."""

    def __init__(
        self, namespace: Namespace, uploads: Uploads, limits: Limits, admission: Admission
    ) -> None:
        self._namespace = namespace
        self._admission = admission
        self._uploads = uploads
        self._limits = limits

    def ListModules(  # noqa: N802  # the API's name
        self, request: pb.ListModulesRequest, _context: grpc.ServicerContext
    ) -> pb.ListModulesResponse:
        """Answer with one page of the listing."""
        listing = self._namespace.listing()
        page = page_of(
            listing.modules,
            request.page_size,
            request.page_token,
            version=f"{listing.epoch}-{listing.revision}",
        )
        return pb.ListModulesResponse(
            modules=self._module_messages(page.items),
            next_page_token=page.next_token,
            epoch=listing.epoch,
            revision=listing.revision,
        )

    def GetModule(  # noqa: N802
        self, request: pb.GetModuleRequest, _context: grpc.ServicerContext
    ) -> pb.GetModuleResponse:
        """Answer with one module."""
        details, parameters = self._namespace.details(request.name)
        version, source_version = details.version, details.source_version
        (message,) = self._module_messages((details.module,))
        return pb.GetModuleResponse(
            module=message,
            core_size_bytes=details.core_size,
            init_size_bytes=details.init_size,
            version=None if version is None else text(version),
            source_version=None if source_version is None else text(source_version),
            parameters=self._parameters(parameters),
            sections=map(section_message, self._admission.shown_sections(details.sections)),
            notes=map(note_message, details.notes),
        )

    def GetParameters(  # noqa: N802
        self, request: pb.GetParametersRequest, _context: grpc.ServicerContext
    ) -> pb.GetParametersResponse:
        """Answer with the parameters of one module."""
        _, parameters = self._namespace.details(request.module)
        return pb.GetParametersResponse(parameters=self._parameters(parameters))

    def SetParameter(  # noqa: N802
        self, request: pb.SetParameterRequest, context: grpc.ServicerContext
    ) -> pb.SetParameterResponse:
        """Set a parameter and answer with what has become of it."""
        call = RequestContext(token=token_of(context), caller=self._admission.caller(context))
        now = self._namespace.set_parameter(request.module, request.parameter, request.value, call)
        (parameter,) = self._parameters([now])
        return pb.SetParameterResponse(parameter=parameter)

    def InsertModule(  # noqa: N802
        self, requests: Iterator[pb.InsertModuleRequest], context: grpc.ServicerContext
    ) -> pb.InsertModuleResponse:
        """Take in an image and load it, with what it needs where the header says so."""
        with self._uploads.receive(requests) as (header, image):
            if not header.HasField("load"):
                flags = _insert_flags(header.ignore_vermagic, header.ignore_modversions)
                call = RequestContext(
                    token=token_of(context), caller=self._admission.caller(context)
                )
                module = self._namespace.insert(
                    image, header.file_name, header.parameters, flags, call
                )
                (message,) = self._module_messages((module,))
                return pb.InsertModuleResponse(module=message)
            load = header.load
            outcome = self._namespace.load_file(
                image, header.file_name, load_request("", load), self._load_call(load, context)
            )
        outcome = self._admission.shown(outcome)
        if not load.failure_in_result:
            _abort_if_failed(outcome, context)
        return pb.InsertModuleResponse(
            result=result_message(outcome), config_problems=problem_lines(outcome.problems)
        )

    def LoadModules(  # noqa: N802
        self, request: pb.LoadModulesRequest, context: grpc.ServicerContext
    ) -> pb.LoadModulesResponse:
        """Load each name, or all of them together."""
        call = self._load_call(request, context)
        key = request.SerializeToString()
        settled: pb.LoadModulesResponse | None = self._namespace.settled_answer(key, call)
        if settled is not None:
            return settled
        basis = self._namespace.basis()
        loads = self._loads(request)
        if request.atomic:
            outcomes = self._namespace.load_together(loads, call)
        else:
            outcomes = tuple(self._namespace.load(load, call) for load in loads)
        outcomes = tuple(map(self._admission.shown, outcomes))
        if len(loads) == 1 and not request.failure_in_result:
            _abort_if_failed(outcomes[0], context)
        answer = pb.LoadModulesResponse(
            results=map(result_message, outcomes),
            config_problems=problem_lines(outcomes[-1].problems),
        )
        if _depends_on_no_more(request, call):
            self._namespace.settle(key, call, basis, outcomes, answer)
        return answer

    def UnloadModules(  # noqa: N802
        self, request: pb.UnloadModulesRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModulesResponse:
        """Unload each name."""
        names = self._names(request.names)
        call = RequestContext(
            release=request.release,
            dry_run=request.dry_run,
            assumed=_assumed(request),
            token=token_of(context),
            caller=self._admission.caller(context),
            wait=_wait(request),
            nested_options=_NESTED_OPTIONS[request.nested_verbosity],
        )
        unloads = [unload_request(name, request) for name in names]
        outcomes = [self._admission.shown(self._namespace.unload(each, call)) for each in unloads]
        if len(names) == 1 and not request.failure_in_result:
            _abort_if_failed(outcomes[0], context)
        return pb.UnloadModulesResponse(
            results=map(result_message, outcomes),
            config_problems=problem_lines(outcomes[-1].problems),
        )

    def RemoveModule(  # noqa: N802
        self, request: pb.RemoveModuleRequest, context: grpc.ServicerContext
    ) -> pb.RemoveModuleResponse:
        """Unload one module alone."""
        call = RequestContext(
            token=token_of(context), caller=self._admission.caller(context), wait=_wait(request)
        )
        leaks = self._namespace.remove(request.name, call, force=request.force)
        return pb.RemoveModuleResponse(leaks=map(text, leaks))

    def _parameters(self, parameters: Iterable[DescribedParameter]) -> list[pb.Parameter]:
        return [parameter_message(self._admission.shown_parameter(each)) for each in parameters]

    def _loads(self, request: pb.LoadModulesRequest) -> list[LoadRequest]:
        """Return what the namespace is asked to load for each name; raises RequestError."""
        names = self._names(request.names)
        if request.parameters and len(names) != 1:
            raise RequestError(
                Reason.INVALID_REQUEST, "parameters need exactly one module to be given to"
            )
        return [load_request(name, request) for name in names]

    def _load_call(
        self, request: pb.LoadModulesRequest, context: grpc.ServicerContext
    ) -> RequestContext:
        return RequestContext(
            release=request.release,
            dry_run=request.dry_run,
            token=token_of(context),
            caller=self._admission.caller(context),
            nested_options=_NESTED_OPTIONS[request.nested_verbosity],
        )

    def _names(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        if not 1 <= len(names) <= self._limits.names_per_request:
            raise RequestError(
                Reason.INVALID_REQUEST,
                f"a request names 1 to {self._limits.names_per_request} modules",
            )
        return names


def load_request(name: str, request: pb.LoadModulesRequest) -> LoadRequest:
    """Return what the namespace is asked to load for one of the names of ``request``."""
    return LoadRequest(
        name=name,
        parameters=request.parameters,
        use_blacklist=request.use_blacklist,
        ignore_commands=request.ignore_install_commands,
        first_time=request.first_time,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        exact=request.kmod_exact,
        flags=_insert_flags(request.ignore_vermagic, request.ignore_modversions),
    )


def unload_request(name: str, request: pb.UnloadModulesRequest) -> UnloadRequest:
    """Return what the namespace is asked to unload for one of the names of ``request``."""
    return UnloadRequest(
        name=name,
        ignore_commands=request.ignore_remove_commands,
        first_time=request.first_time,
        remove_holders=request.remove_holders,
        use_blacklist=request.use_blacklist,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        force=request.force,
        exact=request.kmod_exact,
        soft_matters=request.soft_dependencies_matter,
    )


def _wait(request: pb.UnloadModulesRequest | pb.RemoveModuleRequest) -> float:
    """Return how many seconds a module may be in use."""
    return min(request.wait.ToMicroseconds() / 1e6, LONGEST_WAIT)


def _assumed(request: pb.UnloadModulesRequest) -> tuple[LoadedModule, ...] | None:
    if not request.HasField("assumed_loaded"):
        return None
    return tuple(map(assumed_module, request.assumed_loaded.modules))


def _depends_on_no_more(request: pb.LoadModulesRequest, call: RequestContext) -> bool:
    """Tell whether what a load that does nothing answers depends on no more than its basis."""
    return not (request.parameters or call.dry_run or call.release or call.token)


def _abort_if_failed(outcome: Outcome, context: grpc.ServicerContext) -> None:
    """End the call where its only name failed."""
    if outcome.error is not None:
        abort(context, outcome.error, outcome)


def _insert_flags(ignore_vermagic: bool, ignore_modversions: bool) -> InsertFlags:
    flags = InsertFlags.NONE
    if ignore_vermagic:
        flags |= InsertFlags.IGNORE_VERMAGIC
    if ignore_modversions:
        flags |= InsertFlags.IGNORE_MODVERSIONS
    return flags
