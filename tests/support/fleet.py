# SPDX-License-Identifier: Apache-2.0
"""A fleet on one machine: daemons, each with a steward's socket, and agents in the test's loop."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kmodctl.errors import CallError
from kmodctl.fleet.agent import Agent
from kmodctl.fleet.encoding import UnreadableError, decode_status, encode_desired
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.model import Desired, Keys, NodeStatus, Selector
from kmodctl.fleet.node_daemon import Kmodd
from kmodctl.fleet.pausing import AgentTiming
from kmodctl.fleet.store import Put
from tests.support.daemon import START, Daemon, running_daemon
from tests.support.etcd import EtcdCluster, tls_of
from tests.support.tree import ModuleTree

KEYS = Keys("/test")

QUICK = AgentTiming(
    lease=6,
    place_lease=60,
    jitter=0.05,
    first_pause=0.1,
    longest_pause=0.5,
    stands=0.5,
    place_pause=0.2,
    refusal_pause=0.5,
    look=2.0,
)
"""An agent's timing where nobody wants to wait."""

SETTINGS = """\
audit_file = "@/audit"
labels = {{ rack = "{rack}" }}

[timing]
poll = 0.1

[[socket]]
path = "@/run/kmodd.sock"

[[socket]]
path = "@/observer/kmodd.sock"
role = "observer"

[[socket]]
path = "@/steward/kmodd.sock"
role = "steward"
allow = ["*"]
deny = ["gplsym"]
parameters = true
"""


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A machine of a fleet: its name, its modules, and its daemon."""

    name: str
    tree: ModuleTree
    daemon: Daemon

    def socket(self, role: str) -> str:
        """Return the path of a role's socket: steward or observer."""
        return str(self.daemon.log.parent / role / "kmodd.sock")

    @property
    def steward(self) -> str:
        """The path of the steward's socket."""
        return self.socket("steward")

    def loaded(self) -> set[str]:
        """Return the modules that are loaded."""
        with self.daemon.client() as client:
            return {each.name for each in client.list_modules()}

    def relabel(self, rack: str) -> None:
        """Have the machine be in another rack."""
        config = self.daemon.log.parent / "kmodd.toml"
        text = re.sub(r'rack = "[^"]*"', f'rack = "{rack}"', config.read_text())
        config.write_text(text)
        self.daemon.process.send_signal(signal.SIGHUP)

    def empty(self) -> None:
        """Take away what was applied and loaded, and forget what was done."""
        with self.daemon.client() as client:
            for source in client.get_state().sources:
                client.apply_state(source.name, b"")
            for module in client.list_modules():
                with suppress(CallError):
                    client.unload(module.name)
            assert not client.list_modules()
        (self.daemon.log.parent / "audit").write_text("")

    def trail(self) -> list[tuple[str, str]]:
        """Return what was done for wishes, and what was applied, in order."""
        lines = map(json.loads, (self.daemon.log.parent / "audit").read_text().splitlines())
        return [
            (line["action"], line["what"])
            for line in lines
            if line.get("origin") == "state" or line["action"] == "apply-state"
        ]


@contextmanager
def running_nodes(trees: Sequence[ModuleTree]) -> Iterator[list[FleetNode]]:
    """Have a daemon run on each of ``trees`` while the block does; every second is in rack b."""
    with ExitStack() as stack:

        def start(number: int) -> FleetNode:
            settings = SETTINGS.format(rack="ab"[number % 2] + str(number))
            running = running_daemon(trees[number].root, settings=settings)
            daemon = stack.enter_context(running)
            return FleetNode(f"node-{number}", trees[number], daemon)

        with ThreadPoolExecutor(4) as starters:
            nodes = list(starters.map(start, range(len(trees))))
        yield nodes


@asynccontextmanager
async def store_of(cluster: EtcdCluster, *endpoints: str) -> AsyncIterator[Etcd]:
    """Have a connection to a cluster, as an operator's, while the block runs."""
    tls = tls_of(cluster.operator) if cluster.operator is not None else None
    etcd = Etcd(endpoints or cluster.endpoints, tls, timeout=2.0)
    try:
        yield etcd
    finally:
        await etcd.close()


@asynccontextmanager
async def running_agent(
    node: FleetNode,
    cluster: EtcdCluster,
    *endpoints: str,
    directory: Path | None = None,
    name: str = "",
    role: str = "steward",
    timing: AgentTiming = QUICK,
) -> AsyncIterator[Agent]:
    """Have an agent run beside a node's daemon while the block does."""
    async with store_of(cluster, *endpoints) as store:
        daemon = Kmodd(node.socket(role))
        agent = Agent(
            name or node.name, store, daemon, keys=KEYS, directory=directory, timing=timing
        )
        task = asyncio.ensure_future(agent.run())
        try:
            yield agent
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await daemon.close()


async def until(condition: Callable[[], bool], seconds: float = START) -> None:
    """Wait until a condition holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def apply(store: Etcd, name: str, document: str, selector: Selector | None = None) -> int:
    """Have the fleet wish for a document; returns the revision."""
    desired = Desired(name=name, document=document, selector=selector or Selector())
    done = await store.transact([], [Put(KEYS.desired(name), encode_desired(desired))])
    return done.revision


async def statuses(store: Etcd) -> dict[str, NodeStatus]:
    """Return what the nodes say of themselves."""
    found = {}
    for entry in (await store.list(KEYS.all_nodes)).entries:
        with suppress(UnreadableError):
            status = decode_status(entry)
            found[status.node] = status
    return found
