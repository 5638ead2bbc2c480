# SPDX-License-Identifier: Apache-2.0
"""Agents that have their daemons wish for what etcd says, with Debian's etcd."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kmodctl.fleet.agent import Agent
from kmodctl.fleet.conducting import Conductor
from kmodctl.fleet.encoding import decode_rollout, encode_rollout
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.model import (
    ORDERS,
    Desired,
    NodeStatus,
    Rollout,
    RolloutState,
    Selector,
    WishFate,
    WishStatus,
)
from kmodctl.fleet.node_daemon import LocalState
from kmodctl.fleet.rollout import RolloutView, begun, threshold_of
from kmodctl.fleet.store import Delete, Put
from tests.support.daemon import START
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.fleet import (
    KEYS,
    QUICK,
    FleetNode,
    apply,
    running_agent,
    running_nodes,
    statuses,
    store_of,
    until,
)
from tests.support.modules import module_tree
from tests.support.simulated_daemon import SimulatedDaemon
from tests.support.tcp_proxy import tcp_proxy
from tests.support.wishes import wishes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path_factory.mktemp("etcd"), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FleetNode]]:
    """Two machines."""
    trees = [module_tree(tmp_path_factory.mktemp("root") / "root") for _ in range(2)]
    with running_nodes(trees) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(cluster: EtcdCluster, nodes: list[FleetNode]) -> None:
    """Begin with nothing in etcd, nothing applied, nothing loaded and nothing done yet."""

    async def empty() -> None:
        async with store_of(cluster) as store:
            found = await store.list(KEYS.prefix)
            await store.transact([], [Delete(each.key) for each in found.entries])

    run(empty())
    for node in nodes:
        node.empty()


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
                two.relabel("c1")
                await until(lambda: two.loaded() == {"greet", "world"})
                two.relabel("b1")
                await until(lambda: "hello" in two.loaded())
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


def test_an_agent_that_is_no_steward_says_so(nodes: list[FleetNode], cluster: EtcdCluster) -> None:
    node, _ = nodes

    async def act() -> None:
        async with (
            store_of(cluster) as store,
            running_agent(node, cluster, role="observer") as agent,
        ):
            await apply(store, "base", wishes("hello loaded"))
            while "node-0" not in (found := await statuses(store)):
                await asyncio.sleep(0.05)
            assert "an agent is to be a steward there" in found["node-0"].problem
            assert agent.problem == found["node-0"].problem

    run(act())
    assert node.trail() == []


class Forgetful(SimulatedDaemon):
    """A daemon that keeps no revisions."""

    async def apply(self, source: str, document: str, revision: int) -> LocalState:
        """Take wishes over, and forget of which revision they are."""
        await super().apply(source, document, 0)
        self.applied[-1] = revision
        return LocalState()


def test_a_daemon_that_keeps_no_revision_is_given_it_once(cluster: EtcdCluster) -> None:
    async def act() -> None:
        async with store_of(cluster) as store:
            first = await apply(store, "base", wishes("hello loaded"))
            daemon = Forgetful("a")
            timing = replace(QUICK, refusal_pause=START)
            agent = Agent("n", store, daemon, keys=KEYS, timing=timing)
            task = asyncio.ensure_future(agent.run())
            await until(partial(tells, agent, "the daemon keeps no revisions"))
            second = await apply(store, "base", wishes("greet loaded"))
            await until(lambda: second in daemon.applied)
            assert daemon.applied == [first, second]
            task.cancel()
            await asyncio.wait({task})

    run(act())


def test_a_name_that_another_boot_has_is_told_and_nothing_is_done_under_it(
    nodes: list[FleetNode], cluster: EtcdCluster
) -> None:
    one, two = nodes
    with two.daemon.client() as client:
        client.apply_state("fleet.old", wishes("greet loaded").encode(), revision=1)

    async def act() -> None:
        async with store_of(cluster) as store:
            await apply(store, "base", wishes("hello loaded"))
            async with AsyncExitStack() as stack:
                other = running_agent(one, cluster, name="same")
                first = await stack.enter_async_context(other)
                while "same" not in await statuses(store):
                    await asyncio.sleep(0.05)
                async with running_agent(two, cluster, name="same") as second:
                    await until(lambda: "is taken by the boot" in second.status.problem)
                    assert first.status.boot in second.status.problem
                    await until(lambda: one.loaded() == {"hello"})
                    assert (await statuses(store))["same"].boot == first.status.boot
                    assert two.loaded() == {"greet"}
                    await stack.aclose()  # as a machine that is shut down
                    await until(lambda: two.loaded() == {"hello"})
                    await until(lambda: not second.status.problem)
                    while (await statuses(store))["same"].boot != second.status.boot:
                        await asyncio.sleep(0.05)

    run(act())


def test_without_etcd_the_last_wishes_stay_over_restarts_of_agent_and_kernel(
    nodes: list[FleetNode], cluster: EtcdCluster, tmp_path: Path
) -> None:
    node, _ = nodes

    async def act() -> None:
        async with store_of(cluster) as store:
            with tcp_proxy(cluster.members[0].port) as proxy:
                through = f"http://127.0.0.1:{proxy.port}"
                revision = await apply(store, "base", wishes("hello loaded"))
                async with running_agent(node, cluster, through, directory=tmp_path) as agent:
                    await until(lambda: node.loaded() == {"hello"})
                    await until(lambda: agent.contact.away is None)
                    proxy.hang()
                    await until(lambda: agent.contact.away is not None)
                    assert through in str(agent.contact.away)
                with node.daemon.client() as client:  # as a daemon that has lost its state
                    client.apply_state("fleet.base", b"")
                assert node.loaded() == set()
                async with running_agent(node, cluster, through, directory=tmp_path) as agent:
                    await until(lambda: node.loaded() == {"hello"})
                    await until(lambda: agent.contact.away is not None)
                    done = WishStatus(name="base", revision=revision, fate=WishFate.DONE)
                    await until(lambda: agent.status.wishes == (done,))
                    await store.transact([], [Delete(KEYS.desired("base"))])
                    proxy.mend()
                    await until(lambda: node.loaded() == set())
                    await until(lambda: agent.contact.away is None)

    run(act())


def test_what_an_etcd_has_lost_that_was_restored_stays_in_force(
    nodes: list[FleetNode], cluster: EtcdCluster, tmp_path: Path
) -> None:
    node, _ = nodes

    async def act(other: EtcdCluster) -> None:
        async with store_of(cluster) as store, store_of(other) as restored:
            await apply(store, "base", wishes("hello loaded"))
            await apply(store, "extra", wishes("greet loaded"))
            async with running_agent(node, cluster, directory=tmp_path):
                await until(lambda: node.loaded() == {"greet", "hello"})
            await apply(restored, "extra", wishes("world loaded"))
            async with running_agent(node, other, directory=tmp_path) as agent:
                await until(lambda: node.loaded() == {"greet", "hello", "world"})
                await until(partial(tells, agent, "etcd has lost it"))
            async with running_agent(node, other, directory=tmp_path) as agent:
                await until(partial(tells, agent, "etcd has lost it"))
                assert "hello" in node.loaded()
                await apply(restored, "base", wishes("hello held"))
                await until(lambda: not tells(agent, "etcd has lost it"))
                await restored.transact([], [Delete(KEYS.desired("base"))])
                await until(lambda: "hello" not in node.loaded())

    with running_etcd(tmp_path / "other", tls=False) as other:
        run(act(other))


def in_order(nodes: list[FleetNode], name: str) -> list[FleetNode]:
    """Return machines in the order in which a rollout comes to them."""
    rollout = begun(Desired(name=name, document=""), (100,), 1, 0)
    return sorted(nodes, key=lambda node: rollout.order(node.name))


async def put_rollout(store: Etcd, rollout: Rollout) -> Rollout:
    """Write a rollout, and return it as it is read."""
    key = KEYS.rollout(rollout.name)
    await store.transact([], [Put(key, encode_rollout(rollout))])
    entry = await store.get(key)
    assert entry is not None
    return decode_rollout(entry)


def test_nodes_go_by_a_rollout_that_nobody_looks_after_and_back_where_it_is_undone(
    nodes: list[FleetNode], cluster: EtcdCluster
) -> None:
    first, second = in_order(nodes, "base")

    async def act() -> None:
        async with store_of(cluster) as store:
            old = await apply(store, "base", wishes("hello loaded"))
            await apply(store, "last", wishes("world absent"))
            async with (
                running_agent(first, cluster) as one,
                running_agent(second, cluster) as two,
            ):
                was = WishStatus(name="base", revision=old, fate=WishFate.DONE)
                await until(lambda: one.status.wish("base") == two.status.wish("base") == was)
                new = Desired(name="base", document=wishes("hello absent", "greet loaded"))
                rollout = begun(new, (50, 100), 1, 0)
                threshold = threshold_of(rollout, [first.name, second.name])
                rollout = await put_rollout(store, replace(rollout, threshold=threshold))
                now = replace(was, revision=rollout.candidate.revision)
                await until(lambda: one.status.wish("base") == now)
                assert first.loaded() == {"greet"}
                paused = replace(rollout, threshold=ORDERS, state=RolloutState.PAUSED)
                await put_rollout(store, paused)
                later = await apply(store, "last", wishes("noexit absent"))
                last = replace(was, name="last", revision=later)
                await until(lambda: one.status.wish("last") == two.status.wish("last") == last)
                assert one.status.wish("base") == now
                assert two.status.wish("base") == was
                await put_rollout(store, replace(paused, state=RolloutState.UNDONE))
                await until(lambda: one.status.wish("base") == was)
                assert first.loaded() == {"hello"}
                while (await store.list(KEYS.places("base"))).entries:
                    await asyncio.sleep(0.05)

    run(act())
    assert first.trail().count(("apply-state", "fleet.base")) == 3
    assert second.trail().count(("apply-state", "fleet.base")) == 1


def test_a_node_that_falls_on_its_way_keeps_its_place_and_others_from_going(
    nodes: list[FleetNode], cluster: EtcdCluster, tmp_path: Path
) -> None:
    first, second = in_order(nodes, "base")

    async def conducted(store: Etcd) -> RolloutView:
        *_, last = [each async for each in Conductor(store, KEYS, "base").views(drives=True)]
        return last

    async def act() -> None:
        async with store_of(cluster) as store, running_agent(second, cluster) as two:
            await apply(store, "base", wishes("hello loaded"))
            with first.daemon.client() as client, client.hold("hello"):
                async with running_agent(first, cluster, directory=tmp_path) as one:
                    await until(lambda: bool(two.status.wishes) and bool(one.status.wishes))
                    while len(await statuses(store)) < 2:
                        await asyncio.sleep(0.05)
                    new = Desired(name="base", document=wishes("hello absent"))
                    rollout = await put_rollout(store, begun(new, (50, 100), 1, 0))
                    conducting = asyncio.ensure_future(conducted(store))
                    await until(partial(tells, one, "hello: "))
                view = await conducting
                assert view.rollout.state is RolloutState.STOPPED
                assert view.failing.keys() == {first.name}
                assert "says nothing any more" in view.rollout.why
                going_on = replace(view.rollout, threshold=ORDERS, state=RolloutState.RUNNING)
                await put_rollout(store, going_on)
                await until(partial(tells, two, "it waits for one of 1 places"))
                async with running_agent(first, cluster, directory=tmp_path):
                    while first.name not in await statuses(store):
                        await asyncio.sleep(0.05)
                    conducting = asyncio.ensure_future(conducted(store))
                    client.end_hold(client.list_holds()[0].hold)
                    view = await conducting
                    assert view.rollout.state is RolloutState.DONE
                    done = (rollout.candidate.revision, WishFate.DONE)
                    assert [(each.revision, each.fate) for each in two.status.wishes] == [done]

    run(act())
    assert first.trail().count(("remove", "hello")) == 1


def test_an_agent_is_a_process_that_tells_how_it_is_and_leaves_with_its_entry(
    nodes: list[FleetNode],
    cluster: EtcdCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, _ = nodes
    config = tmp_path / "fleet.toml"
    config.write_text(
        f'endpoints = ["{cluster.endpoints[0]}"]\nprefix = "{KEYS.prefix}"\n[agent]\n'
        f'node = "web-1"\nsocket = "{node.steward}"\ndirectory = "{tmp_path}"\nlease = 30\n'
    )
    words = [sys.executable, "-m", "kmodctl", "fleet", "agent", "--config", str(config)]

    async def entries() -> dict[str, NodeStatus]:
        async with store_of(cluster) as store:
            await apply(store, "base", wishes("hello loaded"))
            while (found := await statuses(store)).keys() != {"web-1"}:
                await asyncio.sleep(0.05)
            return found

    async def is_gone() -> bool:
        async with store_of(cluster) as store:
            return not await statuses(store)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(START)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as agent:
            try:
                assert manager.recv(4096) == b"READY=1"
                asyncio.run(entries())
                while b"web-1: 1 of 1 wishes are true" not in manager.recv(4096):
                    pass
                said = json.loads((tmp_path / "web-1/status.json").read_text())
                assert [each["fate"] for each in said["wishes"]] == ["done"]
                assert said["etcd_away_since"] == ""
                second = subprocess.run(
                    words, capture_output=True, text=True, timeout=START, check=False
                )
                assert second.returncode == 1
                assert "another agent of the node web-1 runs here" in second.stderr
            finally:
                agent.terminate()
            _, told = agent.communicate(timeout=START)
    assert agent.returncode == 0
    assert "fleet.base: revision" in told
    assert asyncio.run(is_gone())
    assert node.loaded() == {"hello"}
