# SPDX-License-Identifier: Apache-2.0
"""Failures as messages carry them: what they say, and those of whole calls as exceptions."""

from kmodctl.errors import CallError, cause
from kmodd.messages.codec import DecodeError
from kmodd.messages.errors import ERROR_REASON, FailureDetail
from kmodd.messages.well_known import ErrorInfo, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
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


def reason_named(name: str) -> int | None:
    """Return the reason of a name without the prefix; None where there is none."""
    wanted = _PREFIX + name
    return next((number for number, each in ERROR_REASON.items() if each == wanted), None)


def cause_of(failure: "Failure") -> str:
    """Return why, as CallError.cause does."""
    return cause(reason_of(failure), failure.errno_value, failure.message)
