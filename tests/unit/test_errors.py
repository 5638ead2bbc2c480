# SPDX-License-Identifier: Apache-2.0
"""The one table of failures."""

import grpc
import pytest

from kmodd.errors import VERDICTS, KmoddError, ModuleFileError, Reason
from kmodd.v1 import errors_pb2


def test_the_reasons_are_those_of_the_api() -> None:
    api = {
        name.removeprefix("ERROR_REASON_"): number
        for name, number in errors_pb2.ErrorReason.items()
        if number
    }
    assert {reason.name: reason.value for reason in Reason} == api


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_an_errno_and_a_status(reason: Reason) -> None:
    verdict = VERDICTS[reason]
    assert verdict.errno > 0
    assert grpc.StatusCode[verdict.status] is not grpc.StatusCode.OK


def test_a_copy_says_the_same_without_the_traceback() -> None:
    try:
        raise ModuleFileError("/x.ko", "cut short")
    except ModuleFileError as error:
        original = error
    twin = original.copy()
    assert isinstance(twin, ModuleFileError)
    assert twin.__traceback__ is None
    assert (twin.message, twin.path, twin.why, twin.errno, twin.reason) == (
        original.message,
        original.path,
        original.why,
        original.errno,
        original.reason,
    )


def test_the_kernels_errno_goes_before_the_reasons() -> None:
    assert KmoddError(Reason.KERNEL_REFUSED, "no", errno=5).errno == 5
    assert KmoddError(Reason.MODULE_IN_USE, "no").strerror == "Resource temporarily unavailable"
