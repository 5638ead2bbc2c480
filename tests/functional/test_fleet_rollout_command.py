# SPDX-License-Identifier: Apache-2.0
"""``kmodctl fleet rollout`` as operators run it, with agents whose daemons are simulated."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kmodctl.fleet.agent import Agent
from kmodctl.fleet.etcd import Etcd
from tests.functional.test_json import validator
from tests.support.daemon import START
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.fleet import KEYS, QUICK, statuses, store_of, until
from tests.support.here import Ran
from tests.support.simulated_daemon import SimulatedDaemon

OLD = '[[module]]\nname = "kvm"\n'
NEW = '[[module]]\nname = "wireguard"\n'

COUNT = 5


@pytest.fixture(name="cluster")
def plain_etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path / "etcd", tls=False) as running:
        yield running


class Rollouts:
    """Nodes, of which the last misses wireguard, and an operator with a file for each wish."""

    def __init__(self, cluster: EtcdCluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        missing = [()] * (COUNT - 1) + [("wireguard",)]
        self.daemons = [SimulatedDaemon("b1", each) for each in missing]
        self.agents: list[Agent] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the agents run while the block does."""
        stores = [Etcd(self._cluster.endpoints) for _ in self.daemons]
        for number, (store, daemon) in enumerate(zip(stores, self.daemons, strict=True)):
            agent = Agent(f"node-{number}", store, daemon, keys=KEYS, timing=QUICK)
            self.agents.append(agent)
        tasks = [asyncio.ensure_future(each.run()) for each in self.agents]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for store in stores:
                await store.close()

    async def run(self, *words: str, text: str = "") -> Ran:
        """Run an action; ``text`` is what a file has, whose name follows the words."""
        if text:
            file = self._directory / "vpn.toml"
            file.write_text(text)
            words = (*words, str(file))
        where = (
            "--config",
            "/dev/null",
            "--etcd",
            self._cluster.endpoints[0],
            "--prefix",
            KEYS.prefix,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kmodctl", "fleet", *where, *words), stdout=PIPE, stderr=PIPE
        )
        output, errors = await asyncio.wait_for(process.communicate(), START)
        return Ran(output.decode(), errors.decode(), process.returncode or 0)

    async def status(self) -> Any:
        """Return what ``status --json`` prints."""
        return json.loads((await self.run("--json", "status")).output)

    def revisions(self) -> list[int]:
        """Return what is in force at the nodes."""
        found = (agent.status.wish("vpn") for agent in self.agents)
        return [each.revision if each else 0 for each in found]


def test_a_rollout_goes_through_its_stages_stops_resumes_and_is_undone(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    fleet = Rollouts(cluster, tmp_path)

    async def script() -> None:
        async with fleet.running():
            async with store_of(cluster) as store:
                while len(await statuses(store)) < COUNT:
                    await asyncio.sleep(0.1)
            ran = await fleet.run("--json", "apply", text=OLD)
            old = json.loads(ran.output)["revision"]
            await until(lambda: fleet.revisions() == [old] * COUNT)

            ran = await fleet.run("rollout", "start", "--stages", "20,60,100", text=NEW)
            assert ran.status == 1
            lines = ran.output.splitlines()
            assert lines[0] == f"vpn: 20 % of {COUNT} nodes"
            assert lines[-1].startswith("vpn is stopped, ")
            assert lines[-1].endswith(" to go: 1 node fails: node-4; node-4: wireguard")
            assert "WARNING: node-4: " in ran.errors
            more = ("--max-failures", "1")
            ran = await fleet.run("rollout", "resume", *more, "vpn")
            assert "a node that fails keeps its place" in ran.errors
            ran = await fleet.run("--json", "rollout", "resume", *more, "--places", "3", "vpn")
            views = list(map(json.loads, ran.output.splitlines()))
            for view in views:
                assert not list(validator("fleet").iter_errors(view))
            assert (views[-1]["state"], views[-1]["done"], ran.status) == ("done", COUNT - 1, 0)
            assert list(views[-1]["failing"]) == ["node-4"]
            (new,) = {*fleet.revisions()}
            assert new > old
            (wish,) = (await fleet.status())["wishes"]
            assert (wish["revision"], wish["fates"]) == (new, {"done": COUNT - 1, "failed": 1})

            ran = await fleet.run("rollout", "start", "--detach", "--places", "2", text=OLD)
            assert ran.output == "'kmodctl fleet rollout watch vpn' opens the next stages\n"
            ran = await fleet.run("rollout", "pause", "vpn")
            assert ran.output.startswith("vpn is paused; ")
            ran = await fleet.run("rollout", "undo", "vpn")
            assert (ran.output.splitlines()[-1], ran.status) == ("vpn is undone", 0)
            await until(lambda: fleet.revisions() == [new] * COUNT)
            (rollout,) = (await fleet.status())["rollouts"]
            assert (rollout["state"], rollout["nodes"]) == ("undone", 0)

    asyncio.run(script())
    for daemon in fleet.daemons:  # nothing was done twice
        assert len(daemon.applied) == len({*daemon.applied})
