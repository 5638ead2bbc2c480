# SPDX-License-Identifier: Apache-2.0
"""Failures as messages carry them: what they say, and those of whole calls as exceptions."""

from google.rpc import error_details_pb2, status_pb2

from kmodctl.errors import CallError, cause
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


def reason_of(failure: errors_pb2.Failure) -> str:
    """Return the name of a failure's reason, without its prefix."""
    return errors_pb2.ErrorReason.Name(failure.reason).removeprefix("ERROR_REASON_")


def cause_of(failure: errors_pb2.Failure) -> str:
    """Return why, as CallError.cause does."""
    return cause(reason_of(failure), failure.errno_value, failure.message)
