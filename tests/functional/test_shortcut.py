# SPDX-License-Identifier: Apache-2.0
"""An admin's connection is the server's own: nothing stands between them once it has begun."""

import os
from contextlib import suppress
from pathlib import Path

from tests.support.daemon import Daemon


def carried(daemon: Daemon) -> int:
    """Return how many connections the daemon carries the bytes of.

    Each goes on by a socket that is bound to a name of the daemon's own making.
    """
    own = set()
    for each in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            own.add(os.readlink(each))
    lines = Path(f"/proc/{daemon.process.pid}/net/unix").read_text().splitlines()[1:]
    fields = [line.split() for line in lines if " @kmodd-" in line]
    return sum(f"socket:[{each[6]}]" in own for each in fields)


def test_an_admin_speaks_with_the_server_itself(daemon: Daemon) -> None:
    clients = [daemon.client() for _ in range(5)]
    try:
        for client in clients:
            client.load("hello")
            assert [module.name for module in client.list_modules()] == ["hello"]
        assert carried(daemon) == 0
    finally:
        for client in clients:
            client.close()


def test_what_many_connections_leave_behind_is_nothing(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.list_modules()
        before = len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))
        for _ in range(50):
            with daemon.client() as other:
                other.list_modules()
        client.list_modules()
        with daemon.client() as last:  # taken after all those before it have ended
            last.list_modules()
        assert len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir())) <= before + 4
