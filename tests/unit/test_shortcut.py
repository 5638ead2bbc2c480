# SPDX-License-Identifier: Apache-2.0
"""A server of grpc's is given connections themselves, and keeps what it was told of their peers."""

import os
import secrets
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from kmodd.host import relay
from kmodd.host import shortcut as shortcuts
from kmodd.host.relay import Relay
from kmodd.host.shortcut import Shortcut
from kmodd.host.transport import abstract_peer

if TYPE_CHECKING:
    from kmodd.host.carried import Carried

PATIENCE = 60.0

MESSAGE = 8 << 20
"""More bytes than any buffer on the way has room for."""


class Served:
    """A grpc server, and a socket whose connections it is to have: it answers with what it got."""

    def __init__(self, directory: Path) -> None:
        self.place = directory / "clients"
        self.server_place = directory / "server"
        self.relay = Relay()
        self.shortcut = Shortcut()
        self.carried: list[Carried] = []
        self.over: list[str] = []
        self.peers: list[str] = []
        self.threads = ThreadPoolExecutor(4)
        self.server = grpc.server(
            self.threads, options=(("grpc.max_receive_message_length", 2 * MESSAGE),)
        )
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        self.server.add_registered_method_handlers("test.Echo", {"Call": handler})
        self.server.add_insecure_port(f"unix:{self.server_place}")
        self.server.start()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.place))
        self._listening.listen()
        self.relay.start()
        self.relay.listen(self._listening, self._accept)

    def connected(self, name: str) -> socket.socket:
        """Return a connection to the server that is bound to ``name``."""
        far = socket.socket(socket.AF_UNIX)
        far.bind(b"\0" + name.encode())
        far.connect(str(self.server_place))
        return far

    def try_out(self) -> bool:
        """Tell whether the shortcut works with the server."""
        return self.shortcut.try_out(self.connected(f"trial-{secrets.token_hex(8)}"))

    def stop(self) -> None:
        """End everything."""
        self.shortcut.close()
        self.server.stop(None)
        self.relay.stop()
        self.threads.shutdown()

    def _accept(self, taken: socket.socket) -> None:
        name = f"test-{secrets.token_hex(8)}"
        far = self.connected(name)
        far.setblocking(False)
        over = lambda: self.over.append(abstract_peer(name))  # noqa: E731
        self.carried.append(self.relay.carry(taken, far, over, shortcut=self.shortcut))

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.peers.append(context.peer())
        return request


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(relay, "PROMPT", PATIENCE)
    monkeypatch.setattr(shortcuts, "PATIENCE", PATIENCE)
    found = Served(tmp_path)
    yield found
    found.stop()


def channel_to(served: Served) -> grpc.Channel:
    """Return a connection of its own to the server."""
    return grpc.insecure_channel(
        f"unix:{served.place}",
        options=(
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 2 * MESSAGE),
        ),
    )


def call(channel: grpc.Channel, request: bytes) -> bytes:
    answer: bytes = channel.unary_unary("/test.Echo/Call")(request, timeout=PATIENCE)
    return answer


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_each_client_has_the_server_itself_and_is_known_by_its_name(served: Served) -> None:
    assert served.try_out()
    with channel_to(served) as one, channel_to(served) as other:
        assert call(one, b"one") == b"one"
        assert call(other, b"other") == b"other"
        assert call(one, b"again") == b"again"
        assert [each.is_direct for each in served.carried] == [True, True]
    assert served.peers[0] == served.peers[2] != served.peers[1]
    wait_until(lambda: len(served.over) == 2)
    assert set(served.over) == set(served.peers)


def test_what_is_larger_than_any_buffer_comes_through_whole(served: Served) -> None:
    assert served.try_out()
    message = os.urandom(MESSAGE)
    with channel_to(served) as channel:
        assert call(channel, message) == message
        assert served.carried[0].is_direct


