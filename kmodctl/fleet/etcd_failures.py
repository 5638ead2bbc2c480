# SPDX-License-Identifier: Apache-2.0
"""What etcd's failed calls say, as errors that name the member which was asked."""

import grpc
import grpc.aio

from kmodctl.fleet.store import CompactedError, LeaseGoneError, StoreError

LONGEST = 200
"""Characters of a member's own words that are shown."""

_LASTING = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
"""What another member would answer, too."""

_NEVER_BEGUN = ("etcdserver: no leader", "etcdserver: too many requests")
"""What a member says that has passed nothing on."""

_FULL = "etcdserver: mvcc: database space exceeded"


class StoreRefusedError(StoreError):
    """etcd does not do what is asked, whichever member is asked."""

    reason = "STORE_REFUSED"


class TooLargeError(StoreError):
    """An answer is larger than what is taken."""

    reason = "STORE_TOO_LARGE"


def failure(endpoint: str, error: grpc.aio.AioRpcError, seconds: float) -> StoreError:
    """Return what a failed call of a member comes to; it had so many ``seconds``."""
    code, details = error.code(), (error.details() or "")[:LONGEST]
    said = f"{endpoint}: {details or code.name}"
    if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in details:
        return CompactedError(0)
    if code is grpc.StatusCode.NOT_FOUND and "lease" in details:
        return LeaseGoneError(said)
    is_size = code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details
    if is_size and "CLIENT:" in details:
        return TooLargeError(f"{endpoint}: an answer is larger than what is taken")
    if is_size or code in _LASTING or details == _FULL:
        return StoreRefusedError(said)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return StoreError(f"{endpoint}: no answer within {seconds:g} s")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return StoreError(f"{endpoint}: it is no etcd: {details or code.name}")
    return StoreError(said)


def has_begun(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether a member may have done what it was asked in a call that failed."""
    return error.details() not in _NEVER_BEGUN
