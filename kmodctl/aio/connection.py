# SPDX-License-Identifier: Apache-2.0
"""A connection to a daemon for asyncio, and calls of methods on it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from kmodctl.connection import CHUNK, OPTIONS, Endpoint
from kmodctl.method import Method, Request, Response, Stream, Unary, Upload


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
        make: Callable[..., Request] = method.request
        with open(path, "rb") as file:

            async def requests() -> AsyncIterator[Request]:
                yield make(header=header)
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    yield make(chunk=chunk)

            return await self._answer(method, requests())

    async def _stream(
        self, method: Stream[Request, Response], request: Request
    ) -> AsyncIterator[Response]:
        call = self._begin(method, request, self._timeout)
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
