# SPDX-License-Identifier: Apache-2.0
"""Agents that have their daemons wish for what etcd says, with Debian's etcd."""

import asyncio
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kmodctl.fleet.agent import Agent
from kmodctl.fleet.model import Selector, WishFate, WishStatus
from kmodctl.fleet.store import Delete, Put
from tests.support.daemon import START
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.fleet import (
    KEYS,
    FleetNode,
    apply,
    running_agent,
    running_nodes,
    statuses,
    store_of,
    until,
)
from tests.support.tree import ModuleTree
from tests.support.wishes import wishes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path_factory.mktemp("etcd"), tls=False) as running:
        yield running


@pytest.fixture
def nodes(modules_root: ModuleTree, tmp_path: Path) -> Iterator[list[FleetNode]]:
    """Two machines."""
    with running_nodes([modules_root, modules_root.copy(tmp_path / "other")]) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(cluster: EtcdCluster) -> None:
    async def empty() -> None:
        async with store_of(cluster) as store:
            found = await store.list(KEYS.prefix)
            await store.transact([], [Delete(each.key) for each in found.entries])

    run(empty())


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, 2 * START))


def tells(agent: Agent, why: str) -> bool:
    """Tell whether an agent says of one of its wishes why it is not done."""
    return any(why in each.why for each in agent.status.wishes)


def test_nodes_have_what_they_are_meant_to_have_once_for_each_revision(
    nodes: list[FleetNode], cluster: EtcdCluster, tmp_path: Path
) -> None:
    one, two = nodes
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()

    async def act() -> None:
        async with store_of(cluster) as store:
            revision = await apply(store, "base", wishes("world loaded"))
            rack = Selector(labels=(("rack", "b*"),))
            await apply(store, "extra", wishes("hello loaded", "greet held"), rack)
            async with (
                running_agent(one, cluster, directory=first) as agent,
                running_agent(two, cluster, directory=second),
            ):
                await until(lambda: one.loaded() == {"greet", "world"})
                await until(lambda: two.loaded() == {"greet", "hello", "world"})
                done = WishStatus(name="base", revision=revision, fate=WishFate.DONE)
                await until(lambda: agent.status.wishes == (done,))
                while [*await statuses(store)] != ["node-0", "node-1"] or any(
                    each.fate is not WishFate.DONE
                    for status in (await statuses(store)).values()
                    for each in status.wishes
                ):
                    await asyncio.sleep(0.05)
                said = await statuses(store)
                assert said["node-0"].wishes == (done,)
                assert said["node-0"].facts.labels == {"rack": "a0"}
                assert said["node-0"].facts.release == one.tree.release
                assert [each.name for each in said["node-1"].wishes] == ["base", "extra"]
                with one.daemon.client() as client:
                    client.remove("world")
                await until(partial(tells, agent, "world: "))
                assert agent.status.wishes[0].fate is WishFate.DRIFTED
            assert await statuses(store) == {}
            async with running_agent(one, cluster, directory=first) as agent:
                await until(lambda: bool(agent.status.wishes))
                assert one.loaded() == {"greet"}
                again = await apply(store, "base", wishes("world loaded"))
                await until(lambda: one.loaded() == {"greet", "world"})
                await until(lambda: agent.status.wishes[0].revision == again)
                await store.transact([], [Delete(KEYS.desired("base"))])
                await until(lambda: one.loaded() == {"greet"})
                await until(lambda: agent.status.wishes == ())

    run(act())
    assert one.trail().count(("apply-state", "fleet.base")) == 3
    assert one.trail().count(("load", "world")) == 2
    assert two.trail().count(("apply-state", "fleet.base")) == 1


def test_what_cannot_be_read_stays_as_it_was_and_says_so(
    nodes: list[FleetNode], cluster: EtcdCluster
) -> None:
    node, _ = nodes

    async def act() -> None:
        async with store_of(cluster) as store, running_agent(node, cluster) as agent:
            revision = await apply(store, "base", wishes("hello loaded"))
            await until(lambda: node.loaded() == {"hello"})
            for value, why in (
                (b'{"version": 9}', "version 9 is later than what this kmodctl reads"),
                (b"\xff", "can't decode"),
                (b'{"version": 1, "document": "[[module]]"}', "a [[module]] needs a name"),
            ):
                await store.transact([], [Put(KEYS.desired("base"), value)])
                await until(partial(tells, agent, why))
                (said,) = agent.status.wishes
                assert (said.revision, said.fate) == (revision, WishFate.UNREADABLE)
                assert said.why.startswith("/test/desired/base: ")
            await store.transact([], [Put(KEYS.rollout("base"), b"{}")])
            await apply(store, "denied", wishes("gplsym loaded"))
            await until(partial(tells, agent, "gplsym is among the modules it may not have"))
            assert agent.status.wishes[1].fate is WishFate.FAILED
            assert node.loaded() == {"hello"}
            await store.transact([], [Delete(KEYS.rollout("base"))])
            await apply(store, "base", wishes("greet loaded"))
            await until(lambda: node.loaded() == {"greet"})

    run(act())
    assert node.trail().count(("apply-state", "fleet.base")) == 2
