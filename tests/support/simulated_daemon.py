# SPDX-License-Identifier: Apache-2.0
"""A node's daemon for an agent that is one of very many: it has no kernel, and no process."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

from kmodctl.fleet.model import NodeFacts
from kmodctl.fleet.node_daemon import LocalDaemon, LocalState, ModuleFare
from kmodd.desired.document import read_document

LOAD = 0.2
"""Seconds that what is wished takes at most."""


class SimulatedDaemon:
    """A ``NodeDaemon`` that takes over what it is given, after a moment, and has it done.

    A module among ``missing`` is none that it has. ``applied`` are the revisions that it was given.
    """

    def __init__(self, rack: str, missing: Collection[str] = ()) -> None:
        facts = NodeFacts(release="6.1.0-56-amd64", architecture="x86_64", labels={"rack": rack})
        self._local = LocalDaemon(
            boot=uuid.uuid4().hex, version="simulated", facts=facts, source="fleet"
        )
        self._missing = missing
        self.applied: list[int] = []
        self._state = LocalState()
        self._changed = asyncio.Event()

    async def look(self) -> LocalDaemon:
        """Return what the daemon is."""
        return self._local

    async def watch(self) -> AsyncIterator[LocalState]:
        """Yield how all wishes fare, at each change."""
        while True:
            self._changed.clear()
            yield self._state
            await self._changed.wait()

    async def apply(self, source: str, document: str, revision: int) -> LocalState:
        """Take wishes over."""
        await asyncio.sleep(random.uniform(0, LOAD))
        modules = {
            name: fare for name, fare in self._state.modules.items() if fare.source != source
        }
        for wish in read_document(document, source).wishes:
            standing = "impossible" if wish.name in self._missing else "done"
            modules[wish.name] = ModuleFare(module=wish.name, source=source, standing=standing)
        revisions = {name: at for name, at in self._state.revisions.items() if name != source}
        if revision:
            revisions[source] = revision
        self.applied.append(revision)
        self._state = replace(self._state, modules=modules, revisions=revisions)
        self._changed.set()
        return self._state

    async def would_matter(self, source: str, document: str) -> bool:
        """Tell that something would be done."""
        return bool(source and document)
