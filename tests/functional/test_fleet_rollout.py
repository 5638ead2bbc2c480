# SPDX-License-Identifier: Apache-2.0
"""A rollout over machines that fall out, hold on to modules and fail, with three members of etcd.

``KMODD_FLEET_NODES=20`` has twenty machines in it.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kmodctl.fleet.conducting import Conductor
from kmodctl.fleet.encoding import decode_desired, decode_rollout, encode_rollout
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.model import Desired, Rollout, RolloutState, WishFate
from kmodctl.fleet.rollout import RolloutView, begun, resumed
from kmodctl.fleet.store import Put, StoreError
from tests.support.daemon import START
from tests.support.etcd import EtcdCluster, compact, running_etcd
from tests.support.fleet import (
    KEYS,
    FleetNode,
    apply,
    running_agent,
    running_nodes,
    store_of,
    until,
)
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.tree import ModuleTree
from tests.support.wishes import wishes

if TYPE_CHECKING:
    from kmodctl.fleet.agent import Agent

COUNT = int(os.environ.get("KMODD_FLEET_NODES", "5"))
"""Machines, one in ten of which, and one at least, misses a module."""

BAD = max(1, COUNT // 10)
STAGES = (20, 60, 100)
FIRST = -(-COUNT * STAGES[0] // 100)
"""Machines of the first stage."""

OLD = wishes("hello loaded")
NEW = wishes("hello absent", "world loaded")


async def write(store: Etcd, rollout: Rollout) -> int:
    """Write a rollout, as often as it takes, and return the revision of its wishes.

    A cluster that has lost its leader answers no write before it has another one.
    """
    while True:
        try:
            put = Put(KEYS.rollout(rollout.name), encode_rollout(rollout))
            await store.transact([], [put])
            return (await read(store, rollout.name)).candidate.revision
        except StoreError:
            await asyncio.sleep(0.1)


async def read(store: Etcd, name: str = "base") -> Rollout:
    entry = await store.get(KEYS.rollout(name))
    assert entry is not None
    return decode_rollout(entry)


async def conducted(store: Etcd, name: str = "base") -> list[RolloutView]:
    """Have a rollout go on until it is over, and return how it fared meanwhile."""
    return [view async for view in Conductor(store, KEYS, name).views(drives=True)]


async def seen(store: Etcd, name: str = "base") -> RolloutView:
    """Return how a rollout fares, by what etcd has."""
    async with aclosing(Conductor(store, KEYS, name).views(drives=False)) as views:
        return await anext(views)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path_factory.mktemp("etcd"), members=3) as running:
        yield running


def order() -> list[int]:
    """Return the machines in the order in which the rollout comes to them."""
    rollout = begun(Desired(name="base", document=""), (100,), 1, 0)
    return sorted(range(COUNT), key=lambda number: rollout.order(f"node-{number}"))


@pytest.fixture
def nodes(modules_root: ModuleTree, tmp_path: Path) -> Iterator[list[FleetNode]]:
    """The machines in the rollout's order; of the second stage the first ones have no "world"."""
    trees = [modules_root.copy(tmp_path / f"root-{number}") for number in range(COUNT)]
    for number in order()[FIRST : FIRST + BAD]:
        (trees[number].directory / "extra/world.ko").unlink()
    with running_nodes(trees) as running:
        yield [running[number] for number in order()]


