# SPDX-License-Identifier: Apache-2.0
"""A KmoddError as gRPC carries it: a status with an ErrorInfo and a FailureDetail."""

from collections.abc import Iterator
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from kmodd.errors import KmoddError
from kmodd.host.transport import STATUS_KEY
from kmodd.namespace import Outcome
from kmodd.queries import plans
from kmodd.queries.messages import text
from kmodd.service.convert import step_message, write_step
from kmodd.v1 import errors_pb2, module_service_pb2

DOMAIN = "kmodd"

DETAILS_MAX = 4096
"""Bytes of details in a status. Past 16 KiB of trailers grpc loses the whole status."""

OUTPUT_MAX = 1024
"""Bytes of each of a command's outputs in a status. Calls with several names tell more."""

FIELD_MAX = 512
"""Characters of one piece of metadata in an ErrorInfo."""


def abort(
    context: grpc.ServicerContext, error: KmoddError, outcome: Outcome | None = None
) -> NoReturn:
    """End the call with the status that ``error`` stands for, and tell the rest of ``outcome``."""
    code = grpc.StatusCode[error.status]
    status = status_pb2.Status(code=code.value[0], message=text(error.message[:FIELD_MAX]))
    status.details.append(_packed(_error_info(error)))
    room = DETAILS_MAX - status.ByteSize()
    status.details.append(_packed(_failure_detail(error, outcome, room)))
    context.set_trailing_metadata(((STATUS_KEY, status.SerializeToString()),))
    context.abort(code, status.message)
    raise AssertionError("abort() returned")


def failure_message(error: KmoddError, target: str = "") -> errors_pb2.Failure:
    """Return ``error`` as a field of an answer that tells of several modules.

    ``target`` is the module that was asked for.
    """
    failure: errors_pb2.Failure = plans.failure_message(error, target, errors_pb2)
    return failure


def result_message(outcome: Outcome) -> module_service_pb2.ModuleResult:
    """Return what became of one name."""
    error = outcome.error
    result = module_service_pb2.ModuleResult(
        name=text(outcome.name),
        modules=map(text, outcome.targets),
        failure=failure_message(error, _target(outcome)) if error else None,
        ignored_parameters=[
            module_service_pb2.IgnoredParameter(
                module=text(each.module),
                given=text(each.given),
                in_force=None if each.in_force is None else text(each.in_force),
            )
            for each in outcome.ignored
        ],
        other_failures=[failure_message(other, target) for target, other in outcome.others],
        blacklisted_modules=map(text, outcome.blacklisted),
    )
    for step in outcome.steps:
        write_step(result.steps.add(), step)
    return result


def _target(outcome: Outcome) -> str:
    return outcome.targets[-1] if outcome.targets else ""


def _error_info(error: KmoddError) -> error_details_pb2.ErrorInfo:
    facts = {"module": error.module, "symbol": error.symbol, "detail": error.detail}
    metadata = {key: text(value[:FIELD_MAX]) for key, value in facts.items() if value}
    metadata["errno"] = str(error.errno)
    return error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=metadata)


def _failure_detail(
    error: KmoddError, outcome: Outcome | None, room: int
) -> errors_pb2.FailureDetail:
    """Return as many of the steps, the log lines and the rest as there is room for."""
    detail = errors_pb2.FailureDetail(target=text(_target(outcome)) if outcome else "")
    room -= detail.ByteSize() + 64
    for piece in _pieces(error, outcome):
        room -= piece.ByteSize()
        if room < 0:
            break
        detail.MergeFrom(piece)
    return detail


def _pieces(error: KmoddError, outcome: Outcome | None) -> Iterator[errors_pb2.FailureDetail]:
    """Yield what there is to tell beside the error itself, the most important first."""
    for step in map(step_message, outcome.steps if outcome else ()):
        step.output = step.output[:OUTPUT_MAX]
        step.error_output = step.error_output[:OUTPUT_MAX]
        yield errors_pb2.FailureDetail(steps=[step])
    for leak in error.leaks:
        yield errors_pb2.FailureDetail(leaks=[text(leak)])
    for line in error.log:
        yield errors_pb2.FailureDetail(log_lines=[text(line)])
    for problem in outcome.problems if outcome else ():
        yield errors_pb2.FailureDetail(config_problems=[text(problem)])
    for target, other in outcome.others if outcome else ():
        yield errors_pb2.FailureDetail(other_failures=[failure_message(other, target)])


def _packed(message: error_details_pb2.ErrorInfo | errors_pb2.FailureDetail) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
