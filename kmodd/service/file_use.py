# SPDX-License-Identifier: Apache-2.0
"""EmulationService's UseFile: a call that is an open file of the emulated kernel."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import grpc

from kmodd.errors import KernelError, Reason, RequestError
from kmodd.kernel.base import OpenFile
from kmodd.service.failures import failure_message
from kmodd.v1 import emulation_service_pb2 as pb

SIZE_MAX = 64 << 10
"""Bytes that are read or written at once."""

BUFFER_MAX = 16 << 10
"""Bytes of the longest buffer of a control, somewhat more than a number can say (_IOC_SIZE)."""

Opened = Callable[[str, int], AbstractContextManager[OpenFile]]
"""Has a file open, by its path and the flags of open(2), for as long as the context is."""

_ORIGINS = {
    pb.FILE_ORIGIN_UNSPECIFIED: os.SEEK_SET,
    pb.FILE_ORIGIN_START: os.SEEK_SET,
    pb.FILE_ORIGIN_CURRENT: os.SEEK_CUR,
    pb.FILE_ORIGIN_END: os.SEEK_END,
}


def use_file(
    requests: Iterator[pb.UseFileRequest], context: grpc.ServicerContext, opened: Opened
) -> Iterator[pb.UseFileResponse]:
    """Open the file that the first request is of, and do what the others say.

    Raises KernelError where it cannot be opened, and where its code crashes, and RequestError.
    """
    first = next(requests, None)
    if first is None or first.WhichOneof("action") != "open":
        raise RequestError(Reason.INVALID_REQUEST, "the first request does not open a file")
    with opened(first.open.path, _flags(first.open)) as file:
        if not context.add_callback(lambda: _interrupt(file)):
            return
        yield pb.UseFileResponse(opened=pb.FileOpened())
        for request in requests:
            try:
                yield from _done(file, request)
            except KernelError as error:
                if error.reason is not Reason.KERNEL_REFUSED:
                    raise
                yield pb.UseFileResponse(failure=failure_message(error))


def _interrupt(file: OpenFile) -> None:
    """End what is under way for a client that has gone; not in the thread that tells of it."""
    threading.Thread(target=file.interrupt, name="kmodd-interrupt", daemon=True).start()


def _flags(opening: pb.FileOpening) -> int:
    if not (opening.reads or opening.writes):
        raise RequestError(Reason.INVALID_REQUEST, "a file is opened to be read or to be written")
    both = opening.reads and opening.writes
    access = os.O_RDWR if both else os.O_WRONLY if opening.writes else os.O_RDONLY
    return access | (os.O_NONBLOCK if opening.nonblocking else 0)


def _done(file: OpenFile, request: pb.UseFileRequest) -> Iterator[pb.UseFileResponse]:
    """Do one thing, and yield what became of it."""
    match request.WhichOneof("action"):
        case "read":
            yield from _read(file, request.read)
        case "write":
            written = _write(file, request.write)
            yield pb.UseFileResponse(written=pb.FileWritten(size=written))
        case "seek":
            position = file.seek(request.seek.offset, _ORIGINS.get(request.seek.origin, -1))
            yield pb.UseFileResponse(position=pb.FilePosition(position=position))
        case "control":
            yield pb.UseFileResponse(controlled=_controlled(file, request.control))
        case "poll":
            events = file.poll(request.poll.events, request.poll.milliseconds)
            yield pb.UseFileResponse(ready=pb.FileReadiness(events=events))
        case "open":
            raise RequestError(Reason.INVALID_REQUEST, "a call opens one file only")
        case _:
            raise RequestError(Reason.INVALID_REQUEST, "a request that does nothing")


def _read(file: OpenFile, reading: pb.FileReading) -> Iterator[pb.UseFileResponse]:
    size = min(reading.size or SIZE_MAX, SIZE_MAX)
    while True:
        found = file.read(size)
        more = found.returned if found.returned > len(found.data) else 0
        yield pb.UseFileResponse(data=pb.FileData(data=found.data, returned=more))
        if not reading.to_end or not found.data:
            return


def _write(file: OpenFile, writing: pb.FileWriting) -> int:
    data = _bounded(writing.data, SIZE_MAX)
    written = file.write(data)
    while writing.all and written < len(data):
        count = file.write(data[written:])
        if not count:
            why = "a write takes nothing, and does not say why"
            raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EIO)
        written += count
    return written


def _controlled(file: OpenFile, control: pb.FileControl) -> pb.FileControlled:
    has_buffer = control.WhichOneof("argument") == "buffer"
    argument = _bounded(control.buffer, BUFFER_MAX) if has_buffer else control.value
    result, buffer = file.control(control.number, argument)
    return pb.FileControlled(result=result, buffer=buffer)


def _bounded(data: bytes, most: int) -> bytes:
    if len(data) > most:
        why = f"{len(data)} bytes, where {most} are the most"
        raise RequestError(Reason.INVALID_REQUEST, why)
    return data