def test_many_connect_at_once_while_programs_are_started(served: Served) -> None:
    assert served.try_out()
    answers: list[bytes] = []

    def client(number: int) -> None:
        with channel_to(served) as channel:
            answers.extend(call(channel, b"%d" % number) for _ in range(5))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        subprocess.run(["true"], check=True)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answers) == sorted(b"%d" % number for number in range(40) for _ in range(5))
    assert len(set(served.peers)) == 40


def test_a_connection_that_is_ended_is_over_for_both(served: Served) -> None:
    assert served.try_out()
    with channel_to(served) as channel:
        call(channel, b"")
        served.relay.end(served.carried[0])
        wait_until(lambda: len(served.over) == 1)
        call(channel, b"by a new connection")
        assert len(set(served.peers)) == 2


def test_the_end_of_the_server_ends_its_connections(served: Served) -> None:
    assert served.try_out()
    with channel_to(served) as channel:
        call(channel, b"")
        served.shortcut.close()
        served.server.stop(None).wait()
        wait_until(lambda: len(served.over) == 1)


def test_who_leaves_before_the_server_has_spoken_is_forgotten(served: Served) -> None:
    assert served.try_out()
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.place))
    wait_until(lambda: len(served.over) == 20)
    with channel_to(served) as channel:
        assert call(channel, b"next") == b"next"
        assert served.carried[-1].is_direct


def test_those_beyond_the_bound_are_carried_and_an_end_makes_room(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.try_out()
    monkeypatch.setattr(shortcuts, "MOST", 1)
    with channel_to(served) as one:
        call(one, b"one")
        with channel_to(served) as other:
            assert call(other, b"other") == b"other"
        wait_until(lambda: len(served.over) == 1)
    wait_until(lambda: len(served.over) == 2)
    with channel_to(served) as last:
        assert call(last, b"last") == b"last"
    assert [each.is_direct for each in served.carried] == [True, False, True]


def test_a_server_that_was_held_up_is_carried_to(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.try_out()
    monkeypatch.setattr(relay, "PROMPT", 0.0)
    with channel_to(served) as channel:
        assert call(channel, b"late") == b"late"
    assert not served.carried[0].is_direct


def test_all_are_carried_once_it_is_closed(served: Served) -> None:
    assert served.try_out()
    served.shortcut.close()
    with channel_to(served) as channel:
        assert call(channel, b"carried") == b"carried"
    assert not served.carried[0].is_direct


@pytest.mark.parametrize("greeting", [b"", b"hello"])
def test_a_server_that_waits_in_another_way_is_left_alone(
    tmp_path: Path, greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcuts, "PATIENCE", 0.05)
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(tmp_path / "server"))
        listening.listen()
        far = socket.socket(socket.AF_UNIX)
        far.bind(b"\0test-" + secrets.token_hex(8).encode())
        far.connect(str(tmp_path / "server"))
        taken = stack.enter_context(listening.accept()[0])
        taken.sendall(greeting)
        number, inode = taken.fileno(), os.fstat(taken.fileno()).st_ino
        shortcut = Shortcut()
        assert not shortcut.try_out(far)
        assert not shortcut.is_open()
        assert os.fstat(number).st_ino == inode


def test_an_answer_that_never_comes_is_no_shortcut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that epoll wakes, but that does not read what it is given."""
    monkeypatch.setattr(shortcuts, "PATIENCE", 0.05)
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(tmp_path / "server"))
        listening.listen()
        far = socket.socket(socket.AF_UNIX)
        far.bind(b"\0test-" + secrets.token_hex(8).encode())
        far.connect(str(tmp_path / "server"))
        taken = stack.enter_context(listening.accept()[0])
        poll = stack.enter_context(select.epoll())
        poll.register(taken, select.EPOLLIN | select.EPOLLET)
        taken.sendall(b"settings")
        shortcut = Shortcut()
        assert not shortcut.try_out(far)
        assert not shortcut.is_open()
        assert (taken.fileno(), select.EPOLLIN) in [
            (fd, event & select.EPOLLIN) for fd, event in poll.poll(PATIENCE)
        ]
