# SPDX-License-Identifier: Apache-2.0
"""Looks after a rollout: follows it in etcd, and writes what it is to be next.

Any number of processes may do so, for as long as they like: each change is written where nobody
else has written meanwhile, and none of them knows anything that is not in etcd.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from kmodctl.fleet.encoding import (
    UnreadableError,
    decode_desired,
    decode_place,
    decode_rollout,
    decode_status,
    encode_desired,
    encode_rollout,
)
from kmodctl.fleet.model import Desired, Keys, NodeStatus, Rollout, RolloutPlace, RolloutState
from kmodctl.fleet.pausing import Pause
from kmodctl.fleet.rollout import RolloutView, next_step, view_of
from kmodctl.fleet.store import Changed, CompactedError, KeyChange, Put, Store, StoreError

GATHER = 0.1
"""Seconds in which what nodes say is gathered before the rollout is looked at anew."""


class NoRolloutError(UnreadableError):
    """There is no rollout of that name."""

    reason = "NO_ROLLOUT"


class Conductor:
    """The rollout ``name``, from what is in etcd; belongs to a loop."""

    def __init__(self, store: Store, keys: Keys, name: str) -> None:
        self._store = store
        self._keys = keys
        self._name = name
        self._changed: dict[str, int] = {}
        self._there: dict[str, bool] = {}
        self._nodes: dict[str, NodeStatus] = {}
        self._places: dict[str, RolloutPlace] = {}
        self._desired: Desired | None = None
        self._rollout: Rollout | None = None
        self._revision = 0
        self._news = asyncio.Event()

    async def views(
        self, *, drives: bool, lost: Callable[[str], None] = lambda _: None
    ) -> AsyncGenerator[RolloutView, None]:
        """Yield how the rollout fares whenever that has changed, until it is over.

        With ``drives`` it is had go on. While etcd does not answer it is waited for, and ``lost``
        is told why. Raises UnreadableError where there is no rollout that can be read.
        """
        pause = Pause(0.5, 10.0)
        before: RolloutView | None = None
        while True:
            watching: asyncio.Task[None] | None = None
            try:
                await self._list()
                watching = asyncio.ensure_future(self._watch())
                while True:
                    view = self._view()
                    if drives and (further := next_step(view)) is not None:
                        await self._write(further)
                        await self._list_own()
                        continue
                    if view != before:
                        yield view
                        before = view
                    if view.is_over:
                        return
                    pause.reset()
                    await self._wait(watching)
            except CompactedError:
                continue
            except StoreError as error:
                lost(str(error))
                await pause.sleep()
            finally:
                if watching is not None:
                    watching.cancel()

    async def _wait(self, watching: "asyncio.Task[None]") -> None:
        """Wait for news; raises what has ended the watch."""
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({news, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        if watching.done():
            watching.result()
        await asyncio.sleep(GATHER)
        self._news.clear()

    def _view(self) -> RolloutView:
        if self._rollout is None:
            raise NoRolloutError(f"there is no rollout of {self._name}")
        return view_of(self._rollout, self._desired, self._nodes.values(), self._places.values())

    @property
    def _own(self) -> tuple[str, str]:
        return self._keys.desired(self._name), self._keys.rollout(self._name)

    async def _list(self) -> None:
        """Learn all that there is."""
        prefixes = (self._keys.all_nodes, self._keys.places(self._name), *self._own)
        listing = await self._store.list(*prefixes)
        self._nodes, self._places, self._changed, self._there = {}, {}, {}, {}
        self._desired = self._rollout = None
        self._revision = listing.revision
        for entry in listing.entries:
            self._take(KeyChange(entry.key, entry, entry.changed))

    async def _list_own(self) -> None:
        """Learn what the rollout is now."""
        listing = await self._store.list(*self._own)
        found = {entry.key: entry for entry in listing.entries}
        for key in self._own:
            entry = found.get(key)
            self._take(KeyChange(key, entry, entry.changed if entry else listing.revision))

    async def _watch(self) -> None:
        prefixes = (self._keys.all_nodes, self._keys.places(self._name), *self._own)
        async for changes in self._store.watch(prefixes, self._revision):
            for change in changes:
                self._take(change)
            self._news.set()
        raise StoreError("the watch has ended")

    def _take(self, change: KeyChange) -> None:
        """Take a change, unless what is known is newer; raises UnreadableError for the rollout.

        A node that cannot be read says nothing, and a place is taken all the same.
        """
        key, entry = change.key, change.entry
        if self._changed.get(key, 0) > change.revision:
            return
        self._changed[key] = change.revision
        self._there[key] = entry is not None
        desired, rollout = self._own
        if key == desired:
            self._desired = decode_desired(entry) if entry else None
        elif key == rollout:
            self._rollout = decode_rollout(entry) if entry else None
        elif key.startswith(self._keys.all_nodes):
            self._nodes.pop(key, None)
            with suppress(UnreadableError):
                self._nodes |= {key: decode_status(entry)} if entry else {}
        elif key.startswith(self._keys.places(self._name)):
            self._places.pop(key, None)
            with suppress(UnreadableError):
                self._places |= {key: decode_place(entry)} if entry else {}

    async def _write(self, rollout: Rollout) -> None:
        """Have the rollout be that, unless somebody has changed it, or what it is to replace.

        Where it is done, what was rolled out is what all are to have, of the revision that those
        have who have it already.
        """
        desired, own = self._own
        compares = [
            Changed(key, self._changed[key] if self._there.get(key) else 0)
            for key in (desired, own)
        ]
        puts = [Put(own, encode_rollout(rollout))]
        if rollout.state is RolloutState.DONE:
            puts.append(Put(desired, encode_desired(rollout.candidate)))
        await self._store.transact(compares, puts)
