# SPDX-License-Identifier: Apache-2.0
"""A node's entry in etcd: taken once, kept by a lease, and written when it has changed."""

import asyncio
import random
import time
from collections.abc import Callable

from kmodctl.errors import KmodctlError
from kmodctl.fleet.contact import Contact
from kmodctl.fleet.encoding import UnreadableError, decode_status, encode_status
from kmodctl.fleet.model import Keys, NodeStatus
from kmodctl.fleet.pausing import AgentTiming
from kmodctl.fleet.store import Changed, LeaseGoneError, Put, Store, StoreError


class TakenError(KmodctlError):
    """Another machine, or another life of this one, has the node's name."""

    reason = "NODE_TAKEN"


class Registration:
    """Keeps nodes/ID, from what ``say`` is told last; belongs to a loop.

    ``taken`` is why this node may not have its name; empty while it may.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        contact: Contact,
        changed: Callable[[], None],
        timing: AgentTiming,
    ) -> None:
        """``changed`` is called where ``taken`` becomes another."""
        self._store = store
        self._keys = keys
        self._contact = contact
        self._changed = changed
        self._timing = timing
        self._status: NodeStatus | None = None
        self._news = asyncio.Event()
        self._lease = 0
        self._revision = 0
        self._due = 0.0
        self._written = b""
        self._was_there = False
        self.taken = ""
        self.is_tried = False

    def say(self, status: NodeStatus) -> None:
        """Have etcd say this of the node, soon."""
        if status != self._status:
            self._status = status
            self._news.set()

    async def run(self) -> None:
        """Keep the entry until it is cancelled."""
        pause = self._timing.pause()
        while True:
            try:
                await self._keep()
            except StoreError as error:
                self._contact.lost("entry", str(error))
                self._settle("")
                if isinstance(error, LeaseGoneError):
                    self._lease = 0
                await pause.sleep()
                continue
            except TakenError as error:
                self._settle(str(error))
                self._lease = 0
                self._set_due()
                await self._rest()
                continue
            self._contact.found("entry")
            self._settle("")
            pause.reset()
            await self._rest()

    async def leave(self) -> None:
        """Take the entry away; errors are dropped, as the lease runs out anyway."""
        if self._lease:
            lease, self._lease = self._lease, 0
            try:
                async with asyncio.timeout(2):
                    await self._store.revoke(lease)
            except (StoreError, TimeoutError):
                return

    async def _rest(self) -> None:
        """Wait until the lease is to be kept alive, or there is something to be written."""
        try:
            async with asyncio.timeout(max(self._due - time.monotonic(), 0)):
                await self._news.wait()
                await asyncio.sleep(random.uniform(0, self._timing.jitter))
        except TimeoutError:
            return

    def _settle(self, taken: str) -> None:
        is_news = taken != self.taken or not self.is_tried
        self.taken, self.is_tried = taken, True
        if is_news:
            self._changed()

    async def _keep(self) -> None:
        """Have the entry, and have it say what is so, or live on."""
        while self._status is None:
            await self._news.wait()
        self._news.clear()
        status = self._status
        value = encode_status(status)
        if not self._lease:
            await self._register(status, value)
            return
        if self._due <= time.monotonic():  # what is written does not have the lease live on
            await self._store.keep_alive(self._lease)
            self._set_due()
        if value != self._written:
            await self._write(status, value)

    def _set_due(self) -> None:
        """Note when the lease is to be kept alive next, or the name to be asked for again."""
        self._due = time.monotonic() + self._timing.lease / 3 * random.uniform(0.9, 1.1)

    async def _register(self, status: NodeStatus, value: bytes) -> None:
        lease = await self._store.grant(self._timing.lease)
        try:
            await self._claim(status, value, lease)
        except BaseException:
            await self._give_up(lease)
            raise
        self._lease = lease
        self._set_due()

    async def _give_up(self, lease: int) -> None:
        try:
            await self._store.revoke(lease)
        except StoreError:
            return

    async def _claim(self, status: NodeStatus, value: bytes, lease: int) -> None:
        """Make the entry, or take over that of an earlier process; raises TakenError."""
        key = self._keys.node(status.node)
        before = 0
        for _ in range(3):
            done = await self._store.transact([Changed(key, before)], [Put(key, value, lease)])
            if done.succeeded:
                self._revision, self._written = done.revision, value
                self._was_there = True
                return
            entry = await self._store.get(key)
            before = 0 if entry is None else entry.changed
            if entry is not None:
                try:
                    other = decode_status(entry)
                except UnreadableError:
                    continue
                if self._was_there and other.agent != status.agent:
                    raise TakenError(f"the node {status.node} is taken by another agent")
                if other.boot != status.boot:
                    raise TakenError(
                        f"the node {status.node} is taken by the boot {other.boot or '?'}, and "
                        f"this one is {status.boot}: each node needs a name of its own; that of a "
                        "boot that has ended is free once its lease has run out"
                    )
        raise StoreError(f"{key}: others write it all the time")

    async def _write(self, status: NodeStatus, value: bytes) -> None:
        key = self._keys.node(status.node)
        put = Put(key, value, self._lease)
        done = await self._store.transact([Changed(key, self._revision)], [put])
        if done.succeeded:
            self._revision, self._written = done.revision, value
            return
        entry = await self._store.get(key)
        if entry is None:
            raise LeaseGoneError(f"{key} is gone")
        if entry.lease == self._lease:  # the answer to the last write was lost
            self._revision, self._written = entry.changed, b""
            raise StoreError(f"{key} was written, and no answer came")
        raise TakenError(f"the node {status.node} is taken by another agent")
