# SPDX-License-Identifier: Apache-2.0
"""Values of the daemon as messages of the API."""

import pwd
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kmodd.access.caller import Caller
from kmodd.kernel.base import (
    EmulationReport,
    InitState,
    LoadedModule,
    LogRecord,
    ModuleNote,
    ModuleSection,
    ModuleState,
)
from kmodd.namespace import Action, DescribedParameter, Origin, StepOutcome
from kmodd.queries import plans
from kmodd.queries.messages import text
from kmodd.trees import TreeSummary
from kmodd.v1 import (
    caller_pb2,
    database_service_pb2,
    errors_pb2,
    kernel_log_service_pb2,
    module_service_pb2,
)

_STATES = {
    ModuleState.LIVE: module_service_pb2.MODULE_STATE_LIVE,
    ModuleState.COMING: module_service_pb2.MODULE_STATE_COMING,
    ModuleState.GOING: module_service_pb2.MODULE_STATE_GOING,
}
_INIT_STATES = {
    InitState.RAN: module_service_pb2.INIT_STATE_RAN,
    InitState.NOT_RUN: module_service_pb2.INIT_STATE_NOT_RUN,
    InitState.NONE: module_service_pb2.INIT_STATE_NONE,
}
_ON_A_MACHINE = EmulationReport(InitState.RAN)
"""What there is to tell of a module where no emulation tells: its init has run."""

_ORIGINS = {
    Origin.ASKED: module_service_pb2.ORIGIN_ASKED,
    Origin.DEPENDENCY: module_service_pb2.ORIGIN_DEPENDENCY,
    Origin.HOTPLUG: module_service_pb2.ORIGIN_HOTPLUG,
    Origin.OTHERS: module_service_pb2.ORIGIN_OTHERS,
    Origin.STATE: module_service_pb2.ORIGIN_STATE,
    Origin.UNKNOWN: module_service_pb2.ORIGIN_UNKNOWN,
}


def module_message(
    module: LoadedModule, origin: Origin | None = None, holds: int = 0
) -> module_service_pb2.Module:
    """Return a loaded module as the API shows it, with its origin where that is to be told."""
    report = module.report or _ON_A_MACHINE
    return module_service_pb2.Module(
        name=text(module.name),
        size_bytes=module.size,
        reference_count=module.refcount,
        holders=map(text, module.holders),
        state=_STATES[module.state],
        permanent=module.permanent,
        taints=module.taints,
        address=module.address,
        init_state=_INIT_STATES[report.init],
        origin=_ORIGINS[origin] if origin else module_service_pb2.ORIGIN_UNSPECIFIED,
        hold_count=holds,
        why_not_run=text(report.why_not_run),
        stubbed_functions=map(text, report.stubbed),
    )


def leaks_told(report: EmulationReport | None) -> list[str]:
    """Return what an emulation tells that a module never gave back."""
    return [text(leak) for leak in report.leaks] if report else []


def parameter_message(parameter: DescribedParameter) -> module_service_pb2.Parameter:
    """Return a parameter of a loaded module."""
    shown = parameter.shown
    return module_service_pb2.Parameter(
        name=text(shown.name),
        value=None if shown.value is None else text(shown.value),
        mode=shown.mode,
        type=text(parameter.type),
        description=text(parameter.description),
    )


def section_message(section: ModuleSection) -> module_service_pb2.Section:
    """Return a section of a loaded module."""
    return module_service_pb2.Section(name=text(section.name), address=section.address)


def note_message(note: ModuleNote) -> module_service_pb2.Note:
    """Return the notes in a section of a loaded module."""
    return module_service_pb2.Note(name=text(note.name), contents=note.contents)


def step_message(outcome: StepOutcome) -> errors_pb2.Step:
    """Return a step and what became of it."""
    message = errors_pb2.Step()
    write_step(message, outcome)
    return message


def write_step(message: errors_pb2.Step, outcome: StepOutcome) -> None:
    """Have a new message tell of a step and what became of it."""
    plans.write_step(message, outcome.step, outcome.path, outcome.target, errors_pb2)
    if outcome.done:
        message.done = True
    if outcome.needless:
        message.needless = True
    if outcome.undone:
        message.undone = True
    if outcome.report is not None:
        message.leaks.extend(leaks_told(outcome.report))
    if outcome.output is not None:
        message.output = outcome.output.output
        message.error_output = outcome.output.error_output
        message.exit_status = outcome.output.status


def tree_message(summary: TreeSummary) -> database_service_pb2.Tree:
    """Return what is told of a release's tree."""
    built = Timestamp()
    built.FromDatetime(summary.built)
    return database_service_pb2.Tree(
        release=text(summary.release),
        directory=text(str(summary.directory)),
        generation=summary.number,
        built_time=built,
        module_count=summary.module_count,
        published=summary.published,
        problem=text(summary.problem),
        warnings=map(text, summary.warnings),
        unread_configuration=map(text, summary.unread),
        left_out=[
            database_service_pb2.LeftOutModule(name=text(name), reason=text(reason))
            for name, reason in summary.left_out
        ],
    )


def caller_message(caller: Caller) -> caller_pb2.Caller | None:
    """Return who made a caller's connection, None for the daemon itself."""
    peer = caller.peer
    if peer is None:
        return None
    return caller_pb2.Caller(
        uid=peer.uid,
        user=text(_user(peer.uid)),
        gids=sorted(peer.gids),
        pid=peer.pid,
        start_ticks=peer.started,
        command=text(peer.command),
        unit=text(peer.unit),
        container=text(peer.container),
    )


@lru_cache(maxsize=256)
def _user(uid: int) -> str:
    """Return the name of a user, "" for none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def action_name(action: Action) -> str:
    """Return the name in the API for what an operation does."""
    return f"OPERATION_ACTION_{action.replace('-', '_').upper()}"


def timestamp(seconds: float) -> Timestamp:
    """Return a moment of Unix time."""
    moment = Timestamp()
    moment.FromMicroseconds(round(seconds * 1e6))
    return moment


def duration(seconds: float) -> Duration:
    """Return a length of time."""
    length = Duration()
    length.FromMicroseconds(round(seconds * 1e6))
    return length


def log_message(record: LogRecord) -> kernel_log_service_pb2.LogRecord:
    """Return one record of the kernel log."""
    uptime = Duration()
    uptime.FromMicroseconds(record.microseconds)
    return kernel_log_service_pb2.LogRecord(
        sequence=record.sequence,
        level=kernel_log_service_pb2.LogLevel.Name(record.level + 1),
        uptime=uptime,
        text=text(record.text),
    )
