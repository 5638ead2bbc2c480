# SPDX-License-Identifier: Apache-2.0
"""How a fleet grows: agents that follow one etcd, on one machine.

A real etcd with one member, over TLS. The agents are 50 with real daemons of their own, then 100,
1,000 and 10,000 that run in a few processes, with the agent's own code, a connection each, and a
daemon that takes over at once what it is given. A wish is applied by ``kmodctl fleet apply``; the
times are those from its start until etcd has each node's word that all is as wished. What etcd
does is by its own count. kmod has nothing to put beside it.
"""

import asyncio
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from kmodctl.fleet.agent import Agent
from kmodctl.fleet.encoding import decode_status
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.links import Tls
from kmodctl.fleet.model import Keys, WishFate
from kmodctl.fleet.node_daemon import Kmodd
from tests.bench.measure import memory, process_tree_seconds
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.fleet import FleetNode, running_nodes
from tests.support.modules import module_tree

REAL = 50
"""Nodes with daemons of their own."""

COUNTS = (100, 1000, 10_000)
"""Nodes that are simulated."""

PROCESSES = 4
"""Processes that agents are simulated in."""

LONGEST = 900.0
"""Seconds that all agents may take for anything."""

REST = 30.0
"""Seconds after which the last node has written what it had to say."""

WANTED_SECONDS = 60.0
WANTED_REQUESTS = 1.0
"""What is wanted of 10,000: a wish at all of them, and requests of an idle node in a minute."""

OTHERS = '[[module]]\nname = "greet"\n'
WISHES = '[[module]]\nname = "hello"\n'

KEYS = Keys()


_STARTED = "grpc_server_started_total"
_RECEIVED = 'grpc_server_msg_received_total{grpc_method="Watch"'
"""Calls, and what is asked on streams of watches; the others have one request each."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What etcd has counted since its start, and the seconds that it took of the processors."""

    requests: float
    events: float
    writes: float
    sent: float
    received: float
    processor: float

    def since(self, before: "Counted") -> "Counted":
        """Return what has come since ``before``."""
        return Counted(
            self.requests - before.requests,
            self.events - before.events,
            self.writes - before.writes,
            self.sent - before.sent,
            self.received - before.received,
            self.processor - before.processor,
        )


def run(seconds: int) -> None:
    """Measure each fleet, which is idle for so long, and print the table."""
    head = ("nodes", "wish p50 s", "p99 s", "all s", "wanted", "requests a node", "events", "KB")
    idle = ("idle: requests a node a minute", "wanted", "writes an hour", "bytes a node a minute")
    rest = ("etcd CPU ms/s", "etcd MB")
    print(f"| {' | '.join((*head, *idle, *rest))} |")
    print("|---" * len((*head, *idle, *rest)) + "|")
    asyncio.run(_rows(seconds))  # grpc takes one loop of a process for all


