# SPDX-License-Identifier: Apache-2.0
"""Calls by our own HTTP/2, frame by frame, with servers that keep to the rules."""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import hpack
import pytest

import kmodctl
from kmodctl.http2 import WINDOW, ConnectionLostError, Http2Connection, RpcError
from tests.support.http2 import PATIENCE, Flag, Kind, frame
from tests.support.scripted_server import (
    SETTINGS,
    Peer,
    answer,
    block,
    data,
    headers,
    message,
    says,
    scripted_server,
    trailers,
)

METHOD = "/test.Service/Method"

INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def call(path: Path, *requests: bytes, deadline: float | None = None) -> list[bytes]:
    with Http2Connection(str(path)) as connection:
        return list(connection.call(METHOD, requests, deadline=deadline))


def fields_of(head: bytes) -> list[tuple[object, ...]]:
    return [tuple(field) for field in hpack.Decoder().decode(head)]


def setting(number: int, value: int) -> bytes:
    return frame(Kind.SETTINGS, struct.pack(">HI", number, value))


def window(more: int, stream: int = 0) -> bytes:
    return frame(Kind.WINDOW_UPDATE, struct.pack(">I", more), stream)


def reset(code: int, stream: int = 1) -> bytes:
    return frame(Kind.RST_STREAM, struct.pack(">I", code), stream)


def goaway(last: int, code: int = 0, words: bytes = b"") -> bytes:
    return frame(Kind.GOAWAY, struct.pack(">II", last, code) + words)


def test_it_imports_next_to_nothing() -> None:
    script = (
        "import sys; package = sys.modules['kmodctl'] = type(sys)('kmodctl');"
        f"package.__path__ = {kmodctl.__path__!r}; before = set(sys.modules);"
        "import kmodctl.http2; print(*set(sys.modules) - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == {
        *("_socket", "kmodctl.hpack", "kmodctl.http2", "kmodctl.rpc")
    }


def test_a_request_is_what_grpc_asks_for(path: Path) -> None:
    with (
        scripted_server(path, says(SETTINGS, answer(b"yes"))) as peers,
        Http2Connection(str(path)) as connection,
    ):
        metadata = (("key", "value"), ("raw-bin", b"\0\xff"))
        (given,) = connection.call(METHOD, [b"a", b""], deadline=2.5, metadata=metadata)
    assert given == b"yes"
    (head,) = peers[0].of(Kind.HEADERS)
    assert (head.stream, head.flags) == (1, Flag.END_HEADERS)
    assert fields_of(head.payload) == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", METHOD),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "2500001u"),
        ("te", "trailers"),
        ("grpc-accept-encoding", "identity"),
        ("key", "value"),
        ("raw-bin", "AP8"),
    ]
    assert peers[0].data() == message(b"a") + message(b"")
    assert [each.flags for each in peers[0].of(Kind.DATA)] == [0, 0, Flag.END_STREAM]


@pytest.mark.parametrize(
    ("seconds", "timeout"),
    [(1, "1000001u"), (1000, "1000001m"), (1e6, "1000001S"), (float("inf"), "99999999S")],
)
def test_a_long_deadline_is_told_in_eight_digits(path: Path, seconds: float, timeout: str) -> None:
    with scripted_server(path, says(SETTINGS, answer())) as peers:
        assert call(path, deadline=seconds) == []
    (head,) = peers[0].of(Kind.HEADERS)
    assert ("grpc-timeout", timeout) in fields_of(head.payload)


def test_an_answer_may_come_in_any_pieces(path: Path) -> None:
    def script(peer: Peer) -> None:
        for byte in SETTINGS + answer(b"one", b"", b"three"):
            peer.say(bytes((byte,)))

    with scripted_server(path, script):
        assert call(path) == [b"one", b"", b"three"]


def test_messages_and_frames_have_nothing_to_do_with_each_other(path: Path) -> None:
    sent = b"".join(map(message, (b"one", b"", b"three")))
    pieces = (data(sent[at : at + 3]) for at in range(0, len(sent), 3))
    with scripted_server(path, says(SETTINGS, headers(), *pieces, trailers())):
        assert call(path) == [b"one", b"", b"three"]


