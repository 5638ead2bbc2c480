# SPDX-License-Identifier: Apache-2.0
"""A node's agent: has its daemon wish for what etcd says, and says in etcd how that fares.

    etcd --watch--> FollowedWishes --+                  +--> Registration --> nodes/ID
                                     +--> one worker ---+
    daemon --watch--> LocalState ----+                  +--> daemon: ApplyState
                                                        +--> NodePlaces

What was done is known by the daemon alone, which keeps the revision of each source: so nothing is
done twice, whatever an agent forgets.
"""

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kmodctl.errors import CallError, KmodctlError
from kmodctl.fleet.contact import Contact
from kmodctl.fleet.deciding import KnownWishes, Wanted, known_wishes, wanted_wishes
from kmodctl.fleet.following import FollowedWishes
from kmodctl.fleet.kept_wishes import load_kept, save_kept
from kmodctl.fleet.model import Keys, NodeStatus, WishFate, WishStatus
from kmodctl.fleet.node_daemon import LocalDaemon, LocalState, NodeDaemon, nowhere
from kmodctl.fleet.pausing import AgentTiming
from kmodctl.fleet.places import NodePlaces
from kmodctl.fleet.registration import Registration
from kmodctl.fleet.store import Store, StoreError
from kmodctl.fleet.telling import status_of

