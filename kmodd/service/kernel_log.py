# SPDX-License-Identifier: Apache-2.0
"""KernelLogService: read and follow the kernel's log."""

import threading
from collections.abc import Iterator

import grpc

from kmodd.errors import Reason, StateError
from kmodd.kernel.base import Kernel, LogRecord
from kmodd.records import replace
from kmodd.service.admission import Admission
from kmodd.service.convert import log_message
from kmodd.service.view import View
from kmodd.v1 import kernel_log_service_pb2 as pb
from kmodd.v1 import kernel_log_service_pb2_grpc

BATCH = 256
"""Records in one message: at most 256 KiB of text, well below grpc's limit of 4 MiB."""

WAKE = 0.5
"""Seconds after which a follower looks whether its client is still there."""


class KernelLogService(kernel_log_service_pb2_grpc.KernelLogServiceServicer):
    """Translates between the API and a kernel's log. ``stopping`` ends every follower."""

    def __init__(self, kernel: Kernel, admission: Admission, stopping: threading.Event) -> None:
        self._kernel = kernel
        self._admission = admission
        self._stopping = stopping

    def ReadLog(  # noqa: N802  # the API's name
        self, request: pb.ReadLogRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ReadLogResponse]:
        """Send what there is, then what comes."""
        after = request.after_sequence if request.HasField("after_sequence") else -1
        records = self._kernel.read_log(after)
        while True:
            for start in range(0, len(records), BATCH):
                batch = records[start : start + BATCH]
                view = self._admission.view()
                yield pb.ReadLogResponse(records=[_message(record, view) for record in batch])
            after = records[-1].sequence if records else after
            if not request.follow or not context.is_active():
                return
            if self._stopping.is_set():
                raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
            records = self._kernel.wait_log(after, WAKE)


def _message(record: LogRecord, view: View) -> pb.LogRecord:
    return log_message(replace(record, text=view.shown_line(record.text)))
