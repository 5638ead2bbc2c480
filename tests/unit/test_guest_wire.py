# SPDX-License-Identifier: Apache-2.0
"""What a guest may say, and what may be said to its agent: any bytes, and nothing is lost by it."""

import errno
import os
import random
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.linux.kmsg import parse_record
from kmodd.kernel.vm.guest_system import GuestSystem
from kmodd.kernel.vm.streams import EVENTS_KEPT, KEPT, RECORD_MAX, GuestEvents, GuestLog
from kmodd.kernel.vm.wire import FRAME_MAX, VERSION, Ask, GuestWire, Tell, await_agent
from tests.support.played_guest import PATIENCE, conversation, own_agent, played_guest

HELLO = struct.pack(">I", VERSION) + b"6.1.0\0x86_64\0"
DONE = struct.pack(">IB", 0, 0)


def frame(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(">IIB", 5 + len(body), number, kind) + body


class PlayedAgent:
    """The guest's end of a conversation, which says what it is told to."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        end.settimeout(PATIENCE)

    def heard(self) -> tuple[int, int, bytes]:
        """Return the next request: its kind, its number, its body."""
        head = self._take(9)
        size, number, kind = struct.unpack(">IIB", head)
        return kind, number, self._take(size - 5)

    def say(self, kind: int, number: int, body: bytes = b"") -> None:
        self.end.sendall(frame(kind, number, body))

    def greet(self) -> None:
        """Answer the greeting."""
        kind, number, _ = self.heard()
        assert kind == Ask.HELLO
        self.say(Tell.PART, number, HELLO)
        self.say(Tell.END, number, DONE)

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.end.recv(size - len(data))
            assert piece
            data += piece
        return data


class Spoken:
    """A conversation with a played agent, which has been greeted."""

    def __init__(self, agent: PlayedAgent, wire: GuestWire, system: GuestSystem, deaths: list[str]):
        self.agent, self.wire, self.system, self.deaths = agent, wire, system, deaths

    def call(self) -> Callable[[], bytes | Exception]:
        """Begin a call; returns what waits for it and gives what has come of it."""
        outcome: list[bytes | Exception] = []

        def ask() -> None:
            try:
                outcome.append(self.wire.call(Ask.READ, b"\0\0\0\1/x", PATIENCE))
            except (OSError, KernelError) as error:
                outcome.append(error)

        asking = threading.Thread(target=ask)
        asking.start()

        def wait() -> bytes | Exception:
            asking.join(PATIENCE)
            return outcome[0]

        return wait


@contextmanager
def spoken() -> Iterator[Spoken]:
    ours, theirs = socket.socketpair()
    with theirs, conversation(ours) as (wire, system, deaths, _):
        agent = PlayedAgent(theirs)
        answering = threading.Thread(target=agent.greet)
        answering.start()
        wire.greet(PATIENCE)
        answering.join(PATIENCE)
        yield Spoken(agent, wire, system, deaths)


def test_answers_come_in_any_order_and_in_parts() -> None:
    with spoken() as talk:
        first = talk.call()
        _, first_number, _ = talk.agent.heard()
        second = talk.call()
        _, second_number, _ = talk.agent.heard()
        talk.agent.say(Tell.PART, second_number, b"b")
        talk.agent.say(Tell.PART, first_number, b"a")
        talk.agent.say(Tell.PART, first_number, b"a")
        talk.agent.say(Tell.END, second_number, DONE)
        talk.agent.say(Tell.END, first_number, struct.pack(">IB", errno.ENODEV, 0))
        failed = first()
        assert (second(), isinstance(failed, OSError)) == (b"b", True)
        assert isinstance(failed, OSError)
        assert failed.errno == errno.ENODEV


NONSENSE = {
    "an unknown kind": frame(77, 1),
    "an answer to nothing": frame(Tell.PART, 5, b"x"),
    "an end of nothing": frame(Tell.END, 5, DONE),
    "a frame that is too long": struct.pack(">IIB", FRAME_MAX + 1, 1, Tell.LOG),
    "a frame without a kind": struct.pack(">IIB", 4, 1, Tell.LOG),
    "silence": b"",
    "half a frame": frame(Tell.LOG, 0, b"6,1,1,-;x")[:11],
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_a_guest_that_talks_nonsense_is_gone(said: bytes) -> None:
    with spoken() as talk:
        call = talk.call()
        talk.agent.heard()
        talk.agent.end.sendall(said)
        talk.agent.end.shutdown(socket.SHUT_WR)
        failed = call()
        assert isinstance(failed, KernelError)
        assert failed.reason is Reason.KERNEL_PANIC
        assert talk.deaths


@pytest.mark.parametrize("outcome", [b"", b"\0", struct.pack(">IB", 4096, 0)])
def test_an_end_without_an_outcome_is_nonsense(outcome: bytes) -> None:
    with spoken() as talk:
        call = talk.call()
        _, number, _ = talk.agent.heard()
        talk.agent.say(Tell.END, number, outcome)
        failed = call()
        assert isinstance(failed, KernelError)
        assert "nonsense" in failed.message


def test_any_bytes_end_the_conversation_at_most() -> None:
    randomness = random.Random(29)
    kinds = [*Tell, 0, 9]
    for _ in range(40):
        with spoken() as talk:
            call = talk.call()
            _, number, _ = talk.agent.heard()
            said = bytearray()
            for _ in range(randomness.randrange(1, 20)):
                body = randomness.randbytes(randomness.randrange(40))
                about = randomness.choice([number, 0, number + 1])
                said += frame(randomness.choice(kinds), about, body)
            for _ in range(randomness.randrange(3)):
                said[randomness.randrange(len(said))] = randomness.randrange(256)
            with suppress(OSError):
                talk.agent.end.sendall(said)
                talk.agent.end.shutdown(socket.SHUT_WR)
            assert isinstance(call(), (bytes, OSError, KernelError))
            assert talk.deaths


def test_what_comes_before_the_greeting_is_passed_over() -> None:
    ours, theirs = socket.socketpair()
    with theirs, conversation(ours) as (wire, system, deaths, _):
        agent = PlayedAgent(theirs)
        agent.say(Tell.LOG, 0, b"6,1,1,-;of an earlier conversation")
        agent.say(Tell.END, 5, DONE)
        answering = threading.Thread(target=agent.greet)
        answering.start()
        assert wire.greet(PATIENCE).release == "6.1.0"
        answering.join(PATIENCE)
        assert (system.log.open(at_end=False).fresh(), deaths) == ([], [])


@pytest.mark.parametrize("greeting", [b"", b"\0\0\0\2a\0b\0", HELLO[:-1], b"\0\0\0\1a\0b\0c\0"])
def test_an_agent_of_another_protocol_is_not_spoken_to(greeting: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs, conversation(ours) as (wire, _, deaths, _):
        agent = PlayedAgent(theirs)

        def answer() -> None:
            _, number, _ = agent.heard()
            agent.say(Tell.PART, number, greeting)
            agent.say(Tell.END, number, DONE)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(KernelError, match="protocol"):
            wire.greet(PATIENCE)
        answering.join(PATIENCE)
        assert deaths


def test_an_agent_answers_before_a_conversation_begins() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [str(own_agent()), "--port", str(theirs.fileno()), "kmodd-test-sign"]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        for _ in range(3):
            await_agent(ours, PATIENCE)
        with conversation(ours) as (wire, *_):
            assert wire.greet(PATIENCE).release == os.uname().release
        assert process.wait(PATIENCE) == 0
    with socket.socket(socket.AF_UNIX) as alone, pytest.raises(OSError):  # noqa: PT011
        await_agent(alone, PATIENCE)


def test_who_does_not_answer_is_waited_for_no_longer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(TimeoutError):
            await_agent(ours, 0.01)
        theirs.sendall(frame(Tell.END, 0, DONE))
        with pytest.raises(OSError, match="nonsense"):
            await_agent(ours, PATIENCE)
        theirs.close()
        with pytest.raises(OSError):  # noqa: PT011
            await_agent(ours, PATIENCE)


def test_an_agent_takes_any_bytes() -> None:
    randomness = random.Random(29)
    for _ in range(60):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [str(own_agent()), "--port", str(theirs.fileno()), "kmodd-test-hostile"]
            process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
            theirs.close()
            said = bytearray(frame(Ask.HELLO, 1))
            for _ in range(randomness.randrange(1, 30)):
                body = randomness.choice([b"\0" * 8, b"/proc\0", b""]) + randomness.randbytes(
                    randomness.choice([0, 1, 30, 300])
                )
                # No module that has a name is to be unloaded, nor a file to be written to.
                kind = randomness.choice([*set(Ask) - {Ask.DELETE, Ask.WRITE}, 0, 99])
                said += frame(kind, randomness.randrange(4), body)
            for _ in range(randomness.randrange(4)):
                said[randomness.randrange(len(said))] ^= 1 << randomness.randrange(3)
            drain = threading.Thread(target=_drain, args=(ours,))
            drain.start()
            with suppress(OSError):
                ours.sendall(said)
                ours.shutdown(socket.SHUT_WR)
            assert process.wait(PATIENCE) == 0
            drain.join(PATIENCE)


def _drain(end: socket.socket) -> None:
    with suppress(OSError):
        while end.recv(1 << 16):
            pass


def test_requests_that_are_cut_short_are_refused() -> None:
    with played_guest() as guest:
        for kind in (Ask.READ, Ask.FILES, Ask.WRITE, Ask.INSERT, Ask.DELETE):
            with pytest.raises(OSError, match="Invalid argument"):
                guest.wire.call(kind, b"\0\0\0\0", PATIENCE)
        for kind in (Ask.LIST, Ask.LINK, Ask.STAT):
            with pytest.raises(OSError, match="Invalid argument"):
                guest.wire.call(kind, b"", PATIENCE)
        with pytest.raises(OSError, match="Invalid argument"):
            guest.wire.call(Ask.WRITE, struct.pack(">I", 1 << 31) + b"/tmp\0x\0data", PATIENCE)
        with pytest.raises(OSError, match="too long"):
            guest.wire.call(Ask.STAT, b"/" * FRAME_MAX, PATIENCE)
        with pytest.raises(OSError, match="Too many users"):
            guest.wire.call(Ask.INSERT, struct.pack(">IIB", 12345, 0, 1), PATIENCE)


def test_the_log_goes_on_from_one_boot_to_the_next() -> None:
    log = GuestLog()
    log.take_in(b"5,900,17,-;Linux version\n")
    reader, later = log.open(at_end=False), log.open(at_end=True)
    assert select.select([reader], [], [], 0)[0]
    assert not select.select([later], [], [], 0)[0]
    log.say(0, "Kernel panic - not syncing: \\ it ended")
    log.restart_clock()
    log.take_in(b"5,0,0,c;Linux version again\n SUBSYSTEM=x\n")
    log.take_in(b"nonsense")
    records = [parse_record(each) for each in reader.fresh()]
    assert [record and (record.sequence, record.text) for record in records] == [
        (0, "Linux version"),
        (1, "Kernel panic - not syncing: \\ it ended"),
        (2, "Linux version again"),
    ]
    assert [parse_record(each) for each in later.fresh()] == records[1:]
    assert not select.select([reader, later], [], [], 0)[0]
    for number in range(KEPT + 10):
        log.take_in(b"6,%d,0,-;again" % number)
    assert len(reader.fresh()) == KEPT
    reader.close()
    log.take_in(b"6" * 9000 + b",0,0,-;" + b"x" * 9000)
    assert len(later.fresh()[-1]) < RECORD_MAX + 20
    log.take_in(b"6,0,0,-;nobody rings")
    assert len(later.fresh()) == 1


def test_events_are_kept_until_they_are_read_or_lost() -> None:
    events = GuestEvents()
    with pytest.raises(BlockingIOError):
        events.recvfrom(100)
    events.take_in(b"add@/module/a\0")
    assert select.select([events], [], [], 0)[0]
    assert events.recvfrom(3) == (b"add", (0, 1))
    with pytest.raises(BlockingIOError):
        events.recvfrom(100)
    assert not select.select([events], [], [], 0)[0]
    for _ in range(EVENTS_KEPT + 1):
        events.take_in(b"x")
    with pytest.raises(OSError, match="buffer space"):
        events.recvfrom(1)
    assert events.recvfrom(1) == (b"x", (0, 1))
    events.lose()
    with pytest.raises(OSError, match="buffer space"):
        events.recvfrom(1)
    events.close()
    events.take_in(b"late")
