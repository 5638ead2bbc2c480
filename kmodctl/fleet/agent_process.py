# SPDX-License-Identifier: Apache-2.0
"""An agent as a process: one for each node, which tells how it is, until a signal ends it."""

import asyncio
import fcntl
import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kmodctl.errors import KmodctlError
from kmodctl.fleet.agent import Agent
from kmodctl.fleet.agent_settings import AgentSettings
from kmodctl.fleet.model import Keys, NodeStatus, WishFate
from kmodctl.fleet.node_daemon import Kmodd
from kmodctl.fleet.store import Store
from kmodd.host.systemd import notify
from kmodd.host.whole_file import write_whole

STATUS = "status.json"
"""The file in the agent's directory that tells how it is."""

LOCK = "lock"
"""The file there that keeps a second agent of the same node away."""

log = logging.getLogger(__name__)


class AgentError(KmodctlError):
    """An agent cannot begin; the message names what is in its way."""

    reason = "NO_AGENT"


async def run_agent(settings: AgentSettings, store: Store, keys: Keys) -> None:
    """Be a node's agent until SIGTERM or SIGINT. Raises AgentError."""
    with _own_directory(settings.directory, settings.node) as directory:
        teller = _Teller(directory)
        daemon = Kmodd(settings.socket)
        agent = Agent(
            settings.node,
            store,
            daemon,
            keys=keys,
            directory=directory,
            timing=settings.timing,
            told=teller.tell,
        )
        task = asyncio.ensure_future(agent.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        notify("READY=1")
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            notify("STOPPING=1")
            await daemon.close()


@contextmanager
def _own_directory(directory: Path, node: str) -> Iterator[Path]:
    """Have a directory that no other process has meanwhile. Raises AgentError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AgentError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise AgentError(f"{directory}: another agent of the node {node} runs here") from None
    try:
        yield directory
    finally:
        os.close(fd)


class _Teller:
    """Writes how an agent is where people and the service manager look, when it has changed."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATUS
        self._before: dict[str, Any] = {}
        self._was_away = self._said = ""

    def tell(self, agent: Agent) -> None:
        """Tell it."""
        away = agent.contact.away
        since = _time(away.since) if away else ""
        self._log(agent, since)
        status = _object(agent.status)
        status["etcd_away_since"] = since
        status["etcd_away_why"] = away.why if away else ""
        if status == self._before:
            return
        self._before = status
        with suppress(OSError):  # it is for who looks there, and has no room
            write_whole(self._path, json.dumps(status, indent=1).encode() + b"\n", lasting=False)
        notify(f"STATUS={status_line(agent.status, since)}")

    def _log(self, agent: Agent, since: str) -> None:
        if since != self._was_away:
            self._was_away = since
            if agent.contact.away is not None:
                log.warning("etcd does not answer: %s", agent.contact.away.why)
            else:
                log.info("etcd answers")
        if agent.problem != self._said:
            self._said = agent.problem
            log.log(*(logging.WARNING, "%s", self._said) if self._said else (logging.INFO, "works"))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def status_line(status: NodeStatus, away_since: str) -> str:
    """Return how a node is, in a line."""
    parts = [status.problem] if status.problem else []
    if away_since:
        parts.append(f"etcd away since {away_since}")
    done = sum(each.fate is WishFate.DONE for each in status.wishes)
    parts.append(f"{status.node}: {done} of {len(status.wishes)} wishes are true")
    return "; ".join(parts)


def _object(status: NodeStatus) -> dict[str, Any]:
    return {
        "node": status.node,
        "problem": status.problem,
        "wishes": [
            {"name": each.name, "revision": each.revision, "fate": each.fate, "why": each.why}
            for each in status.wishes
        ],
        "troubles": [
            {"module": each.module, "name": each.name, "standing": each.standing, "why": each.why}
            for each in status.troubles
        ],
    }