async def _rows(seconds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory, ExitStack() as stack:
        trees = [module_tree(Path(directory, str(number))) for number in range(REAL)]
        stack.enter_context(redirect_stderr(io.StringIO()))  # the daemons' logs, at their end
        nodes = stack.enter_context(running_nodes(trees))
        cluster = stack.enter_context(running_etcd(Path(directory, "etcd")))
        await _with_agents(cluster, nodes, seconds)
    for count in COUNTS:
        with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory, ExitStack() as stack:
            cluster = stack.enter_context(running_etcd(Path(directory)))
            stack.enter_context(_simulated(cluster, count))
            await _measure(cluster, f"{count}", count, seconds)


async def _with_agents(cluster: EtcdCluster, nodes: list[FleetNode], seconds: int) -> None:
    """Measure nodes with daemons, whose agents run here."""
    async with AsyncExitStack() as stack:
        for node in nodes:
            store = Etcd(cluster.endpoints, _tls(cluster))
            stack.push_async_callback(store.close)
            agent = Agent(node.name, store, Kmodd(node.steward), keys=KEYS)
            task = asyncio.ensure_future(agent.run())
            stack.push_async_callback(_ended, task)
        await _measure(cluster, f"{len(nodes)} with daemons", len(nodes), seconds)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextmanager
def _simulated(cluster: EtcdCluster, count: int) -> Iterator[None]:
    """Have so many agents run in processes while the block does."""
    tls = cluster.operator
    assert tls is not None
    command = [sys.executable, "-m", "tests.bench.fleet_agents", cluster.endpoints[0]]
    command += [str(each) for each in (tls.authority, tls.certificate, tls.key)]
    share = count // PROCESSES
    with ExitStack() as stack:
        for first in range(0, count, share):
            words = [*command, str(first), str(share)]
            process = subprocess.Popen(words, stdin=subprocess.PIPE)
            stack.callback(process.wait)
            assert process.stdin is not None
            stack.callback(process.stdin.close)
        yield


async def _measure(cluster: EtcdCluster, name: str, count: int, seconds: int) -> None:
    """Measure a wish at ``count`` nodes and their idling, and print the row."""
    store = Etcd(cluster.endpoints, _tls(cluster))
    observer = _Observer(store)
    watching = asyncio.ensure_future(observer.run())
    try:
        await observer.until(lambda: len(observer.nodes) == count)
        await _apply(cluster, OTHERS)  # the first has each agent make what it needs
        await observer.until(lambda: observer.settled("bench", 1) == count)
        before, began = _counted(cluster), time.monotonic()
        revision = await _apply(cluster, WISHES)
        await observer.until(lambda: observer.settled("bench", revision) == count)
        wish = _counted(cluster).since(before)
        times = sorted(when - began for when in observer.times("bench", revision))
        await asyncio.sleep(REST)
        before, began = _counted(cluster), time.monotonic()
        await asyncio.sleep(seconds)
        idle, passed = _counted(cluster).since(before), time.monotonic() - began
    finally:
        await _ended(watching)
        await store.close()
    process = cluster.members[0].process
    assert process is not None
    minutes = passed / 60
    cells = (
        name,
        f"{times[len(times) // 2]:.1f}",
        f"{times[len(times) * 99 // 100]:.1f}",
        f"{times[-1]:.1f}",
        f"{WANTED_SECONDS:g}",
        f"{wish.requests / count:.1f}",
        f"{wish.events / count:.1f}",
        f"{(wish.sent + wish.received) / count / 1000:.1f}",
        f"{idle.requests / count / minutes:.2f}",
        f"{WANTED_REQUESTS:g}",
        f"{idle.writes / minutes * 60:.0f}",
        f"{(idle.sent + idle.received) / count / minutes:.0f}",
        f"{idle.processor / passed * 1000:.0f}",
        f"{memory(process.pid, 'VmRSS'):.0f}",
    )
    print(f"| {' | '.join(cells)} |", flush=True)


class _Observer:
    """Knows what the nodes say, and when they have said of wishes that all is as wished."""

    def __init__(self, store: Etcd) -> None:
        self._store = store
        self._done: dict[tuple[str, str], tuple[int, float]] = {}
        self.nodes: set[str] = set()

    async def run(self) -> None:
        """Take what nodes write; the observer's own watch is one of the events that etcd counts."""
        async for changes in self._store.watch([KEYS.all_nodes], 0):
            now = time.monotonic()
            for change in changes:
                if change.entry is None:
                    continue
                status = decode_status(change.entry)
                self.nodes.add(status.node)
                for wish in status.wishes:
                    if wish.fate is WishFate.DONE:
                        key = (status.node, wish.name)
                        if self._done.get(key, (0, 0.0))[0] < wish.revision:
                            self._done[key] = (wish.revision, now)

    def settled(self, name: str, revision: int) -> int:
        """Return how many nodes have wishes of that revision or a later one, all as wished."""
        return len(self.times(name, revision))

    def times(self, name: str, revision: int) -> list[float]:
        """Return when they said so."""
        return [
            when
            for (_, wishes), (at, when) in self._done.items()
            if wishes == name and at >= revision
        ]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds; raises TimeoutError."""
        async with asyncio.timeout(LONGEST):
            while not condition():
                await asyncio.sleep(0.2)


async def _apply(cluster: EtcdCluster, text: str) -> int:
    """Apply a file as an operator does; returns the revision."""
    tls = cluster.operator
    assert tls is not None
    files = ("--authority", tls.authority, "--certificate", tls.certificate, "--key", tls.key)
    where = ("--config", "/dev/null", "--etcd", cluster.endpoints[0], "--name", "bench")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kmodctl", "--json", "fleet", *where, *map(str, files)),
        *("apply", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate(text.encode())
    return int(json.loads(output)["revision"])


def _counted(cluster: EtcdCluster) -> Counted:
    counters = cluster.metrics()
    process = cluster.members[0].process
    assert process is not None
    started = [count for name, count in counters.items() if name.startswith(_STARTED)]
    messages = [count for name, count in counters.items() if name.startswith(_RECEIVED)]
    return Counted(
        sum(started) + sum(messages),
        counters["etcd_debugging_mvcc_events_total"],
        counters["etcd_mvcc_put_total"] + counters["etcd_mvcc_delete_total"],
        counters["etcd_network_client_grpc_sent_bytes_total"],
        counters["etcd_network_client_grpc_received_bytes_total"],
        process_tree_seconds(process.pid),
    )


def _tls(cluster: EtcdCluster) -> Tls:
    tls = cluster.operator
    assert tls is not None
    return Tls(str(tls.authority), str(tls.certificate), str(tls.key))
