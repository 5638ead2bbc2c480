# SPDX-License-Identifier: Apache-2.0
"""A node's entry and its lease, with a store that counts what is asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import count

from kmodctl.fleet.contact import Contact
from kmodctl.fleet.model import Keys, NodeStatus
from kmodctl.fleet.pausing import AgentTiming
from kmodctl.fleet.registration import Registration
from kmodctl.fleet.store import (
    Changed,
    Delete,
    KeyChange,
    Listing,
    Put,
    StoredEntry,
    Transacted,
)
from tests.support.daemon import START

STATUS = NodeStatus(node="one", boot="boot", agent="agent")


class CountingStore:
    """A ``Store`` with no more than a revision, in which each transaction is made."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._revision = 1

    async def get(self, key: str) -> StoredEntry | None:
        raise AssertionError(key)

    async def list(self, *prefixes: str) -> Listing:
        raise AssertionError(prefixes)

    async def transact(
        self, compares: Sequence[Changed], operations: Sequence[Put | Delete]
    ) -> Transacted:
        assert len(compares) == len(operations) == 1
        self.calls["transact"] += 1
        self._revision += 1
        return Transacted(True, self._revision)

    def watch(self, prefixes: Sequence[str], after: int) -> AsyncIterator[tuple[KeyChange, ...]]:
        raise AssertionError((prefixes, after))

    async def grant(self, seconds: int) -> int:
        self.calls["grant"] += 1
        return seconds

    async def keep_alive(self, lease: int) -> None:
        assert lease
        self.calls["keep_alive"] += 1

    async def revoke(self, lease: int) -> None:
        assert lease
        self.calls["revoke"] += 1

    async def close(self) -> None:
        return


def test_an_entry_that_is_written_all_the_time_lives_on() -> None:
    store = CountingStore()
    timing = AgentTiming(lease=1, jitter=0.0)
    entry = Registration(store, Keys(), Contact(lambda: None), lambda: None, timing)

    async def script() -> None:
        running = asyncio.ensure_future(entry.run())
        for version in count():
            entry.say(replace(STATUS, version=str(version)))
            await asyncio.sleep(0.01)
            if store.calls["keep_alive"] == 2:
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(script(), START))
    assert store.calls["grant"] == 1
    assert store.calls["transact"] > 2


def test_what_is_said_again_is_not_written_again() -> None:
    store = CountingStore()
    timing = AgentTiming(lease=1, jitter=0.0)
    entry = Registration(store, Keys(), Contact(lambda: None), lambda: None, timing)

    async def script() -> None:
        running = asyncio.ensure_future(entry.run())
        while store.calls["keep_alive"] < 1:
            entry.say(replace(STATUS))
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await entry.leave()

    asyncio.run(asyncio.wait_for(script(), START))
    assert store.calls == Counter(grant=1, transact=1, keep_alive=1, revoke=1)
