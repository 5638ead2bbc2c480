# SPDX-License-Identifier: Apache-2.0
"""Failures as messages carry them: what they say, and those of whole calls as exceptions."""

from kmodctl.errors import CallError, KmodctlError, cause
from kmodd.messages.codec import DecodeError
from kmodd.messages.errors import ERROR_REASON, FailureDetail
from kmodd.messages.well_known import ErrorInfo, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kmodd.messages.errors import Failure

_PREFIX = "ERROR_REASON_"


def call_error(packed: bytes) -> CallError:
    """Return the CallError for a ``google.rpc.Status`` as it comes with a failed call."""
    info, detail = ErrorInfo(), FailureDetail()
    try:
        status = Status.decode(packed)
        for each in status.details:
            kind = each.type_url.rpartition("/")[2]
            if kind == "google.rpc.ErrorInfo":
                info = ErrorInfo.decode(each.value)
            elif kind == "kmodd.v1.FailureDetail":
                detail = FailureDetail.decode(each.value)
    except DecodeError as error:
        return CallError("INTERNAL", f"the daemon tells a failure that cannot be read: {error}")
    facts = {entry.key: entry.value for entry in info.metadata}
    number = facts.get("errno", "0")
    return CallError(
        reason=info.reason,
        message=status.message,
        errno=int(number) if number.isdecimal() else 0,
        module=facts.get("module", ""),
        target=detail.target,
        symbol=facts.get("symbol", ""),
        detail=facts.get("detail", ""),
        log_lines=tuple(detail.log_lines),
        steps=tuple(detail.steps),
        config_problems=tuple(detail.config_problems),
        leaks=tuple(detail.leaks),
    )


def reason_of(failure: "Failure") -> str:
    """Return the name of a failure's reason, without its prefix."""
    return ERROR_REASON.get(failure.reason, str(failure.reason)).removeprefix(_PREFIX)


def error_of(failure: "Any") -> CallError:
    """Return the CallError for a failure that an answer tells of."""
    return CallError(
        reason_of(failure),
        failure.message,
        errno=failure.errno_value,
        module=failure.module,
        detail=failure.detail,
        log_lines=tuple(failure.log_lines),
    )


def succeeded(answer: "Any") -> "Any":
    """Return what became of an action, if it is something; raises CallError for a failure."""
    if answer.WhichOneof("result") == "failure":
        raise error_of(answer.failure)
    return answer


def reason_named(name: str) -> int | None:
    """Return the reason of a name without the prefix; None where there is none."""
    wanted = _PREFIX + name
    return next((number for number, each in ERROR_REASON.items() if each == wanted), None)


def cause_of(failure: "Failure") -> str:
    """Return why, as CallError.cause does."""
    return cause(reason_of(failure), failure.errno_value, failure.message)


def shown_failure(error: "KmodctlError | OSError") -> "dict[str, Any]":
    """Return what failed as kmodctl's JSON has it, wherever it came from: as a Failure's.

    What failed before anybody was asked has a reason of kmodctl's own.
    """
    from kmodd.messages.as_json import as_json
    from kmodd.messages.errors import Failure

    if isinstance(error, CallError):
        failure = Failure(
            errno_value=error.errno,
            message=error.message,
            module=error.module,
            symbol=error.symbol,
            detail=error.detail,
            log_lines=list(error.log_lines),
            target=error.target,
            leaks=list(error.leaks),
        )
        reason = error.reason
    elif isinstance(error, KmodctlError):
        failure, reason = Failure(message=str(error)), error.reason
    else:
        target = str(error.filename or "")
        failure = Failure(errno_value=error.errno or 0, message=error.strerror or "", target=target)
        reason = "FILE_NOT_READ"
    return {**as_json(failure), "reason": reason}
