# SPDX-License-Identifier: Apache-2.0
"""A KmoddError as gRPC carries it: a status with an ErrorInfo and a FailureDetail."""

from collections.abc import Iterable
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from kmodd.errors import KmoddError
from kmodd.namespace import StepOutcome
from kmodd.service.convert import step_message, text
from kmodd.v1 import errors_pb2

DOMAIN = "kmodd"

DETAILS_MAX = 4096
"""Bytes of details in a status. Past 16 KiB of trailers grpc loses the whole status."""

FIELD_MAX = 512
"""Characters of one piece of metadata in an ErrorInfo."""

STATUS_KEY = "grpc-status-details-bin"


def abort(
    context: grpc.ServicerContext,
    error: KmoddError,
    *,
    steps: Iterable[StepOutcome] = (),
    target: str = "",
) -> NoReturn:
    """End the call with the status that ``error`` stands for.

    ``target`` is the module that was asked for, ``steps`` what was done for it.
    """
    code = grpc.StatusCode[error.status]
    status = status_pb2.Status(code=code.value[0], message=text(error.message[:FIELD_MAX]))
    status.details.append(_packed(_error_info(error)))
    status.details.append(
        _packed(_failure_detail(error, steps, text(target), DETAILS_MAX - status.ByteSize()))
    )
    context.set_trailing_metadata(((STATUS_KEY, status.SerializeToString()),))
    context.abort(code, status.message)
    raise AssertionError("abort() returned")


def failure_message(error: KmoddError) -> errors_pb2.Failure:
    """Return ``error`` as a field of an answer that tells of several names."""
    return errors_pb2.Failure(
        reason=f"ERROR_REASON_{error.reason.name}",
        errno_value=error.errno,
        message=text(error.message),
        module=text(error.module),
        symbol=text(error.symbol),
        detail=text(error.detail),
        log_lines=[text(line) for line in error.log],
    )


def _error_info(error: KmoddError) -> error_details_pb2.ErrorInfo:
    facts = {"module": error.module, "symbol": error.symbol, "detail": error.detail}
    metadata = {key: text(value[:FIELD_MAX]) for key, value in facts.items() if value}
    metadata["errno"] = str(error.errno)
    return error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=metadata)


def _failure_detail(
    error: KmoddError, steps: Iterable[StepOutcome], target: str, room: int
) -> errors_pb2.FailureDetail:
    """As many of the steps, then of the log lines, as there is room for."""
    detail = errors_pb2.FailureDetail(target=target)
    room -= detail.ByteSize() + 64
    for message in map(step_message, steps):
        room -= message.ByteSize() + 4
        if room < 0:
            return detail
        detail.steps.append(message)
    for line in error.log:
        room -= len(line.encode("utf-8", "replace")) + 4
        if room < 0:
            break
        detail.log_lines.append(text(line))
    return detail


def _packed(message: error_details_pb2.ErrorInfo | errors_pb2.FailureDetail) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
