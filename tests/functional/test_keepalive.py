# SPDX-License-Identifier: Apache-2.0
"""Clients that ping to keep their connections."""

import struct
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from kmodd.v1 import module_service_pb2 as modules
from tests.support.daemon import running_daemon
from tests.support.http2 import Kind, RawConnection, frame
from tests.support.tree import ModuleTree

INTERVAL = 0.02
"""Seconds that are to be between two pings."""

PINGS = 20
"""Ten times what gRPC lets pass before it takes offence."""

HOLD = "/kmodd.v1.ModuleService/HoldModules"

SETTINGS = f"""
[[socket]]
path = "@/admin/s"

[limits]
ping_interval = {INTERVAL}
"""


def ping(raw: RawConnection, number: int) -> None:
    raw.send(frame(Kind.PING, struct.pack(">Q", number)))


def is_answered(raw: RawConnection, number: int) -> bool:
    """Read on until a ping is answered, or the server wants no more of the client."""
    for kind, _, payload in raw.frames():
        if kind == Kind.GOAWAY:
            return False
        if kind == Kind.PING and payload == struct.pack(">Q", number):
            return True
    return False


def nothing(raw: RawConnection) -> None:
    """Make no call."""


def hold(raw: RawConnection) -> None:
    """Hold a module, by a call that then has no more to say."""
    request = modules.HoldModulesRequest(load=modules.LoadModulesRequest(names=["hello"]))
    raw.await_answer(raw.call(HOLD, request.SerializeToString()))


@pytest.mark.parametrize("call", [nothing, hold])
def test_a_client_that_pings_no_more_often_than_it_may_keeps_its_connection(
    modules_root: ModuleTree, call: Callable[[RawConnection], None]
) -> None:
    with (
        running_daemon(modules_root.root, settings=SETTINGS, place="admin/s") as daemon,
        RawConnection(daemon.socket) as raw,
    ):
        call(raw)
        for number in range(1, PINGS + 1):
            time.sleep(2 * INTERVAL)
            ping(raw, number)
            assert is_answered(raw, number)


@pytest.mark.parametrize("call", [nothing, hold])
def test_a_client_that_pings_all_the_time_is_sent_away(
    modules_root: ModuleTree, call: Callable[[RawConnection], None]
) -> None:
    with running_daemon(modules_root.root) as daemon, RawConnection(daemon.socket) as raw:
        call(raw)
        with suppress(BrokenPipeError):  # it has been sent away by then
            for number in range(PINGS):
                ping(raw, number)
        last = [payload for kind, _, payload in raw.frames() if kind == Kind.GOAWAY]
        assert last[-1].endswith(b"too_many_pings")
