# SPDX-License-Identifier: Apache-2.0
"""The relay: what comes in at one end goes out at the other, in order and to the last byte."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from kmodd.host import relay
from kmodd.host.allowance import Allowance
from kmodd.host.carried import Carried
from kmodd.host.relay import CHUNK, Relay

PATIENCE = 60.0


class Carrier:
    """A relay that carries each connection to a socket of the test's."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.relay.start()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(f"\0kmodd-test-{secrets.token_hex(8)}")
        self.listening.listen()
        self.address = self.listening.getsockname()
        self.over: list[int] = []
        self.allowance: Allowance | None = None
        self._far: list[socket.socket] = []
        self._carried: list[Carried] = []
        self._taken = threading.Semaphore(0)
        self.relay.listen(self.listening, self._accept)

    def connect(self) -> tuple[socket.socket, socket.socket, Carried]:
        """Return the client's end, the server's, and what is carried between them."""
        near = socket.socket(socket.AF_UNIX)
        near.connect(self.address)
        near.settimeout(PATIENCE)
        assert self._taken.acquire(timeout=PATIENCE)
        self._far[-1].settimeout(PATIENCE)
        return near, self._far[-1], self._carried[-1]

    def _accept(self, taken: socket.socket) -> None:
        ours, far = socket.socketpair()
        ours.setblocking(False)
        number = len(self._far)
        self._far.append(far)
        carried = self.relay.carry(taken, ours, lambda: self.over.append(number), self.allowance)
        self._carried.append(carried)
        self._taken.release()


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    found = Carrier()
    yield found
    found.relay.stop()
    for each in found._far:
        each.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def received(end: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count and (piece := end.recv(count - len(found))):
        found += piece
    return bytes(found)


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 40 << 20])
@pytest.mark.parametrize("backwards", [False, True])
def test_all_bytes_arrive_in_order(carrier: Carrier, size: int, backwards: bool) -> None:
    near, far, _ = carrier.connect()
    start, end = (far, near) if backwards else (near, far)
    data = os.urandom(min(size, 1 << 20)) * max(1, size >> 20)
    with near:
        sending = threading.Thread(target=start.sendall, args=(data,))
        sending.start()
        assert received(end, len(data)) == data
        sending.join()


def test_what_was_sent_before_the_end_arrives_though_it_was_not_read_yet(carrier: Carrier) -> None:
    near, far, _ = carrier.connect()
    data = os.urandom(1 << 20)
    with near:

        def send() -> None:
            far.sendall(data)
            far.close()

        sending = threading.Thread(target=send)
        sending.start()
        wait_until(lambda: bool(carrier.relay._ends))
        assert received(near, len(data) + 1) == data
        sending.join()
    wait_until(lambda: carrier.over == [0])


def test_both_ends_are_closed_when_one_is_and_who_cares_is_told_once(carrier: Carrier) -> None:
    near, far, carried = carrier.connect()
    near.close()
    assert far.recv(1) == b""
    wait_until(lambda: carrier.over == [0])
    carrier.relay.end(carried)
    other, its_far, _ = carrier.connect()
    its_far.close()
    assert other.recv(1) == b""
    other.close()
    wait_until(lambda: carrier.over == [0, 1])
    wait_until(lambda: not carrier.relay._ends)


def test_one_that_is_ended_gets_what_the_server_had_sent(carrier: Carrier) -> None:
    near, far, carried = carrier.connect()
    with near:
        far.sendall(b"last word")
        assert near.recv(9) == b"last word"
        carrier.relay.end(carried)
        assert near.recv(1) == b""


@pytest.mark.parametrize("who", ["client", "relay"])
@pytest.mark.parametrize("size", [9, 4 << 20])
def test_the_servers_last_words_arrive_after_the_end(carrier: Carrier, who: str, size: int) -> None:
    near, far, carried = carrier.connect()
    words, question = os.urandom(size), os.urandom(2 << 20)
    with near:
        sending = threading.Thread(target=near.sendall, args=(question,))
        sending.start()
        assert received(far, 1) == question[:1]
        assert received(far, len(question) - 1) == question[1:]
        sending.join()
        if who == "relay":
            carrier.relay.end(carried)
        else:
            near.shutdown(socket.SHUT_WR)
        assert far.recv(1) == b""

        def answer() -> None:
            far.sendall(words)
            far.close()

        answering = threading.Thread(target=answer)
        answering.start()
        assert received(near, len(words) + 1) == words
        answering.join()
    wait_until(lambda: carrier.over == [0])


def test_what_is_on_its_way_to_the_server_comes_before_the_end(carrier: Carrier) -> None:
    near, far, carried = carrier.connect()
    near.settimeout(0.1)
    count = 0
    with near:
        with suppress(TimeoutError):
            while True:
                count += near.send(bytes(CHUNK))
        assert carried.far.unsent
        left = len(carried.far.unsent)
        carrier.relay.end(carried)
        got = received(far, count + 1)
        assert left <= len(got) <= count
        far.close()
        wait_until(lambda: carrier.over == [0])