def test_padding_priorities_and_parts_of_headers_are_seen_through(path: Path) -> None:
    fields = block((":status", "200"), ("content-type", "application/grpc+proto"))
    padded = b"\x03" + b"\0\0\0\0\x10" + fields[:5] + b"\0\0\0"
    script = says(
        SETTINGS,
        frame(Kind.HEADERS, padded, 1, Flag.PADDED | Flag.PRIORITY),
        frame(Kind.CONTINUATION, fields[5:9], 1),
        frame(Kind.CONTINUATION, fields[9:], 1, Flag.END_HEADERS),
        data(b"\x02" + message(b"yes") + b"\0\0", flags=Flag.PADDED),
        trailers(),
    )
    with scripted_server(path, script):
        assert call(path) == [b"yes"]


def test_what_it_does_not_know_is_skipped(path: Path) -> None:
    strange = (
        frame(0xAB, b"what", 7),
        frame(Kind.PRIORITY, b"\0\0\0\0\x10", 3),
        setting(0xABC, 1),
        headers((":status", "103"), ("link", "x")),
        window(1),
        window(1, 1),
    )
    with scripted_server(path, says(SETTINGS, *strange, answer(b"yes"))):
        assert call(path) == [b"yes"]


def test_pings_and_settings_are_acknowledged(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(SETTINGS + frame(Kind.PING, b"12345678") + frame(Kind.PING, b"ownpings", 0, 1))
        peer.read_until(Kind.PING)
        peer.say(answer())

    with scripted_server(path, script) as peers:
        assert call(path) == []
    (pong,) = peers[0].of(Kind.PING)
    assert (pong.flags, pong.payload) == (Flag.ACK, b"12345678")
    ours, theirs = peers[0].of(Kind.SETTINGS)
    assert (ours.flags, theirs.flags, theirs.payload) == (0, Flag.ACK, b"")


def test_no_more_is_sent_than_the_window_of_the_stream_lets_through(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 10))
        peer.read_data(65535)  # what there is until the client has heard of it
        assert len(peer.data()) == 65535
        peer.say(window(65525 + 7, 1) + window(1 << 20))
        peer.read_data(65542)
        assert len(peer.data()) == 65542
        peer.say(setting(INITIAL_WINDOW_SIZE, 1 << 20))
        peer.read_call()
        peer.say(answer())

    with scripted_server(path, script) as peers:
        assert call(path, b"x" * 200_000) == []
    assert peers[0].data() == message(b"x" * 200_000)


def test_no_more_is_sent_than_the_window_of_the_connection_lets_through(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 1 << 20))
        peer.read_data(65535)
        peer.say(window(1 << 20, 1) + window(5))
        peer.read_data(65540)
        assert len(peer.data()) == 65540
        peer.say(window(1 << 20))
        peer.read_call()
        peer.say(answer())

    with scripted_server(path, script) as peers:
        assert call(path, b"x" * 200_000) == []
    assert peers[0].data() == message(b"x" * 200_000)


def test_the_window_that_a_server_gives_counts_for_the_next_call(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 10) + answer())
        peer.read_data(15)
        assert len(peer.data()) == 15
        peer.say(answer(stream=3))

    with scripted_server(path, script), Http2Connection(str(path)) as connection:
        assert list(connection.call(METHOD, [b""], deadline=None)) == []
        assert list(connection.call(METHOD, [b"x" * 100], deadline=None)) == []


def test_a_window_may_be_opened_by_little_at_a_time(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 0) + window(1 << 20))
        peer.read_data(65535)
        peer.say(window(65535, 1))
        for step in range(1, 1501):
            peer.say(window(10, 1))
            peer.read_data(65535 + 10 * step)
        peer.say(answer())

    with scripted_server(path, script):
        assert call(path, b"x" * 100_000) == []


