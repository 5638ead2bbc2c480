# SPDX-License-Identifier: Apache-2.0
"""How a call ends, by what the server says last."""

import struct
from pathlib import Path

import pytest

from kmodctl.http2 import ConnectionLostError, Http2Connection, RpcError
from kmodctl.rpc import Call
from tests.support.http2 import Flag, Kind, frame
from tests.support.scripted_server import SETTINGS, data, headers, message, says, scripted_server
from tests.support.scripted_server import trailers as ending

CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 1, 2, 4, 7, 8
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16

ANSWERED = headers()

GRPC = ((":status", "200"), ("content-type", "application/grpc"))


def end_of_call(path: Path, *said: bytes) -> RpcError:
    """The error of a call to which the server says that."""
    with (
        scripted_server(path / "s", says(SETTINGS, *said)),
        Http2Connection(str(path / "s")) as connection,
        pytest.raises(RpcError) as error,
    ):
        list(connection.call("/a/b", [], deadline=None))
    return error.value


@pytest.mark.parametrize(
    ("status", "code"),
    [("5", 5), ("16", 16), ("17", UNKNOWN), ("99999", UNKNOWN), ("-1", UNKNOWN), ("", UNKNOWN)],
)
def test_the_status_is_the_one_that_the_server_gives(
    tmp_path: Path, status: str, code: int
) -> None:
    assert end_of_call(tmp_path, ANSWERED, ending(("grpc-status", status))).code == code


@pytest.mark.parametrize(
    ("coded", "text"),
    [
        (b"no such module", "no such module"),
        (b"gr%C3%BC%c3%9fe 100%25", "grüße 100%"),
        ("roh: grüße".encode(), "roh: grüße"),
        (b"100%", "100%"),
        (b"100%2", "100%2"),
        (b"%zz%+1% 1%_1%41", "%zz%+1% 1%_1A"),
        (b"%ff", "\ufffd"),
        (b"", ""),
    ],
)
def test_a_message_is_decoded_as_far_as_it_is_coded(
    tmp_path: Path, coded: bytes, text: str
) -> None:
    error = end_of_call(tmp_path, ANSWERED, ending(("grpc-status", "5"), ("grpc-message", coded)))
    assert (error.message, str(error)) == (text, text)


@pytest.mark.parametrize(
    ("value", "details"),
    [
        (b"\0\x01\xff,=", b"\x01\xff,="),
        (b"\0", b""),
        (b"Af8=", b"\x01\xff"),
        (b"Af8", b"\x01\xff"),
        (b"Af8,QUJD", b"\x01\xff"),
        (b"A", b""),
        (b"", b""),
    ],
)
def test_details_come_as_they_are_or_in_base64(
    tmp_path: Path, value: bytes, details: bytes
) -> None:
    fields = (("grpc-status", "5"), ("grpc-status-details-bin", value))
    assert end_of_call(tmp_path, ANSWERED, ending(*fields)).details == details


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *(("400", INTERNAL), ("401", UNAUTHENTICATED), ("403", PERMISSION_DENIED)),
        *(("404", UNIMPLEMENTED), ("429", UNAVAILABLE), ("502", UNAVAILABLE)),
        *(("503", UNAVAILABLE), ("504", UNAVAILABLE), ("500", UNKNOWN), ("204", UNKNOWN)),
    ],
)
@pytest.mark.parametrize("ends", [True, False])
def test_an_answer_of_another_kind_of_server_has_a_status_by_that_of_http(
    tmp_path: Path, status: str, code: int, ends: bool
) -> None:
    error = end_of_call(
        tmp_path, headers((":status", status), ("content-type", "text/html"), ends=ends)
    )
    assert (error.code, error.message) == (code, f"HTTP status {status}")


def test_a_status_of_grpc_goes_before_that_of_http(tmp_path: Path) -> None:
    said = headers((":status", "503"), ("grpc-status", "7"), ends=True)
    assert end_of_call(tmp_path, said).code == PERMISSION_DENIED


