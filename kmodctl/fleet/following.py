# SPDX-License-Identifier: Apache-2.0
"""Follows the wishes and rollouts in etcd, over lost connections and compactions."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace

from kmodctl.fleet.contact import Contact
from kmodctl.fleet.kept_wishes import KeptWishes, names_of
from kmodctl.fleet.model import Keys
from kmodctl.fleet.pausing import AgentTiming, Pause
from kmodctl.fleet.store import CompactedError, KeyChange, Listing, Store, StoreError

TASK = "watch"

log = logging.getLogger(__name__)


class FollowedWishes:
    """What etcd has of wishes and rollouts; belongs to a loop.

    ``kept`` is what is known, and ``changed`` is called when that is more. Nothing is asked of etcd
    again that is known: a lost watch goes on where it was, and only where etcd keeps too little for
    that all is listed anew.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        contact: Contact,
        changed: Callable[[], None],
        *,
        kept: KeptWishes,
        timing: AgentTiming,
    ) -> None:
        """``kept`` is where to go on."""
        self._store = store
        self._keys = keys
        self._contact = contact
        self._changed = changed
        self._timing = timing
        self._revision = kept.revision
        self.kept = kept

    async def run(self) -> None:
        """Follow until it is cancelled."""
        pause = self._timing.pause()
        while True:
            try:
                if not self._revision:
                    self._take_all(await self._store.list(*self._prefixes))
                await self._watch(pause)
            except CompactedError as error:
                log.info("all wishes are read anew: %s", error)
                self._revision = 0
                await asyncio.sleep(random.uniform(0, self._timing.jitter))
            except StoreError as error:
                self._contact.lost(TASK, str(error))
                await pause.sleep()

    @property
    def _prefixes(self) -> tuple[str, str]:
        return self._keys.all_desired, self._keys.all_rollouts

    async def _watch(self, pause: Pause) -> None:
        """Take what changes; raises StoreError where that ends."""
        standing = asyncio.get_running_loop().call_later(self._timing.stands, self._found, pause)
        try:
            async for changes in self._store.watch(self._prefixes, self._revision):
                self._found(pause)
                self._take(changes)
        finally:
            standing.cancel()
        raise StoreError("the watch has ended")

    def _found(self, pause: Pause) -> None:
        pause.reset()
        self._contact.found(TASK)

    def _take_all(self, listing: Listing) -> None:
        """Take a listing. What an etcd does not have that has gone back is not taken away."""
        self._contact.found(TASK)
        entries = {entry.key: entry for entry in listing.entries}
        there = names_of(listing.entries)
        orphans = self.kept.orphans
        if listing.revision < self.kept.revision:
            orphans |= names_of(self.kept.entries.values())
            log.warning(
                "etcd is at revision %d and was at %d: it was restored, or is another one; what "
                "it has no more stays in force",
                listing.revision,
                self.kept.revision,
            )
        self._revision = listing.revision
        self._set(KeptWishes(listing.revision, entries, orphans - there))

    def _take(self, changes: tuple[KeyChange, ...]) -> None:
        """Take the changes of one revision."""
        entries = dict(self.kept.entries)
        orphans = self.kept.orphans
        for change in changes:
            known = entries.get(change.key)
            if known is not None and known.changed > change.revision:
                continue
            self._revision = max(self._revision, change.revision)
            if change.entry is not None:
                entries[change.key] = change.entry
            else:
                entries.pop(change.key, None)
            orphans -= {change.key.rpartition("/")[2]}
        self._set(KeptWishes(self._revision, entries, orphans))

    def _set(self, kept: KeptWishes) -> None:
        before, self.kept = self.kept, kept
        if replace(before, revision=0) != replace(kept, revision=0) or not before.revision:
            self._changed()