def test_a_server_that_does_not_end_is_cut_off(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LINGER", 0.05)
    near, far, carried = carrier.connect()
    with near:
        carrier.relay.end(carried)
        assert far.recv(1) == b""
        assert near.recv(1) == b""
        assert carrier.over == [0]
        carrier.relay.end(carried)
    far.close()


@pytest.mark.parametrize("is_served", [True, False])
def test_who_serves_what_is_watched_has_its_last_words_sent(
    carrier: Carrier, is_served: bool
) -> None:
    asked: list[str] = []
    over: list[str] = []

    def part(of: str) -> bool:
        asked.append(of)
        return is_served

    client, server = socket.socketpair()
    with client, server:
        watched = carrier.relay.watch(server.dup(), over.append, part, "it")
        carrier.relay.end(watched)
        wait_until(lambda: asked == ["it"])
        if is_served:
            server.sendall(b"last word")
            server.shutdown(socket.SHUT_RDWR)
            assert client.recv(9) == b"last word"
        assert client.recv(1) == b""
    wait_until(lambda: over == ["it"])


def test_a_client_that_reads_nothing_keeps_no_other_from_being_served(carrier: Carrier) -> None:
    near, far, _ = carrier.connect()
    far.setblocking(False)
    with near, suppress(BlockingIOError):
        while True:
            far.send(bytes(1 << 16))
            time.sleep(0.001)
    other, its_far, _ = carrier.connect()
    with other:
        other.sendall(b"x")
        assert its_far.recv(1) == b"x"


def test_nothing_turns_while_nothing_happens(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it that a client has gone whose bytes nobody takes, or that one rests."""
    near, far, _ = carrier.connect()
    near.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            near.send(bytes(1 << 16))
            time.sleep(0.001)
    near.close()
    turns: list[int] = []
    turn = carrier.relay._turn

    def counted() -> None:
        turns.append(1)
        turn()

    monkeypatch.setattr(carrier.relay, "_turn", counted)
    time.sleep(0.3)
    assert len(turns) < 5
    far.close()


def test_one_that_is_taken_and_cannot_be_served_is_closed(carrier: Carrier) -> None:
    def refuse(_: socket.socket) -> None:
        raise OSError(111, "nobody there")

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0kmodd-test-{secrets.token_hex(8)}")
    listening.listen()
    carrier.relay.listen(listening, refuse)
    with socket.socket(socket.AF_UNIX) as near:
        near.connect(listening.getsockname())
        near.settimeout(PATIENCE)
        assert near.recv(1) == b""
    near, far, _ = carrier.connect()
    with near:
        near.sendall(b"x")
        assert far.recv(1) == b"x"


def test_a_listener_that_is_given_up_refuses(carrier: Carrier) -> None:
    carrier.relay.listen_no_more(carrier.listening)
    wait_until(lambda: carrier.listening.fileno() == -1)
    with socket.socket(socket.AF_UNIX) as near, pytest.raises(ConnectionRefusedError):
        near.connect(carrier.address)


def test_the_end_of_the_relay_is_the_end_of_all(carrier: Carrier) -> None:
    near, far, _ = carrier.connect()
    carrier.relay.stop()
    with near:
        assert near.recv(1) == far.recv(1) == b""
    assert carrier.over == [0]
    carrier.relay.stop()


def test_an_allowance_is_a_seconds_worth_at_once_and_the_rate_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("kmodd.host.relay.time.monotonic", lambda: now[0])
    allowance = Allowance(1000)
    assert allowance.is_full()
    assert allowance.take(600) == 0
    assert allowance.take(400) == 0
    assert not allowance.is_full()
    assert allowance.take(500) == pytest.approx(0.5)
    now[0] += 0.5
    assert allowance.take(0) == 0
    assert allowance.take(100) == pytest.approx(0.1)
    now[0] += 100
    assert allowance.is_full()
    assert allowance.take(1000) == 0
    assert allowance.take(2000) == pytest.approx(2)


def test_what_is_beyond_an_allowance_is_carried_later_and_what_comes_back_at_once(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    after = carrier.relay._after

    def noted(seconds: float, what: Callable[[], None]) -> None:
        rests.append(seconds)
        after(min(seconds, 0.05), what)

    monkeypatch.setattr(carrier.relay, "_after", noted)
    carrier.allowance = Allowance(50_000)
    near, far, carried = carrier.connect()
    data = os.urandom(3 << 20)
    with near:
        sending = threading.Thread(target=near.sendall, args=(data,))
        sending.start()
        wait_until(lambda: bool(rests))
        far.sendall(b"answer")
        assert near.recv(6) == b"answer"
        carried.allowance = None
        carried.near.rests_until = 0.0
        assert received(far, len(data)) == data
        sending.join()
    assert rests[0] > 0