_REFUSALS = ("ACCESS_DENIED", "INVALID_REQUEST")
"""Reasons for which a daemon takes no wishes over however often it is asked."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refused:
    """What was not taken over of the wishes at ``revision``, and when that is tried again."""

    revision: int
    why: str
    until: float


class Agent:
    """The agent of ``node``; belongs to a loop. ``told`` is called when ``standing`` has changed.

    One task works: it takes what is known of etcd and of the daemon, and does what differs.
    """

    def __init__(
        self,
        node: str,
        store: Store,
        daemon: NodeDaemon,
        *,
        keys: Keys | None = None,
        directory: Path | None = None,
        timing: AgentTiming | None = None,
        told: Callable[["Agent"], None] = lambda _: None,
    ) -> None:
        """``directory`` keeps what is known of etcd over a restart, where there is one."""
        self._node = node
        self._store = store
        self._daemon = daemon
        self._keys = keys or Keys()
        self._directory = directory
        self._timing = timing or AgentTiming()
        self._told = told
        self._agent = uuid.uuid4().hex
        self._news = asyncio.Event()
        self.contact = Contact(self._kick)
        self._followed = FollowedWishes(
            store,
            self._keys,
            self.contact,
            self._keep,
            kept=load_kept(directory, self._keys.prefix),
            timing=self._timing,
        )
        self._registration = Registration(store, self._keys, self.contact, self._kick, self._timing)
        self._places = NodePlaces(store, self._keys, node, self._timing.place_lease)
        self._local: LocalDaemon | None = None
        self._state: LocalState | None = None
        self._no_daemon = ""
        self._refused: dict[str, _Refused] = {}
        self._waiting: dict[str, str] = {}
        self._known = KnownWishes()
        self._recalled: set[str] = set()
        self._look_due = 0.0
        self.status = NodeStatus(node=node, boot="", agent=self._agent)

    @property
    def problem(self) -> str:
        """What keeps the agent from its work; empty where nothing does."""
        return self._registration.taken or ("" if self._state else self._no_daemon)

    async def run(self) -> None:
        """Work until it is cancelled; then the node's entry goes."""
        self._known = known_wishes(self._keys, self._followed.kept.entries.values())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._followed.run())
                tasks.create_task(self._registration.run())
                tasks.create_task(self._follow_daemon())
                tasks.create_task(self._keep_places())
                tasks.create_task(self._work())
        finally:
            await self._registration.leave()

    def _kick(self) -> None:
        self._news.set()

    def _keep(self) -> None:
        """Take over what etcd says now, and keep it."""
        kept = self._followed.kept
        save_kept(self._directory, self._keys.prefix, kept)
        self._known = known_wishes(self._keys, kept.entries.values())
        self._kick()

    async def _follow_daemon(self) -> None:
        pause = self._timing.pause()
        while True:
            try:
                await self._look()
                async for state in self._daemon.watch():
                    pause.reset()
                    self._state = state
                    self._kick()
                raise CallError("UNAVAILABLE", "the daemon has ended the watch")
            except (KmodctlError, TimeoutError) as error:
                if self._state is not None or self._no_daemon != str(error):
                    log.warning("%s", error)
                self._no_daemon = str(error) or "no answer of the daemon"
                self._state = None
                self._refused.clear()
                self._kick()
            await pause.sleep()

    async def _look(self) -> None:
        """Learn what the daemon is: who it takes the agent for, and the machine's labels."""
        self._local = await self._daemon.look()
        self._look_due = time.monotonic() + self._timing.look

    async def _keep_places(self) -> None:
        """Have the places live on, which few nodes have for long."""
        while True:
            await asyncio.sleep(self._timing.place_lease / 3 * random.uniform(0.8, 1))
            with contextlib.suppress(StoreError):
                await self._places.keep_alive()

    async def _work(self) -> None:
        while True:
            self._news.clear()
            wait = await self._look_and_do()
            self._tell()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _look_and_do(self) -> float:
        """Do what there is to do; returns after how many seconds to look again anyway."""
        local, state = self._local, self._state
        self._waiting.clear()
        if state is not None and self._look_due <= time.monotonic():
            with contextlib.suppress(KmodctlError, TimeoutError):  # the watch tells of it, too
                await self._look()
            local = self._local
        is_known = self._followed.kept.revision > 0
        if local is None or state is None or not is_known or self._registration.taken:
            return self._timing.look
        if not (self._registration.is_tried or self.contact.away):
            return self._timing.look
        wanted = self._wanted(local, state)
        try:
            await self._recall(wanted)
        except StoreError as error:
            self.contact.lost("places", str(error))
        waits = [self._timing.look]
        for each in wanted:
            if each.why or each.revision == self._in_force(local, state).get(each.name, 0):
                self._refused.pop(each.name, None)
                continue
            waits.append(await self._change(each, local))
            state = self._state or state
        await self._settle_places(wanted)
        return min(waits)

    def _wanted(self, local: LocalDaemon, state: LocalState) -> list[Wanted]:
        in_force = self._in_force(local, state)
        orphans = self._followed.kept.orphans
        return wanted_wishes(self._known, self._node, local.facts, in_force, orphans)

    @staticmethod
    def _in_force(local: LocalDaemon, state: LocalState) -> Mapping[str, int]:
        """Return the revisions of what the daemon has from this agent, by the names of wishes."""
        start = f"{local.source}."
        return {
            name.removeprefix(start): revision
            for name, revision in state.revisions.items()
            if name.startswith(start)
        }

    async def _change(self, wanted: Wanted, local: LocalDaemon) -> float:
        """Have the daemon take wishes over; returns after how many seconds to try again."""
        refused = self._refused.get(wanted.name)
        if refused is not None and refused.revision == wanted.revision:
            left = refused.until - time.monotonic()
            if left > 0:
                return left
        source = f"{local.source}.{wanted.name}"
        try:
            if wanted.rollout is not None and await self._needs_place(wanted, source):
                why = await self._places.take(wanted.rollout)
                self.contact.found("places")
                if why:
                    self._waiting[wanted.name] = why
                    return self._timing.place_pause * random.uniform(0.5, 1)
            self._state = await self._daemon.apply(source, wanted.document, wanted.revision)
            if self._state.revisions.get(source, 0) != wanted.revision:
                self._refuse(wanted, "the daemon keeps no revisions: it is of an earlier version")
                return self._timing.refusal_pause
            self._refused.pop(wanted.name, None)
            log.info("%s: revision %d is taken over", source, wanted.revision)
        except StoreError as error:
            self.contact.lost("places", str(error))
            self._waiting[wanted.name] = f"it waits for a place, and etcd is away: {error}"
            return self._timing.place_pause * random.uniform(0.5, 1)
        except (KmodctlError, TimeoutError) as error:
            why = str(error) or "no answer of the daemon"
            if isinstance(error, CallError) and error.reason in _REFUSALS:
                self._refuse(wanted, why)
                return self._timing.refusal_pause
            self._waiting[wanted.name] = why
            return self._timing.place_pause * random.uniform(0.5, 1)
        return self._timing.look

    async def _needs_place(self, wanted: Wanted, source: str) -> bool:
        return wanted.name not in self._places.names and await self._daemon.would_matter(
            source, wanted.document
        )

    def _refuse(self, wanted: Wanted, why: str) -> None:
        log.warning("%s at revision %d: %s", wanted.name, wanted.revision, why)
        until = time.monotonic() + self._timing.refusal_pause * random.uniform(0.5, 1)
        self._refused[wanted.name] = _Refused(wanted.revision, why, until)

    async def _recall(self, wanted: list[Wanted]) -> None:
        """Take over the places that an earlier process has left, once for each rollout."""
        names = {each.name for each in wanted if each.rollout is not None} - self._recalled
        if names:
            await self._places.recall(names)
            self._recalled |= names
            self.contact.found("places")

    async def _settle_places(self, wanted: list[Wanted]) -> None:
        """Give back the places that are needed no more, and say in others what has failed."""
        if not self._places.names:
            return
        status = self._status()
        by_name = {each.name: each for each in wanted}
        try:
            for name in self._places.names:
                now, told = by_name.get(name), status.wish(name)
                if now is None or _is_over(now, told):
                    await self._places.give(name)
                elif told is not None and name not in self._waiting:
                    has_failed = told.fate in (WishFate.FAILED, WishFate.DRIFTED)
                    why = told.why or told.fate.value
                    await self._places.mark(name, now.revision, why if has_failed else "")
            self.contact.found("places")
        except StoreError as error:
            self.contact.lost("places", str(error))

    def _status(self) -> NodeStatus:
        local = self._local or nowhere()
        refused = {name: each.why for name, each in self._refused.items()}
        status = NodeStatus(
            node=self._node,
            boot=local.boot,
            agent=self._agent,
            version=local.version,
            facts=local.facts,
            problem=self.problem,
        )
        if self._state is None or self._local is None:
            return replace(status, wishes=self.status.wishes)
        wanted = self._wanted(self._local, self._state)
        return status_of(status, wanted, self._state, local.source, refused, self._waiting)

    def _tell(self) -> None:
        """Have etcd say how the node is, and whoever else is told."""
        self.status = self._status()
        if self._local or self._no_daemon:
            self._registration.say(self.status)
        self._told(self)


def _is_over(wanted: Wanted, told: WishStatus | None) -> bool:
    """Tell whether a node that has a place needs it no more."""
    return wanted.rollout is None or told is None or told.fate is WishFate.DONE
