# SPDX-License-Identifier: Apache-2.0
"""A connection to a daemon for asyncio, and calls of methods on it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import nullcontext
from types import TracebackType
from typing import Any, BinaryIO, Self

import grpc
import grpc.aio

from kmodctl.connection import CHUNK, OPTIONS, Endpoint
from kmodctl.method import Exchange, Method, Request, Response, Unary, Upload


class AsyncConnection(Endpoint):
    """A channel to a daemon's socket, of the loop in which it is made; a context manager.

    Whose call is cancelled only ends his waiting: the daemon finishes what it began.
    """

    def _open(self, target: str) -> Any:
        return grpc.aio.insecure_channel(target, options=OPTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, and the calls that are under way."""
        await self._channel.close()

    async def _call(self, method: Unary[Request, Response], request: Request) -> Response:
        return await self._answer(method, request)

    async def _upload(
        self, method: Upload[Request, Response], header: object, path: str | os.PathLike[str]
    ) -> Response:
        """Send the file ``path``: a request with the header, then one for each chunk."""
        with open(path, "rb") as file:
            return await self._answer(method, _requests(method.request, header, file))

    async def _exchange(
        self, method: Exchange[Request, Response], header: object, path: str
    ) -> AsyncIterator[Response]:
        """Send what ``_upload`` does, the header alone without a ``path``; yield the responses."""
        with open(path, "rb") if path else nullcontext() as file:
            async for response in self._stream(method, _requests(method.request, header, file)):
                yield response

    async def _converse(
        self, method: Exchange[Request, Response], requests: Iterable[Request]
    ) -> AsyncIterator[Response]:
        """Send requests, and yield the responses."""
        async for response in self._stream(method, iter(requests)):
            yield response

    async def _stream(
        self, method: Method[Request, Response], given: object
    ) -> AsyncIterator[Response]:
        call = self._begin(method, given, self._timeout)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise self._translated(error) from None
        finally:
            call.cancel()

    async def _answer(self, method: Method[Request, Response], given: object) -> Response:
        """Make a call that has one response, and return that."""
        try:
            response: Response = await self._begin(method, given, self._timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from None
        return response


async def _requests(
    make: Callable[..., Request], header: object, file: BinaryIO | None
) -> AsyncIterator[Request]:
    """Yield the request with the header, then one for each chunk of the file, if there is one."""
    yield make(header=header)
    while file is not None and (chunk := await asyncio.to_thread(file.read, CHUNK)):
        yield make(chunk=chunk)
