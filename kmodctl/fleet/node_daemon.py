# SPDX-License-Identifier: Apache-2.0
"""A node's own daemon as its agent sees it: what it is, and how what is wished fares."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from kmodctl.aio import Client
from kmodctl.errors import KmodctlError
from kmodctl.fleet.model import NodeFacts
from kmodd.v1 import state_service_pb2 as pb
from kmodd.v1.policy_pb2 import ROLE_ADMIN

OWN_SOURCE = "fleet"
"""The source of an agent that is an administrator, as it is where somebody tries it out."""

PATIENCE = 900.0
"""Seconds that a call may take; a module's init has its time."""


class NoStewardError(KmodctlError):
    """The daemon does not take the agent for a steward."""

    reason = "NO_STEWARD"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDaemon:
    """What a daemon is: one life of its kernel, its version, facts, and the steward's source."""

    boot: str
    version: str
    facts: NodeFacts
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFare:
    """How a wish for a ``module`` fares that is from ``source``, "" for one that is no more.

    ``standing`` is the API's word in lower letters, without its prefix; ``moves`` tells whether
    there is something to be done.
    """

    module: str
    source: str
    standing: str
    why: str = ""
    moves: bool = False


@dataclass(frozen=True, slots=True)
class LocalState:
    """How all wishes fare, and the applied sources: their revisions, and what is wrong with one."""

    modules: Mapping[str, ModuleFare] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


class NodeDaemon(Protocol):
    """A connection to a daemon. Every method raises KmodctlError."""

    async def look(self) -> LocalDaemon:
        """Return what the daemon is."""

    def watch(self) -> AsyncIterator[LocalState]:
        """Yield how all wishes fare, now and whenever that changes, until the daemon is gone."""

    async def apply(self, source: str, document: str, revision: int) -> LocalState:
        """Have the daemon take wishes over, and return how all fare then."""

    async def would_matter(self, source: str, document: str) -> bool:
        """Tell whether something would be done if that was applied, or not be as it wishes."""


class Kmodd:
    """The ``NodeDaemon`` on a socket; belongs to the running loop."""

    def __init__(self, socket: str | None) -> None:
        """``socket`` is a path, None for the one that kmodctl would find."""
        self._socket = socket
        self._client: Client | None = None

    async def look(self) -> LocalDaemon:
        """Return what the daemon is."""
        client = self._connected()
        async with asyncio.timeout(PATIENCE):
            who, status = await client.who_am_i(), await client.status()
        source = who.wish_source or (OWN_SOURCE if who.role == ROLE_ADMIN else "")
        if not source:
            raise NoStewardError(
                f"{who.socket}: an agent is to be a steward there, and this one has another role"
            )
        return LocalDaemon(
            boot=status.boot_id,
            version=status.version,
            facts=NodeFacts(
                release=status.release,
                architecture=os.uname().machine,
                labels={label.name: label.value for label in status.labels},
            ),
            source=source,
        )

    async def watch(self) -> AsyncIterator[LocalState]:
        """Yield how all wishes fare, at each change."""
        modules: dict[str, ModuleFare] = {}
        state = LocalState()
        try:
            async for message in self._connected().watch_state():
                modules |= _fares(message.modules)
                for name in message.gone:
                    modules.pop(name, None)
                if message.has_sources:
                    state = _with_sources(state, message.sources)
                state = replace(state, modules=dict(modules))
                yield state
        finally:
            await self.close()  # the next one may be another daemon, on another socket

    async def apply(self, source: str, document: str, revision: int) -> LocalState:
        """Have the daemon take wishes over."""
        client = self._connected()
        async with asyncio.timeout(PATIENCE):
            answer = await client.apply_state(source, document.encode(), revision=revision)
        return _with_sources(LocalState(_fares(answer.modules)), answer.sources)

    async def would_matter(self, source: str, document: str) -> bool:
        """Tell whether something would be done if that was applied, or not be as it wishes."""
        client = self._connected()
        async with asyncio.timeout(PATIENCE):
            answer = await client.apply_state(source, document.encode(), dry_run=True)
        return any(
            each.moves or (each.standing != pb.STANDING_DONE and each.wish.source == source)
            for each in answer.modules
        )

    async def close(self) -> None:
        """End the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connected(self) -> Client:
        if self._client is None:
            self._client = Client(self._socket)
        return self._client


def _fares(modules: Iterable[pb.ModuleStanding]) -> dict[str, ModuleFare]:
    return {
        each.module: ModuleFare(
            module=each.module,
            source=each.wish.source if each.HasField("wish") else "",
            standing=pb.Standing.Name(each.standing).removeprefix("STANDING_").lower(),
            why=each.why,
            moves=bool(each.moves),
        )
        for each in modules
    }


def _with_sources(state: LocalState, sources: Iterable[pb.StateSource]) -> LocalState:
    applied = [each for each in sources if each.applied]
    return replace(
        state,
        revisions={each.name: each.revision for each in applied},
        problems={each.name: each.problems[0] for each in applied if each.problems},
    )


def nowhere() -> LocalDaemon:
    """Return what is known of a node whose daemon has not answered yet: the machine's own facts."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = ""
    facts = NodeFacts(release=os.uname().release, architecture=os.uname().machine)
    return LocalDaemon(boot=boot, version="", facts=facts, source="")
