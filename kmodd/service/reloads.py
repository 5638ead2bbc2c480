# SPDX-License-Identifier: Apache-2.0
"""ModuleService's answers about loaded modules whose files are others by now."""

import grpc

from kmodd.kernel.base import ModuleBuild
from kmodd.namespace import (
    CarriedParameter,
    Fate,
    OutdatedModule,
    ReloadedModule,
    ReloadRequest,
    Staleness,
    StepOutcome,
)
from kmodd.plan.reload import ReloadCause
from kmodd.queries.messages import problem_lines, text
from kmodd.service.convert import step_message
from kmodd.service.failures import failure_message
from kmodd.service.pages import page_of
from kmodd.service.requests import check_names
from kmodd.service.servicer import ModuleServicer
from kmodd.service.view import View
from kmodd.v1 import errors_pb2 as pb_errors
from kmodd.v1 import module_service_pb2 as pb


class ReloadCalls(ModuleServicer):
    """The part of ModuleService that is about modules which an upgrade has made old."""

    def ListOutdated(  # noqa: N802  # the API's name
        self, request: pb.ListOutdatedRequest, _context: grpc.ServicerContext
    ) -> pb.ListOutdatedResponse:
        """Answer with one page of the modules that their files are not."""
        found = self._namespace.outdated()
        version = f"{hash(found):x}"
        page = page_of(found, request.page_size, request.page_token, version=version)
        return pb.ListOutdatedResponse(
            modules=map(_outdated, page.items), next_page_token=page.next_token
        )

    def ReloadModules(  # noqa: N802
        self, request: pb.ReloadModulesRequest, _context: grpc.ServicerContext
    ) -> pb.ReloadModulesResponse:
        """Reload what is asked for, and answer with what became of each module."""
        names = tuple(request.names)
        if names or not request.outdated:
            check_names(names, self._limits.names_per_request)
        wanted = ReloadRequest(
            names=names, outdated=request.outdated, force_holders=request.force_holders
        )
        report = self._namespace.reload(wanted, self._admission.asked_by(dry_run=request.dry_run))
        view = self._admission.view()
        return pb.ReloadModulesResponse(
            modules=[_reloaded(module, view) for module in report.modules],
            steps=[_step(step, view) for step in report.steps],
            config_problems=problem_lines(report.problems),
        )


_STALENESS = {
    Staleness.CHANGED: pb.STALENESS_CHANGED,
    Staleness.GONE: pb.STALENESS_GONE,
    Staleness.UNREADABLE: pb.STALENESS_UNREADABLE,
    Staleness.UNKNOWN: pb.STALENESS_UNKNOWN,
}


def _outdated(module: OutdatedModule) -> pb.OutdatedModule:
    return pb.OutdatedModule(
        module=text(module.name),
        staleness=_STALENESS[module.staleness],
        path=text(module.path),
        loaded=_build(module.loaded),
        file=_build(module.file) if module.file else None,
        why=text(module.why),
    )


def _build(build: ModuleBuild) -> pb.ModuleBuild:
    return pb.ModuleBuild(
        build_id=bytes.fromhex(build.build_id), source_version=text(build.source_version)
    )


_CAUSES = {
    ReloadCause.NAMED: pb.RELOAD_CAUSE_NAMED,
    ReloadCause.OUTDATED: pb.RELOAD_CAUSE_OUTDATED,
    ReloadCause.USER: pb.RELOAD_CAUSE_USER,
}

_FATES = {
    Fate.PLANNED: pb.RELOAD_FATE_PLANNED,
    Fate.RELOADED: pb.RELOAD_FATE_RELOADED,
    Fate.NEEDLESS: pb.RELOAD_FATE_NEEDLESS,
    Fate.STAYED: pb.RELOAD_FATE_STAYED,
    Fate.PUT_BACK: pb.RELOAD_FATE_PUT_BACK,
    Fate.LOST: pb.RELOAD_FATE_LOST,
}


def _reloaded(module: ReloadedModule, view: View) -> pb.ReloadedModule:
    error = view.shown_error(module.error) if module.error else None
    return pb.ReloadedModule(
        module=text(module.name),
        cause=_CAUSES[module.cause],
        fate=_FATES[module.fate],
        path=text(module.path),
        parameters=[_parameter(each, view) for each in module.parameters.given],
        parameters_left=map(text, module.parameters.left),
        failure=failure_message(error, module.name) if error else None,
        note=text(view.shown_line(module.note)),
    )


def _parameter(parameter: CarriedParameter, view: View) -> pb.GivenParameter:
    is_shown = view.shows_values() or not parameter.private
    value = text(parameter.value) if is_shown else None
    return pb.GivenParameter(name=text(parameter.name), value=value)


def _step(step: StepOutcome, view: View) -> pb_errors.Step:
    """Return a step without what the caller may not know: it may have what others gave."""
    message = step_message(step)
    if not view.shows_values():
        message.ClearField("parameters")
        message.ClearField("configured_parameters")
        message.ClearField("output")
        message.ClearField("error_output")
    return message
