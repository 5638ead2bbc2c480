# SPDX-License-Identifier: Apache-2.0
"""Many agents in one process, each with a connection of its own and a daemon that is none.

``python -m tests.bench.fleet_agents ENDPOINT AUTHORITY CERTIFICATE KEY FIRST COUNT`` has the agents
of so many nodes run until stdin ends.
"""

import asyncio
import os
import sys

from kmodctl.fleet.agent import Agent
from kmodctl.fleet.etcd import Etcd
from kmodctl.fleet.links import Tls
from tests.support.simulated_daemon import SimulatedDaemon

BEGUN = 25
"""Agents that are started in a second."""

RACKS = 100


async def _run(endpoint: str, tls: Tls, first: int, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(first, first + count):
            daemon = SimulatedDaemon(f"r{number % RACKS}")
            agent = Agent(f"node-{number:05}", Etcd([endpoint], tls), daemon)
            tasks.create_task(agent.run())
            await asyncio.sleep(1 / BEGUN)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)  # ten thousand connections need not be ended one by one


def main() -> None:
    """Do what the command line says."""
    endpoint, *files, first, count = sys.argv[1:]
    asyncio.run(_run(endpoint, Tls(*files), int(first), int(count)))


if __name__ == "__main__":
    main()
