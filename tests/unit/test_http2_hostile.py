# SPDX-License-Identifier: Apache-2.0
"""Calls to servers that break the rules of HTTP/2, or the connection."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from kmodctl.http2 import ConnectionLostError, Http2Connection, Http2Error, RpcError
from tests.support.http2 import PATIENCE, Flag, Kind, frame
from tests.support.scripted_server import (
    SETTINGS,
    Peer,
    Script,
    answer,
    block,
    data,
    headers,
    message,
    says,
    scripted_server,
    trailers,
)

ANSWERED = headers()

GOOD = SETTINGS + answer(b"one", b"two")

ACK = frame(Kind.SETTINGS, b"", 0, Flag.ACK)

PART = frame(Kind.CONTINUATION, b"x" * 16000, 1)

ERRORS = (ConnectionLostError, Http2Error, RpcError)


def call(path: Path, *said: bytes) -> list[bytes]:
    with (
        scripted_server(path / "s", says(*said)),
        Http2Connection(str(path / "s")) as connection,
    ):
        return list(connection.call("/a/b", [b"x"], deadline=None))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(Kind.SETTINGS, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window(more: int, stream: int = 0) -> bytes:
    return frame(Kind.WINDOW_UPDATE, struct.pack(">I", more), stream)


def header_block(payload: bytes, flags: int = Flag.END_HEADERS) -> bytes:
    return frame(Kind.HEADERS, payload, 1, flags)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("a frame of 16385 bytes", [frame(Kind.DATA, b"x" * 16385, 1)]),
        ("settings of the wrong size", [frame(Kind.SETTINGS, b"x")]),
        ("settings of the wrong size", [frame(Kind.SETTINGS, bytes(6), 0, Flag.ACK)]),
        ("settings .* on a stream", [frame(Kind.SETTINGS, b"", 1)]),
        ("wants to be pushed to", [settings((2, 1))]),
        ("a window that overflows", [settings((4, 1 << 31))]),
        ("a window that overflows", [window((1 << 31) - 1)]),
        ("a window that overflows", [window((1 << 31) - 1, 1)]),
        ("a window that overflows", [window(1 << 30, 1), settings((4, (1 << 30) + 9))]),
        ("a largest frame of 16383 bytes", [settings((5, 16383))]),
        ("a largest frame of 16777216 bytes", [settings((5, 1 << 24))]),
        ("a window that opens by nothing", [window(0)]),
        ("a window that opens by nothing", [window(0, 1)]),
        ("a window that opens .* no number", [frame(Kind.WINDOW_UPDATE, b"\0\0\1")]),
        ("a window of stream 2", [window(1, 2)]),
        ("a window of stream 3", [window(1, 3)]),
        ("a ping of the wrong size", [frame(Kind.PING, b"1234567")]),
        ("a ping .* on a stream", [frame(Kind.PING, b"12345678", 1)]),
        ("a push", [frame(Kind.PUSH_PROMISE, b"\0\0\0\2", 1, Flag.END_HEADERS)]),
        ("a farewell of the wrong size", [frame(Kind.GOAWAY, b"1234567")]),
        ("a farewell .* on a stream", [frame(Kind.GOAWAY, bytes(8), 1)]),
        ("a reset of the wrong size", [frame(Kind.RST_STREAM, b"1", 1)]),
        ("a reset .* not open", [frame(Kind.RST_STREAM, b"1234", 0)]),
        ("a reset .* not open", [frame(Kind.RST_STREAM, b"1234", 3)]),
        ("data on stream 0", [data(b"x", stream=0)]),
        ("data on stream 2", [data(b"x", stream=2)]),
        ("data on stream 3", [data(b"x", stream=3)]),
        ("headers on stream 0", [headers(stream=0)]),
        ("headers on stream 3", [headers(stream=3)]),
        ("has not begun", [frame(Kind.CONTINUATION, b"", 1, Flag.END_HEADERS)]),
        ("has not begun", [header_block(b"", 0), frame(Kind.CONTINUATION, b"", 3)]),
        ("between the parts", [header_block(b"", 0), frame(Kind.PING, bytes(8))]),
        ("data before the headers", [data(message(b"x"))]),
        ("without an HTTP status", [headers(("content-type", "application/grpc"))]),
        ("without an HTTP status", [headers((":status", "2000"))]),
        ("an interim answer", [headers((":status", "103"), ends=True)]),
        ("no trailers", [ANSWERED, headers(("grpc-status", "0"))]),
        ("no trailers", [ANSWERED, trailers((":status", "200"))]),
        ("more padding", [ANSWERED, data(b"\x02x", flags=Flag.PADDED)]),
        ("more padding", [ANSWERED, data(b"", flags=Flag.PADDED)]),
        ("within their priority", [header_block(b"1234", Flag.END_HEADERS | Flag.PRIORITY)]),
        ("index 62", [header_block(b"\xbe")]),
        ("ends too soon", [header_block(b"\0\x05a")]),
        ("a header table of 4097 bytes", [header_block(b"\x3f\xe2\x1f")]),
        ("a header table of 1 bytes, not 0", [ACK, header_block(b"\x21")]),
        ("more than 65536 bytes", [header_block(b"", 0), *[PART] * 5]),
        ("more than 65536 bytes", [header_block(b"\x88" * 2000)]),
    ],
)
def test_a_server_that_breaks_a_rule_is_told_of_in_words(
    tmp_path: Path, why: str, said: Sequence[bytes]
) -> None:
    with pytest.raises(Http2Error, match=why):
        call(tmp_path, SETTINGS, *said)


@pytest.mark.parametrize(
    "said",
    [
        frame(Kind.PING, bytes(8)),
        frame(Kind.PING, bytes(8), 0, Flag.ACK),
        SETTINGS,
        ACK,
        frame(Kind.PRIORITY, bytes(5), 1),
        frame(0xAB, b"x" * 100),
        window(1),
        window(1, 1),
        headers((":status", "103")),
        frame(Kind.GOAWAY, b"\x7f\xff\xff\xff" + bytes(4)),
        ANSWERED + 1001 * data(b""),
        ANSWERED + 1001 * data(b"\0", flags=Flag.PADDED),
        header_block(b"", 0) + 1001 * frame(Kind.CONTINUATION, b"", 1),
    ],
)
def test_a_flood_of_frames_that_say_nothing_ends_the_call(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(Http2Error, match="more than 1000 frames that say nothing"):
        call(tmp_path, SETTINGS, said * 1001)


def test_frames_that_say_nothing_may_come_over_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodctl.http2.IDLE_SECONDS", 0)
    said = frame(Kind.PING, bytes(8)) * 3000
    assert call(tmp_path, SETTINGS, said, answer(b"yes")) == [b"yes"]


def test_pings_between_messages_may_be_many(tmp_path: Path) -> None:
    part = data(message(b"x")) + frame(Kind.PING, bytes(8)) * 500
    assert len(call(tmp_path, SETTINGS, ANSWERED, part * 10, trailers())) == 10


def test_replies_are_not_piled_up_for_a_server_that_reads_none(tmp_path: Path) -> None:
    part = data(message(b"x")) + frame(Kind.PING, bytes(8)) * 500

    def script(peer: Peer) -> None:
        peer.say(SETTINGS + ANSWERED)
        while True:
            peer.say(part)

    with (
        scripted_server(tmp_path / "s", script),
        Http2Connection(str(tmp_path / "s")) as connection,
        pytest.raises(Http2Error, match="the server reads nothing"),
    ):
        for _ in connection.call("/a/b", [], deadline=None):
            pass


def test_a_call_that_was_closed_may_not_go_on_for_ever(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say(SETTINGS + ANSWERED + data(message(b"x")))
        while True:
            peer.say(data(b"x" * 16384))

    with (
        scripted_server(tmp_path / "s", script),
        Http2Connection(str(tmp_path / "s")) as connection,
    ):
        first = connection.call("/a/b", [], deadline=None)
        assert next(first) == b"x"
        first.close()
        with pytest.raises(Http2Error, match="more data than the window"):
            list(connection.call("/a/b", [], deadline=None))


@pytest.mark.parametrize("end", [trailers(), frame(Kind.RST_STREAM, bytes(4), 1)])
def test_a_call_that_was_closed_and_has_ended_may_not_go_on(tmp_path: Path, end: bytes) -> None:
    with (
        scripted_server(
            tmp_path / "s", says(SETTINGS, ANSWERED, data(message(b"x")), end, ANSWERED)
        ),
        Http2Connection(str(tmp_path / "s")) as connection,
    ):
        first = connection.call("/a/b", [], deadline=None)
        assert next(first) == b"x"
        first.close()
        with pytest.raises(Http2Error, match="headers on stream 1, which is not open"):
            list(connection.call("/a/b", [], deadline=None))


def test_a_connection_that_has_failed_is_closed(tmp_path: Path) -> None:
    closed = Event()

    def script(peer: Peer) -> None:
        peer.say(SETTINGS + data(b"x"))
        while peer.read():
            pass
        closed.set()

    with (
        scripted_server(tmp_path / "s", script),
        Http2Connection(str(tmp_path / "s")) as connection,
    ):
        with pytest.raises(Http2Error):
            list(connection.call("/a/b", [], deadline=None))
        assert closed.wait(PATIENCE)


@pytest.mark.parametrize("late", [data(b"x"), trailers(), ANSWERED])
def test_what_follows_the_end_of_a_call_fails_the_next(tmp_path: Path, late: bytes) -> None:
    with (
        scripted_server(tmp_path / "s", says(GOOD, late)),
        Http2Connection(str(tmp_path / "s")) as connection,
    ):
        assert list(connection.call("/a/b", [b"x"], deadline=None)) == [b"one", b"two"]
        with pytest.raises(Http2Error, match="stream 1, which is not open"):
            list(connection.call("/a/b", [b"x"], deadline=None))
        with pytest.raises(ConnectionLostError, match="the connection has failed"):
            list(connection.call("/a/b", [b"x"], deadline=None))


def test_the_table_of_headers_may_be_used_until_it_is_known_that_there_is_none(
    tmp_path: Path,
) -> None:
    kept = b"\x88\x5f\x10application/grpc"  # :status 200, and a type that is kept
    ended = frame(Kind.HEADERS, block(("grpc-status", "0")), 1, Flag.END_HEADERS | Flag.END_STREAM)
    begun = frame(Kind.HEADERS, b"\x88\xbe", 3, Flag.END_HEADERS)

    def script(acknowledged: bytes) -> Script:
        def act(peer: Peer) -> None:
            peer.say(SETTINGS + header_block(kept) + ended)
            peer.read_until(Kind.HEADERS, 2)
            peer.say(acknowledged + begun + trailers(stream=3))

        return act

    for acknowledged, name in ((b"", "before"), (ACK, "after")):
        with (
            scripted_server(tmp_path / name, script(acknowledged)),
            Http2Connection(str(tmp_path / name)) as connection,
        ):
            assert list(connection.call("/a/b", [], deadline=None)) == []
            if not acknowledged:
                assert list(connection.call("/a/b", [], deadline=None)) == []
                continue
            with pytest.raises(Http2Error, match="index 62"):
                list(connection.call("/a/b", [], deadline=None))


@pytest.mark.parametrize("kept", range(len(GOOD)))
def test_a_server_that_closes_before_the_end_is_lost(tmp_path: Path, kept: int) -> None:
    with pytest.raises(ConnectionLostError, match="the server closed the connection"):
        call(tmp_path, GOOD[:kept])


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        bytes(9),
        ACK,
        frame(Kind.GOAWAY, bytes(8)),
        b"\xff\xff\xff\x04" + bytes(5),
    ],
)
def test_a_server_of_something_else_is_none(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(ConnectionLostError, match="does not speak HTTP/2"):
        call(tmp_path, said)


def test_a_call_that_a_server_did_not_begin_before_it_went_is_lost(tmp_path: Path) -> None:
    farewell = frame(Kind.GOAWAY, struct.pack(">II", 0, 2) + b"\x1bbad\n")

    def script(peer: Peer) -> None:
        peer.say(SETTINGS + farewell)
        while peer.read():
            pass

    with (
        scripted_server(tmp_path / "s", script),
        Http2Connection(str(tmp_path / "s")) as connection,
        pytest.raises(ConnectionLostError, match=r"no more calls INTERNAL_ERROR \\x1bbad\\n$"),
    ):
        list(connection.call("/a/b", [], deadline=60))


PIECES = st.binary(max_size=30) | st.builds(
    frame,
    st.integers(0, 10),
    st.binary(max_size=30) | st.just(block((":status", "200"))) | st.just(message(b"x")),
    st.integers(0, 4),
    st.integers(0, 255),
)


@given(st.booleans(), st.lists(PIECES, max_size=20))
@examples(max_examples=200)
def test_bytes_at_random_end_in_an_answer_or_one_of_three_errors(
    begun: bool, pieces: list[bytes]
) -> None:
    with TemporaryDirectory() as directory, suppress(*ERRORS):
        call(Path(directory), (SETTINGS + ANSWERED) * begun, *pieces)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
@examples(max_examples=200)
def test_a_byte_at_random_ends_in_an_answer_or_one_of_three_errors(at: int, byte: int) -> None:
    with TemporaryDirectory() as directory, suppress(*ERRORS):
        call(Path(directory), GOOD[:at], bytes((byte,)), GOOD[at + 1 :])