class Act:
    """Agents of all machines, which reach etcd by proxies, and an operator's connection."""

    def __init__(
        self,
        nodes: list[FleetNode],
        cluster: EtcdCluster,
        store: Etcd,
        log: pytest.LogCaptureFixture,
    ) -> None:
        self.log = log
        self.nodes = nodes
        self.cluster = cluster
        self.store = store
        self.proxies: list[TcpProxy] = []
        self.agents: list[Agent] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the agents run while the block does."""
        async with AsyncExitStack() as stack:
            for member in self.cluster.members:
                self.proxies.append(stack.enter_context(tcp_proxy(member.port)))
            endpoints = [f"https://127.0.0.1:{each.port}" for each in self.proxies]
            for node in self.nodes:
                agent = running_agent(node, self.cluster, *endpoints)
                self.agents.append(await stack.enter_async_context(agent))
            yield

    def fates(self, name: str = "base") -> list[tuple[int, WishFate] | None]:
        """Return the revision of wishes at each machine, and how they fare there."""
        found = (agent.status.wish(name) for agent in self.agents)
        return [(each.revision, each.fate) if each else None for each in found]

    async def all_have(self, revision: int, name: str = "base") -> None:
        """Wait until all machines have the wishes of a revision, and are as they wish."""
        await until(lambda: self.fates(name) == [(revision, WishFate.DONE)] * COUNT)


async def rolled_out(act: Act) -> None:
    """Have new wishes rolled out, with all that may come between."""
    store, bad = act.store, act.nodes[FIRST : FIRST + BAD]
    old = await apply(store, "base", OLD)
    await act.all_have(old)

    act.cluster.members[0].kill()
    held = act.nodes[-1]
    with held.daemon.client() as client, client.hold("hello"):
        new = await write(store, begun(Desired(name="base", document=NEW), STAGES, 2, BAD - 1))
        stopped = (await conducted(store))[-1]
        assert stopped.rollout.state is RolloutState.STOPPED
        assert stopped.failing.keys() == {node.name for node in bad}
        assert "world" in stopped.rollout.why
        assert stopped.rollout.stage == 1
        await until(lambda: all(fate is not None for fate in act.fates()))
        fates = zip(act.nodes, act.fates(), strict=True)
        gone = {node.name for node, fate in fates if fate and fate[0] == new}
        assert {node.name for node in bad} <= gone <= stopped.chosen
        assert len(stopped.chosen) < COUNT

        for proxy in act.proxies:
            proxy.cut()
        await until(lambda: all(agent.contact.away for agent in act.agents))
        before = [node.loaded() for node in act.nodes]
        await apply(store, "extra", wishes("greet loaded"))
        extra = await apply(store, "extra", wishes("greet held"))
        act.cluster.members[0].start()
        await compact(act.cluster, extra)
        assert [node.loaded() for node in act.nodes] == before
        assert act.fates("extra") == [None] * COUNT
        for proxy in act.proxies:
            proxy.mend()
        await act.all_have(extra, "extra")
        assert "all wishes are read anew" in act.log.text
        await until(lambda: not any(agent.contact.away for agent in act.agents))
        assert (await read(store)).state is RolloutState.STOPPED

        for node in bad:
            shutil.copy(held.tree.directory / "extra/world.ko", node.tree.directory / "extra")
        await until(lambda: act.fates()[FIRST : FIRST + BAD] == [(new, WishFate.DONE)] * BAD)
        while (await seen(store)).failing:
            await asyncio.sleep(0.05)
        await write(store, resumed(await read(store)))
        conducting = asyncio.ensure_future(conducted(store))
        others = [(new, WishFate.DONE)] * (COUNT - 1)
        await until(lambda: act.fates() == [*others, (new, WishFate.PENDING)])
        assert "hello" in held.loaded()
        assert not conducting.done()
    done = (await conducting)[-1]
    assert done.rollout.state is RolloutState.DONE
    await act.all_have(new)
    entry = await store.get(KEYS.desired("base"))
    assert entry is not None
    assert decode_desired(entry).revision == new
    await until(lambda: all(node.loaded() == {"greet", "world"} for node in act.nodes))
    assert not (await store.list(KEYS.places("base"))).entries


def test_a_rollout_stops_where_it_should_and_ends_as_wished_with_nothing_done_twice(
    nodes: list[FleetNode], cluster: EtcdCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kmodctl.fleet")

    async def act() -> None:
        async with store_of(cluster) as store:
            acting = Act(nodes, cluster, store, caplog)
            async with acting.running():
                await rolled_out(acting)

    asyncio.run(asyncio.wait_for(act(), 5 * START))
    for node in nodes:
        done = node.trail()
        assert done.count(("apply-state", "fleet.base")) == 2
        assert done.count(("apply-state", "fleet.extra")) == 1
        assert done.count(("load", "hello")) == 1
        assert done.count(("load", "world")) == 1
        assert [what for action, what in done if action not in ("load", "apply-state", "hold")] == [
            "hello"
        ]
