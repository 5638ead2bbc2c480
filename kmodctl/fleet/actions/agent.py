# SPDX-License-Identifier: Apache-2.0
"""fleet agent: be this machine's agent, which has the daemon wish for what etcd says."""

import logging
import sys

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.agent_process import run_agent
from kmodctl.fleet.agent_settings import agent_settings
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodd.host.systemd import JournalFormatter, LineFormatter, is_journal


async def run(options: CommandOptions, fleet: Fleet, _output: Output) -> int:
    """Work until a signal ends it."""
    _begin_logging()
    settings = agent_settings(
        fleet.agent, node=options.node, socket=options.socket, directory=options.directory
    )
    await run_agent(settings, fleet.etcd, fleet.keys)
    return 0


def _begin_logging() -> None:
    """Log to stderr what the agent has to say, with priorities where that is the journal's."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = JournalFormatter if is_journal(sys.stderr.fileno()) else LineFormatter
    handler.setFormatter(formatter("kmodctl: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("kmodctl").setLevel(logging.INFO)
