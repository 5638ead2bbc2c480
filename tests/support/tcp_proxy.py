# SPDX-License-Identifier: Apache-2.0
"""A proxy on loopback that carries connections, lets them hang, or cuts them."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_PIECE = 65536


class TcpProxy:
    """Carries connections from ``port`` on loopback to another one; runs in a thread of its own.

    All state is the loop's.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-proxy")
        self._flows = asyncio.Event()
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._carriers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Carry from now on."""
        self._thread.start()
        self._do(self._start())

    def hang(self) -> None:
        """Carry nothing more, and accept connections that nobody answers on."""
        self._do(self._set(flows=False, is_cut=False))

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._do(self._set(flows=True, is_cut=True))

    def mend(self) -> None:
        """Carry again, what has hung included."""
        self._do(self._set(flows=True, is_cut=False))

    def end(self) -> None:
        """End all connections and the thread."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _start(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set(self, *, flows: bool, is_cut: bool) -> None:
        self._is_cut = is_cut
        if flows:
            self._flows.set()
        else:
            self._flows.clear()
        if is_cut:
            for end in self._ends:
                end.transport.abort()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self._ends.add(writer)
        await self._flows.wait()
        with suppress(OSError):
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._to)
            self._ends.add(onward)
            for one, other in ((reader, onward), (onward_reader, writer)):
                carrier = asyncio.ensure_future(self._carry(one, other))
                self._carriers.add(carrier)
                carrier.add_done_callback(self._carriers.discard)
            return
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()
        self._ends.discard(writer)


@contextmanager
def tcp_proxy(to: int) -> Iterator[TcpProxy]:
    """Have a proxy to a port of loopback while the block runs."""
    proxy = TcpProxy(to)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()
