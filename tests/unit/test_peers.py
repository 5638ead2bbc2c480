# SPDX-License-Identifier: Apache-2.0
"""Who has connected, as a kernel tells that has a descriptor of the process, and one that has none.

Linux has one since 6.5 (SO_PEERPIDFD).
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmodd.access.peer import Peer
from kmodd.host import peers
from tests.support.identities import UNKNOWN_OPTION, connected_as
from tests.support.require import require

USER, GROUPS = 3001, (5001, 5002)


@pytest.fixture(params=["new", "old"], autouse=True)
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "old":
        monkeypatch.setattr(peers, "SO_PEERPIDFD", UNKNOWN_OPTION)


@contextmanager
def told(*, stays: bool = True) -> Iterator[tuple[Peer, int]]:
    """Whom a connection by a process of a user's is told to be by, and the process."""
    require(os.geteuid() == 0, "only root may be another user")
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        os.chmod(directory, 0o711)
        path = Path(directory, "s")
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        with connected_as(path, USER, GROUPS, stays=stays) as (_, pid):
            taken, _ = listening.accept()
            with taken:
                yield peers.peer_of(taken), pid


def test_a_process_is_told_with_its_start_and_its_name() -> None:
    with told() as (peer, pid):
        proc = Path(f"/proc/{pid}")
        assert (peer.uid, peer.gids, peer.pid) == (USER, frozenset(GROUPS), pid)
        assert f"{peer.command}\n" == (proc / "comm").read_text()
        assert str(peer.started) == (proc / "stat").read_text().rpartition(")")[2].split()[19]
        assert not peer.is_contained


def test_one_that_has_ended_is_told_as_its_user_alone() -> None:
    with told(stays=False) as (peer, _):
        assert peer == Peer(uid=USER, gids=frozenset(GROUPS))