@pytest.mark.parametrize("kind", ["text/html", "application/grpcx", ""])
def test_an_answer_of_another_type_is_none(tmp_path: Path, kind: str) -> None:
    error = end_of_call(tmp_path, headers((":status", "200"), ("content-type", kind)))
    assert (error.code, error.message.startswith("the answer is no gRPC")) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ([ANSWERED, ending(("x", "y"))], UNKNOWN, "has no status"),
        ([headers(*GRPC, ends=True)], UNKNOWN, "has no status"),
        ([ANSWERED, data(b"", flags=Flag.END_STREAM)], INTERNAL, "without a status"),
        ([ANSWERED, data(message(b"x"), flags=Flag.END_STREAM)], INTERNAL, "without a status"),
        ([ANSWERED, data(b"\0\0\0\0\5hell"), ending()], INTERNAL, "within a message"),
        ([ANSWERED, data(b"\0\0"), ending()], INTERNAL, "within a message"),
        ([ANSWERED, data(b"\1\0\0\0\0")], INTERNAL, "compressed"),
        ([ANSWERED, data(b"\1\0\0\0\0", flags=Flag.END_STREAM)], INTERNAL, "compressed"),
        ([ANSWERED, data(b"\0\0\x40\0\1")], RESOURCE_EXHAUSTED, "a message of 4194305 bytes"),
    ],
)
def test_an_answer_that_is_not_whole_or_not_to_be_had_is_an_error(
    tmp_path: Path, said: list[bytes], code: int, why: str
) -> None:
    error = end_of_call(tmp_path, *said)
    assert (error.code, why in error.message) == (code, True)


def test_an_error_within_a_message_is_the_servers(tmp_path: Path) -> None:
    said = (ANSWERED, data(b"\0\0"), ending(("grpc-status", "8")))
    assert end_of_call(tmp_path, *said).code == RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((number, INTERNAL) for number in (0, 1, 2, 3, 4, 5, 6, 9, 10, 13, 77)),
        *((8, CANCELLED), (11, RESOURCE_EXHAUSTED), (12, PERMISSION_DENIED)),
    ],
)
def test_a_call_that_is_reset_has_a_status_by_the_reason(
    tmp_path: Path, number: int, code: int
) -> None:
    error = end_of_call(tmp_path, frame(Kind.RST_STREAM, struct.pack(">I", number), 1))
    assert (error.code, error.message.startswith("the server reset the call")) == (code, True)


def test_a_call_that_is_cancelled_once_its_time_is_over_has_run_out_of_time() -> None:
    call = Call("/a/b", [], 0, ())
    with pytest.raises(RpcError) as error:
        call.take_reset(8)
    assert error.value.code == DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    "said", [frame(Kind.RST_STREAM, bytes(4), 1), headers((":status", "404"), ends=True)]
)
def test_a_call_that_both_sides_have_ended_is_not_reset(tmp_path: Path, said: bytes) -> None:
    with (
        scripted_server(tmp_path / "s", says(SETTINGS, said)) as peers,
        Http2Connection(str(tmp_path / "s")) as connection,
        pytest.raises(RpcError),
    ):
        list(connection.call("/a/b", [b"x"], deadline=None))
    assert peers[0].of(Kind.RST_STREAM) == []


def test_a_call_that_is_reset_is_not_reset_in_turn(tmp_path: Path) -> None:
    endless = iter(lambda: b"x" * 1000, b"")
    with (
        scripted_server(
            tmp_path / "s", says(SETTINGS, frame(Kind.RST_STREAM, bytes(4), 1))
        ) as peers,
        Http2Connection(str(tmp_path / "s")) as connection,
        pytest.raises(RpcError),
    ):
        list(connection.call("/a/b", endless, deadline=None))
    assert peers[0].of(Kind.RST_STREAM) == []


def test_a_call_that_is_refused_is_none(tmp_path: Path) -> None:
    refusal = frame(Kind.RST_STREAM, struct.pack(">I", 7), 1)
    with (
        scripted_server(tmp_path / "s", says(SETTINGS, refusal)),
        Http2Connection(str(tmp_path / "s")) as connection,
        pytest.raises(ConnectionLostError, match="takes no more calls"),
    ):
        list(connection.call("/a/b", [], deadline=None))


def test_the_messages_before_an_error_are_given(tmp_path: Path) -> None:
    said = says(SETTINGS, ANSWERED, data(message(b"one") + b"\1\0\0\0\0"))
    with (
        scripted_server(tmp_path / "s", said),
        Http2Connection(str(tmp_path / "s")) as connection,
    ):
        call = connection.call("/a/b", [], deadline=None)
        assert next(call) == b"one"
        with pytest.raises(RpcError):
            next(call)
