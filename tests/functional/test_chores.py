# SPDX-License-Identifier: Apache-2.0
"""Work, timers and threads of modules on the emulated kernel, with a real daemon.

What they say on a real kernel is told in tests/realkernel.
"""

from collections.abc import Iterator

import pytest

from kmodctl import Client
from tests.support.daemon import Daemon
from tests.support.require import require_emulator

require_emulator()

INIT = [
    "chores: washed",
    "chores: flushed, and again: 0",
    "chores: listener listens",
    "chores: armed: 1",
    "chores: tick 1",
    "chores: tick 2",
    "chores: tick 3",
    "chores: the bell rings",
    "chores: all is under way",
]


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def said(client: Client) -> list[str]:
    """Return what the module has printed."""
    lines = [record.text for record in client.read_log()]
    return [line for line in lines if line.startswith("chores: ") and "taint" not in line]


def test_work_timers_and_threads_go_on_while_code_waits_for_them(client: Client) -> None:
    client.load("chores")
    assert said(client) == INIT
    assert client.remove("chores") == ()
    assert said(client)[len(INIT) :] == [
        "chores: the clock was armed: 0",
        "chores: left to dry: 1",
        "chores: listener leaves",
        "chores: the listener returned 42",
    ]


def test_what_is_due_soon_is_done_before_the_next_call(client: Client) -> None:
    client.load("chores", parameters="due=5000")
    assert said(client) == [*INIT, "chores: dried"]
    assert client.remove("chores") == ()
    assert "chores: left to dry: 0" in said(client)


def test_what_a_parameters_own_setter_begins_is_done_before_the_next_call(client: Client) -> None:
    client.load("chores")
    client.set_parameter("chores", "more", "1")
    assert said(client) == [*INIT, "chores: washed"]


def test_what_exit_leaves_to_be_done_is_a_leak_and_never_done(client: Client) -> None:
    client.load("chores", parameters="leaves=1")
    work, timer = client.remove("chores")
    assert work.startswith("delayed work that is still due: dry, taken in chores_init+0x")
    assert timer.startswith("a timer that is still armed: tick, taken in chores_exit+0x")
    client.load("hello")
    assert "chores: dried" not in said(client)
    assert said(client)[-1] == "chores: the listener returned 42"


def test_work_that_never_ends_is_a_soft_lockup_and_ends_alone(client: Client) -> None:
    before = client.status()
    client.load("chores", parameters="never=1")
    lines = [record.text for record in client.read_log()]
    (stuck,) = [line for line in lines if "soft lockup" in line]
    assert lines[lines.index(stuck) :][:4][-1].startswith("RIP: 0010:wash+0x")
    assert said(client) == INIT
    client.remove("chores")
    assert (client.status().epoch, client.list_modules()) == (before.epoch, [])
    assert "L" in client.status().taints
