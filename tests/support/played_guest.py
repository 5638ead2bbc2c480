# SPDX-License-Identifier: Apache-2.0
"""A guest's agent as an ordinary process of this machine, and the conversation with it."""

import platform
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from kmodd.errors import KernelError, Reason
from kmodd.kernel.vm.agent import agent_of
from kmodd.kernel.vm.guest_system import GuestSystem
from kmodd.kernel.vm.wire import Greeting, GuestWire, Tell
from tests.support.require import require

PATIENCE = 60.0
"""Seconds that something may take on a busy machine."""


@dataclass
class PlayedGuest:
    """What of a guest can be had without a kernel of its own."""

    process: "subprocess.Popen[bytes]"
    wire: GuestWire
    system: GuestSystem
    greeting: Greeting
    asked_at: str
    asked: "SimpleQueue[tuple[int, bytes]]" = field(default_factory=SimpleQueue)
    deaths: list[str] = field(default_factory=list)

    def children(self) -> list[int]:
        """Return the processes that calls are made in."""
        pid = self.process.pid
        return [int(each) for each in _read(f"/proc/{pid}/task/{pid}/children").split()]


def own_agent() -> Path:
    """Return the agent that this machine can execute."""
    agent = agent_of(platform.machine())
    require(agent.exists(), f"there is no agent for {platform.machine()}")
    return agent


@contextmanager
def conversation(
    end: socket.socket, *, call_seconds: float = PATIENCE
) -> Iterator[tuple[GuestWire, GuestSystem, list[str], "SimpleQueue[tuple[int, bytes]]"]]:
    """Speak with whoever is at the other end: the wire, the system, how it ended, requests."""
    deaths: list[str] = []
    asked: SimpleQueue[tuple[int, bytes]] = SimpleQueue()

    def told(kind: Tell, number: int, body: bytes) -> None:
        if kind is Tell.REQUEST:
            asked.put((number, body))
        else:
            system.told(kind, body)

    def gone(of: GuestWire, why: str) -> None:
        deaths.append(why)
        of.fail(KernelError(Reason.KERNEL_PANIC, why))

    def now() -> GuestWire:
        return wire

    system = GuestSystem("6.1.0", now, call_seconds=call_seconds)
    wire = GuestWire(end, told, gone)
    try:
        yield wire, system, deaths, asked
    finally:
        wire.fail(KernelError(Reason.SHUTTING_DOWN, "the test is over"))
        wire.close()


@contextmanager
def played_guest(
    agent: Path | None = None, *, call_seconds: float = PATIENCE
) -> Iterator[PlayedGuest]:
    """Run an agent and greet it."""
    end, other = socket.socketpair()
    asked_at = f"kmodd-test-{uuid.uuid4()}"
    with other:
        command = [str(agent or own_agent()), "--port", str(other.fileno()), asked_at]
        process = subprocess.Popen(command, pass_fds=[other.fileno()])
    try:
        with conversation(end, call_seconds=call_seconds) as (wire, system, deaths, asked):
            greeting = wire.greet(PATIENCE)
            yield PlayedGuest(process, wire, system, greeting, asked_at, asked, deaths)
    finally:
        process.kill()
        process.wait(PATIENCE)


def _read(path: str) -> str:
    return Path(path).read_text()
