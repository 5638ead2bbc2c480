# SPDX-License-Identifier: Apache-2.0
"""Failures as messages carry them, made into exceptions."""

from collections.abc import Sequence

from google.rpc import error_details_pb2, status_pb2

from kmodctl.errors import CallError
from kmodd.v1 import errors_pb2


def call_error(packed: bytes) -> CallError:
    """Return the CallError for a ``google.rpc.Status`` as it comes with a failed call."""
    status = status_pb2.Status.FromString(packed)
    info = error_details_pb2.ErrorInfo()
    detail = errors_pb2.FailureDetail()
    for each in status.details:
        if not each.Unpack(info):
            each.Unpack(detail)
    facts = info.metadata
    return CallError(
        reason=info.reason,
        message=status.message,
        errno=int(facts.get("errno", "0")),
        module=facts.get("module", ""),
        target=detail.target,
        symbol=facts.get("symbol", ""),
        detail=facts.get("detail", ""),
        log_lines=tuple(detail.log_lines),
        steps=tuple(detail.steps),
        config_problems=tuple(detail.config_problems),
        leaks=tuple(detail.leaks),
    )


def failure_error(failure: errors_pb2.Failure, steps: Sequence[errors_pb2.Step] = ()) -> CallError:
    """Return the CallError for a failure that a result tells of."""
    reason = errors_pb2.ErrorReason.Name(failure.reason)
    return CallError(
        reason=reason.removeprefix("ERROR_REASON_"),
        message=failure.message,
        errno=failure.errno_value,
        module=failure.module,
        target=failure.target,
        symbol=failure.symbol,
        detail=failure.detail,
        log_lines=tuple(failure.log_lines),
        steps=tuple(steps),
        leaks=tuple(failure.leaks),
    )
