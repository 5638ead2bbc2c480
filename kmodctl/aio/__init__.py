# SPDX-License-Identifier: Apache-2.0
"""kmodctl for asyncio: a ``Client`` with the methods of ``kmodctl.Client``, which are awaited.

    import kmodctl.aio

    async def load() -> None:
        async with kmodctl.aio.Client() as client:
            await client.load("ext4")
            async with client.hold("wireguard"):
                async for record in client.read_log(follow=True):
                    print(record.text)

Where that one returns an iterator, this one returns an asynchronous one. The errors are the same.
"""

from kmodctl.aio.client import Client
from kmodctl.aio.holding import AsyncHeldModules

__all__ = ["AsyncHeldModules", "Client"]
