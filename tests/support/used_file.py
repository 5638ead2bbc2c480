# SPDX-License-Identifier: Apache-2.0
"""A file of the emulated kernel that a test has open, an action at a time."""

from collections.abc import Generator, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from kmodctl import Client
from kmodctl.failures import succeeded
from kmodd.v1 import emulation_service_pb2 as pb


class UsedFile:
    """An open file; it is closed at the end of the context."""

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        reads: bool = True,
        writes: bool = False,
        nonblocking: bool = False,
    ) -> None:
        """Open it for reading, and for writing where it is so said; the next action tells how."""
        self._actions: SimpleQueue[pb.UseFileRequest | None] = SimpleQueue()
        self._answers: Generator[pb.UseFileResponse, None, None]
        self._answers = client.use_file(  # type: ignore[assignment]  # a generator's
            path, self._asked(), reads=reads, writes=writes, nonblocking=nonblocking
        )

    def _asked(self) -> Iterator[pb.UseFileRequest]:
        while (action := self._actions.get()) is not None:
            yield action

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._answers.close()

    def close(self) -> None:
        """Close it, once all is done that was asked for."""
        self._actions.put(None)
        for _ in self._answers:
            pass

    def _done(self, **action: Any) -> pb.UseFileResponse:
        self._actions.put(pb.UseFileRequest(**action))
        answer: pb.UseFileResponse = succeeded(next(self._answers))
        return answer

    def read(self, size: int = 0) -> pb.FileData:
        """Read once; raises CallError."""
        return self._done(read=pb.FileReading(size=size)).data

    def write(self, data: bytes, *, whole: bool = False) -> int:
        """Write, and return how many bytes were taken; raises CallError."""
        return self._done(write=pb.FileWriting(data=data, all=whole)).written.size

    def seek(self, offset: int, origin: "pb.FileOrigin" = pb.FILE_ORIGIN_START) -> int:
        """Go elsewhere; raises CallError."""
        return self._done(seek=pb.FileSeeking(offset=offset, origin=origin)).position.position

    def control(self, number: int, argument: int | bytes = 0) -> tuple[int, bytes]:
        """Do what a number stands for; raises CallError."""
        given: dict[str, Any] = {"value" if isinstance(argument, int) else "buffer": argument}
        done = self._done(control=pb.FileControl(number=number, **given)).controlled
        return done.result, done.buffer

    def poll(self, events: int, milliseconds: int = 0) -> int:
        """Return which events have come; raises CallError."""
        asked = pb.FilePolling(events=events, milliseconds=milliseconds)
        return self._done(poll=asked).ready.events
