# SPDX-License-Identifier: Apache-2.0
"""The places of rollouts, as one node takes them and gives them back.

A rollout has so many places; each is a key that who has the place made. So no more nodes are on
their way, or not as wished, at a time. A place is kept by a lease that outlives a node which has
fallen: one that its new module has killed keeps others from following it, until somebody looks, or
the lease has run out.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass

from kmodctl.fleet.encoding import MAX_WHY, UnreadableError, decode_place, encode_place
from kmodctl.fleet.model import Keys, Rollout, RolloutPlace
from kmodctl.fleet.store import Changed, Delete, LeaseGoneError, Put, Store, StoredEntry


@dataclass(frozen=True, slots=True)
class _Held:
    """A place that this node has: its key, the revision of its last change, and who is told."""

    key: str
    changed: int
    lease: int
    place: RolloutPlace


class NodePlaces:
    """The places of ``node``, by the names of their rollouts. For one task."""

    def __init__(self, store: Store, keys: Keys, node: str, seconds: int) -> None:
        """``seconds`` is how long a place is kept after the last ``keep_alive``."""
        self._store = store
        self._keys = keys
        self._node = node
        self._seconds = seconds
        self._lease = 0
        self._held: dict[str, _Held] = {}

    @property
    def names(self) -> frozenset[str]:
        """The rollouts in which there is a place of this node."""
        return frozenset(self._held)

    async def recall(self, names: Collection[str]) -> None:
        """Take over what an earlier life of the agent has left. Raises StoreError."""
        for name in names:
            for entry in (await self._store.list(self._keys.places(name))).entries:
                place = _place_of(entry)
                if place is not None and place.node == self._node:
                    self._held[name] = _Held(entry.key, entry.changed, entry.lease, place)
                    self._lease = self._lease or entry.lease

    async def take(self, rollout: Rollout) -> str:
        """Take a place, unless there is one; return "", or why there is none. Raises StoreError."""
        name = rollout.name
        if name in self._held:
            await self.mark(name, rollout.candidate.revision)
            return ""
        entries = (await self._store.list(self._keys.places(name))).entries
        taken = {entry.key: _place_of(entry) for entry in entries}
        for entry in entries:
            place = taken[entry.key]
            if place is not None and place.node == self._node:  # an answer was lost
                self._held[name] = _Held(entry.key, entry.changed, entry.lease, place)
                return ""
        failed = sum(place.failed for place in taken.values() if place is not None)
        if failed > rollout.max_failures:
            return f"of the nodes that have gone before it {failed} fail"
        free = [
            key
            for number in range(rollout.places)
            if (key := self._keys.place(name, number)) not in taken
        ]
        if len(taken) >= rollout.places or not free:
            return f"it waits for one of {rollout.places} places"
        place = RolloutPlace(node=self._node, revision=rollout.candidate.revision)
        return await self._put(name, random.choice(free), place)

    async def _put(self, name: str, key: str, place: RolloutPlace) -> str:
        if not self._lease:
            self._lease = await self._store.grant(self._seconds)
        put = Put(key, encode_place(place), self._lease)
        try:
            done = await self._store.transact([Changed(key, 0)], [put])
        except LeaseGoneError:
            self._lease = 0
            raise
        if not done.succeeded:
            return "another node has taken the place meanwhile"
        self._held[name] = _Held(key, done.revision, self._lease, place)
        return ""

    async def mark(self, name: str, revision: int, why: str = "") -> None:
        """Say in the place why this node has failed, "" while it has not. Raises StoreError."""
        held = self._held.get(name)
        place = RolloutPlace(node=self._node, revision=revision, why=why[:MAX_WHY])
        if held is None or held.place == place:
            return
        put = Put(held.key, encode_place(place), held.lease)
        done = await self._store.transact([Changed(held.key, held.changed)], [put])
        if done.succeeded:
            self._held[name] = _Held(held.key, done.revision, held.lease, place)
        else:
            del self._held[name]

    async def give(self, name: str) -> None:
        """Give a place back, if there is one. Raises StoreError."""
        held = self._held.get(name)
        if held is not None:
            await self._store.transact([Changed(held.key, held.changed)], [Delete(held.key)])
            self._held.pop(name, None)

    async def keep_alive(self) -> None:
        """Have the places stay. Raises StoreError."""
        for lease in {held.lease for held in self._held.values()}:
            try:
                await self._store.keep_alive(lease)
            except LeaseGoneError:
                self._held = {
                    name: held for name, held in self._held.items() if held.lease != lease
                }
                self._lease = 0


def _place_of(entry: StoredEntry) -> RolloutPlace | None:
    """Return who has a place, None where that cannot be read: it is taken all the same."""
    try:
        return decode_place(entry)
    except UnreadableError:
        return None
