# SPDX-License-Identifier: Apache-2.0
"""An admin's connection is the server's own: nothing stands between them once it has begun."""

from pathlib import Path

from tests.support.daemon import Daemon


def carried(daemon: Daemon) -> int:
    """Return how many connections the daemon carries the bytes of.

    Each goes on by a socket that is bound to a name of the daemon's own making.
    """
    own = daemon.open_files()
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
        before = len(daemon.open_files())
        for _ in range(50):
            with daemon.client() as other:
                other.list_modules()
        client.list_modules()
        with daemon.client() as last:  # taken after all those before it have ended
            last.list_modules()
        assert len(daemon.open_files()) <= before + 4
