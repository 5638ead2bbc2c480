# SPDX-License-Identifier: Apache-2.0
"""A hold of this program's, for asyncio: modules that stay loaded while a call is open."""

import asyncio
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from kmodctl.errors import CallError, KmodctlError

if TYPE_CHECKING:
    from kmodd.v1 import module_service_pb2


class AsyncHeldModules:
    """Modules that are held until ``close``, or until the program ends.

    They are held once it is awaited, or entered as a context manager: then ``answer`` is what the
    daemon says of it. ``lost`` is set when the hold ends before it is closed; ``failure`` then
    tells why.
    """

    answer: "module_service_pb2.HoldModulesResponse"

    def __init__(
        self,
        call: Any,
        timeout: float | None,
        translated: Callable[[Any], KmodctlError],
    ) -> None:
        """``call`` has begun; its first answer is waited for up to ``timeout`` seconds."""
        self.lost = asyncio.Event()
        self.failure: KmodctlError | None = None
        self._call = call
        self._timeout = timeout
        self._translated = translated
        self._following: asyncio.Task[None] | None = None

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begun().__await__()

    async def __aenter__(self) -> Self:
        return await self._begun()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the hold."""
        if self._following is not None:
            self._following.cancel()
        self._call.cancel()

    async def _begun(self) -> Self:
        """Wait until the modules are held; raises CallError where they cannot be."""
        if self._following is not None:
            return self
        try:
            async with asyncio.timeout(self._timeout):
                self.answer = await self._call.read()
        except TimeoutError:
            self._call.cancel()
            raise CallError("DEADLINE_EXCEEDED", "the hold took too long to begin") from None
        except grpc.RpcError as error:
            raise self._translated(error) from None
        except asyncio.CancelledError:
            self._call.cancel()
            raise
        self._following = asyncio.create_task(self._follow(), name="kmodctl-hold")
        return self

    async def _follow(self) -> None:
        """Wait for the end of the call; ours is no loss."""
        try:
            while await self._call.read() is not grpc.aio.EOF:
                pass
        except grpc.RpcError as error:
            self.failure = self._translated(error)
            self.lost.set()