def test_frames_are_as_large_as_the_server_lets_them_be(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(setting(MAX_FRAME_SIZE, 40_000) + setting(INITIAL_WINDOW_SIZE, 1 << 20))
        peer.read_data(65535)
        peer.say(window(1 << 20))
        peer.read_call()
        peer.say(answer())

    with scripted_server(path, script) as peers:
        assert call(path, b"x" * 200_000) == []
    assert max(len(each.payload) for each in peers[0].of(Kind.DATA)) == 40_000


def test_the_windows_are_opened_again_for_a_long_answer(path: Path) -> None:
    piece = message(b"x" * 16_000)

    def script(peer: Peer) -> None:
        peer.say(SETTINGS + headers())
        for _ in range(300):
            peer.say(data(piece))
        peer.read_until(Kind.WINDOW_UPDATE, 3)
        for _ in range(300):
            peer.say(data(piece))
        peer.say(trailers())

    with scripted_server(path, script) as peers:
        assert len(call(path)) == 600
    first, *others = peers[0].of(Kind.WINDOW_UPDATE)
    assert int.from_bytes(first.payload) + 65535 == WINDOW
    for stream in (0, 1):
        given = sum(int.from_bytes(each.payload) for each in others if each.stream == stream)
        assert 0 < given <= 600 * len(piece)


def test_an_answer_may_come_before_the_requests_have_gone(path: Path) -> None:
    endless = iter(lambda: b"x" * 10_000, b"")
    with (
        scripted_server(path, says(SETTINGS, answer(b"enough"))) as peers,
        Http2Connection(str(path)) as connection,
    ):
        assert list(connection.call(METHOD, endless, deadline=None)) == [b"enough"]
    (given_up,) = peers[0].of(Kind.RST_STREAM)
    assert given_up.payload == struct.pack(">I", 0)


def test_what_a_server_said_before_it_closed_counts(path: Path) -> None:
    """It has answered, and reads nothing of what we have to say."""
    refused = headers((":status", "200"), ("grpc-status", "7"), ("grpc-message", "no"), ends=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with Http2Connection(str(path)) as connection:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(SETTINGS + refused)
            with pytest.raises(RpcError, match="no") as error:
                list(connection.call(METHOD, [b"x" * 10_000_000], deadline=None))
    assert error.value.code == 7


def test_calls_follow_one_another(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(SETTINGS)
        for stream in (1, 3, 5):
            peer.read_call()
            peer.say(answer(b"%d" % stream, stream=stream))

    with scripted_server(path, script), Http2Connection(str(path)) as connection:
        for stream in (b"1", b"3", b"5"):
            assert list(connection.call(METHOD, [b"x"], deadline=None)) == [stream]


def test_only_one_call_is_under_way_at_a_time(path: Path) -> None:
    with (
        scripted_server(path, says(SETTINGS, answer(b"yes"))),
        Http2Connection(str(path)) as connection,
    ):
        first = connection.call(METHOD, [], deadline=None)
        assert next(first) == b"yes"
        with pytest.raises(RuntimeError, match="another call is under way"):
            next(connection.call(METHOD, [], deadline=None))
        assert list(first) == []


def test_a_call_that_is_closed_is_cancelled_and_what_it_had_coming_is_skipped(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(SETTINGS + headers() + data(message(b"one")))
        peer.read_until(Kind.RST_STREAM)
        peer.say(data(message(b"two")) + data(b"") + trailers())
        peer.read_until(Kind.HEADERS, 2)
        peer.say(answer(b"three", stream=3))

    with scripted_server(path, script) as peers, Http2Connection(str(path)) as connection:
        first = connection.call(METHOD, [], deadline=None)
        assert next(first) == b"one"
        first.close()
        assert list(connection.call(METHOD, [], deadline=None)) == [b"three"]
    (given_up,) = peers[0].of(Kind.RST_STREAM)
    assert (given_up.stream, given_up.payload) == (1, struct.pack(">I", 8))


def test_a_request_that_cannot_be_made_cancels_the_call(path: Path) -> None:
    def requests() -> Iterator[bytes]:
        yield b"x"
        raise FileNotFoundError

    def script(peer: Peer) -> None:
        peer.say(SETTINGS)
        peer.read_until(Kind.HEADERS, 2)
        peer.say(answer(stream=3))

    with scripted_server(path, script), Http2Connection(str(path)) as connection:
        with pytest.raises(FileNotFoundError):
            list(connection.call(METHOD, requests(), deadline=None))
        assert list(connection.call(METHOD, [], deadline=None)) == []


def test_an_interrupted_call_takes_the_connection_with_it(path: Path) -> None:
    def requests() -> Iterator[bytes]:
        yield b"x"
        raise KeyboardInterrupt

    with scripted_server(path, says(SETTINGS)), Http2Connection(str(path)) as connection:
        with pytest.raises(KeyboardInterrupt):
            list(connection.call(METHOD, requests(), deadline=None))
        with pytest.raises(ConnectionLostError):
            list(connection.call(METHOD, [], deadline=None))


def test_a_call_ends_with_its_deadline_and_the_next_goes_on(path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(SETTINGS)
        peer.read_until(Kind.HEADERS, 2)
        peer.say(answer(b"yes", stream=3))

    with scripted_server(path, script), Http2Connection(str(path)) as connection:
        with pytest.raises(RpcError, match="Deadline Exceeded") as error:
            list(connection.call(METHOD, [b"x"], deadline=0.01))
        assert list(connection.call(METHOD, [b"x"], deadline=None)) == [b"yes"]
    assert error.value.code == 4


@pytest.mark.parametrize("requests", [0, 100_000_000])
def test_a_call_ends_with_its_deadline_whatever_the_server_does(path: Path, requests: int) -> None:
    """It lets everything through, reads nothing, and talks without an end."""

    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 1 << 30) + window(1 << 30) + headers())
        while True:
            peer.say(data(message(b"x" * 1000)))

    with scripted_server(path, script), pytest.raises(RpcError) as error:
        call(path, b"x" * requests, deadline=0.05)
    assert error.value.code == 4


def test_a_call_ends_with_its_deadline_where_the_server_does_nothing(path: Path) -> None:
    over = Event()

    def script(peer: Peer) -> None:
        peer.say(setting(INITIAL_WINDOW_SIZE, 1 << 30) + window(1 << 30))
        over.wait(PATIENCE)

    with scripted_server(path, script):
        with pytest.raises(RpcError) as error:
            call(path, b"x" * 100_000_000, deadline=0.05)
        over.set()
    assert error.value.code == 4


def test_a_call_whose_deadline_has_passed_is_not_begun(path: Path) -> None:
    with scripted_server(path, says()) as peers, pytest.raises(RpcError) as error:
        call(path, deadline=0)
    assert error.value.code == 4
    assert peers[0].of(Kind.HEADERS) == []


def test_a_server_that_goes_away_finishes_the_call_and_takes_no_other(path: Path) -> None:
    script = says(SETTINGS, goaway(1, 11, b"too_many_pings"), answer(b"yes"))
    with scripted_server(path, script), Http2Connection(str(path)) as connection:
        assert list(connection.call(METHOD, [], deadline=None)) == [b"yes"]
        with pytest.raises(ConnectionLostError, match="ENHANCE_YOUR_CALM too_many_pings"):
            list(connection.call(METHOD, [], deadline=None))


def test_a_server_that_has_gone_away_meanwhile_is_asked_nothing(path: Path) -> None:
    script = says(SETTINGS, answer(), goaway(1))
    with scripted_server(path, script) as peers, Http2Connection(str(path)) as connection:
        assert list(connection.call(METHOD, [], deadline=None)) == []
        with pytest.raises(ConnectionLostError, match="the server takes no more calls"):
            list(connection.call(METHOD, [], deadline=None))
    assert len(peers[0].of(Kind.HEADERS)) == 1


def test_a_connection_that_was_closed_makes_no_call(path: Path) -> None:
    with scripted_server(path, says(SETTINGS)):
        connection = Http2Connection(str(path))
        connection.close()
        with pytest.raises(ConnectionLostError, match="the connection is closed"):
            list(connection.call(METHOD, [], deadline=None))


@pytest.mark.parametrize(
    ("key", "value"), [("Key", "x"), ("a b", "x"), ("", "x"), ("key", "ü"), ("key", "x" * 17_000)]
)
def test_what_can_be_in_no_header_is_refused(path: Path, key: str, value: str) -> None:
    with (
        scripted_server(path, says(SETTINGS)),
        Http2Connection(str(path)) as connection,
        pytest.raises(ValueError, match=r"can be|metadata of"),
    ):
        connection.call(METHOD, [], deadline=None, metadata=((key, value),))


def test_nobody_listening_is_an_os_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Http2Connection(str(path))


def test_a_server_that_accepts_nobody_is_not_waited_for_longer_than_asked(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(path))
        listener.listen(0)
        other.connect(str(path))
        with pytest.raises(TimeoutError, match="nobody accepts"):
            Http2Connection(str(path), timeout=0.01)
