# SPDX-License-Identifier: Apache-2.0
"""Messages without protobuf, compared with protobuf's own."""

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodd.messages.as_json import as_json
from kmodd.messages.codec import DEPTH_MAX, DecodeError, Message
from kmodd.messages.database_service import RebuildDatabaseResponse, RebuildProgress, Tree
from kmodd.messages.errors import Failure
from kmodd.messages.module_service import LoadModulesRequest, RemoveModuleRequest
from kmodd.messages.well_known import Any as AnyMessage
from kmodd.messages.well_known import Duration, ErrorInfo, Status, Timestamp

MODULES = (
    "daemon_service",
    "database_service",
    "emulation_service",
    "errors",
    "kernel_log_service",
    "module_service",
)

BOUNDS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_ENUM: (-2, 40),
}


def pairs() -> Iterator[tuple[type[Message], Any]]:
    """Each class of messages and protobuf's."""
    from google.protobuf import any_pb2, duration_pb2, timestamp_pb2
    from google.rpc import error_details_pb2, status_pb2

    for name in MODULES:
        ours = importlib.import_module(f"kmodd.messages.{name}")
        theirs = importlib.import_module(f"kmodd.v1.{name}_pb2")
        for message in theirs.DESCRIPTOR.message_types_by_name:
            yield getattr(ours, message), getattr(theirs, message)
    yield AnyMessage, any_pb2.Any
    yield Duration, duration_pb2.Duration
    yield Timestamp, timestamp_pb2.Timestamp
    yield Status, status_pb2.Status
    yield ErrorInfo, error_details_pb2.ErrorInfo


PAIRS = tuple(pairs())

# JSON knows no moment or length of time outside these (google/protobuf/timestamp.proto).
MOMENTS = st.tuples(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
LENGTHS = st.tuples(st.integers(0, 315_576_000_000), st.integers(0, 999_999_999))


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.type in BOUNDS:
        return st.integers(*BOUNDS[field.type])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return st.floats(allow_nan=False, allow_infinity=False)
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.text(max_size=20)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=20)
    assert field.message_type is not None
    return messages(field.message_type, depth - 1)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 4) -> Any:
    made: Any = GetMessageClass(descriptor)()
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        moments = MOMENTS if descriptor.name == "Timestamp" else LENGTHS
        made.seconds, made.nanos = draw(moments)
        if descriptor.name == "Duration" and draw(st.booleans()):
            made.seconds, made.nanos = -made.seconds, -made.nanos
        return made
    for field in descriptor.fields:
        if draw(st.booleans()) or (field.message_type is not None and depth == 0):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entries = draw(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
            getattr(made, field.name).update(entries)
        elif field.is_repeated:
            many = draw(st.lists(values(field, depth), max_size=3))
            getattr(made, field.name).extend(many)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(draw(values(field, depth)))
        else:
            setattr(made, field.name, draw(values(field, depth)))
    return made


def shown(wanted: Any, descriptor: Any) -> Any:
    """Return protobuf's JSON of a message with what kmodctl has otherwise: see as_json."""
    if not isinstance(wanted, dict):
        return wanted
    found = {}
    for field in sorted(descriptor.fields, key=lambda each: each.number):
        if field.name not in wanted:
            continue
        value = wanted[field.name]
        if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            number = int(value)
            value = hex(number) if field.name == "address" else number
        elif field.message_type is not None:
            below = field.message_type
            many = isinstance(value, list)
            value = [shown(each, below) for each in value] if many else shown(value, below)
        found[field.name] = value
    if descriptor.name == "Failure":
        reason = str(found.pop("reason")).removeprefix("ERROR_REASON_")
        return {"reason": reason, "errno": found.pop("errno_value"), **found}
    return found


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda each: each.__name__)
def test_every_message_has_the_bytes_and_the_json_that_protobuf_makes(
    ours: type[Message], theirs: Any
) -> None:
    @settings(max_examples=25, deadline=None)
    @given(messages(theirs.DESCRIPTOR))
    def compare(message: Any) -> None:
        data = message.SerializeToString(deterministic=True)
        mine = ours.decode(data)
        assert theirs.FromString(mine.encode()) == message
        assert ours.decode(mine.encode()) == mine
        if ours not in (AnyMessage, Status, ErrorInfo):  # which no command shows
            wanted = MessageToDict(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            assert json.dumps(as_json(mine)) == json.dumps(shown(wanted, message.DESCRIPTOR))

    compare()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda each: each.__name__)
def test_a_message_has_the_fields_of_protobufs(ours: type[Message], theirs: Any) -> None:
    fields = theirs.DESCRIPTOR.fields
    assert [(number, name) for number, name, *_ in ours.FIELDS] == sorted(
        (field.number, field.name) for field in fields
    )
    for field in fields:
        assert getattr(ours(), field.name) == (
            [] if field.is_repeated else None if field.has_presence else field.default_value
        )


DATA = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.one_of(
            st.integers(0, 255).map(lambda byte: bytes([byte])),
            st.sampled_from(
                [b"\x0a", b"\x12\x00", b"\x1a\x02ab", b"\x08\xff\xff\x03", b"\xff" * 9]
            ),
            st.binary(max_size=4),
        ),
        max_size=12,
    ).map(b"".join),
)


@given(st.sampled_from(PAIRS), DATA)
def test_of_any_bytes_a_message_is_what_protobuf_finds_or_refuses(
    pair: tuple[type[Message], Any], data: bytes
) -> None:
    ours, theirs = pair
    try:
        wanted = theirs.FromString(data)
    except ProtobufDecodeError:
        with pytest.raises(DecodeError):
            ours.decode(data)
        return
    wanted.DiscardUnknownFields()
    assert theirs.FromString(ours.decode(data).encode()) == wanted


def nested(depth: int) -> bytes:
    """Groups within one another, as no field of ours is."""
    return bytes([15 << 3 | 3]) * depth + bytes([15 << 3 | 4]) * depth


def test_what_is_nested_too_deep_is_refused_and_no_stack_overflows() -> None:
    assert Failure.decode(nested(DEPTH_MAX - 1)) == Failure()
    for depth in (DEPTH_MAX, 100_000):
        with pytest.raises(DecodeError, match=r"wire type|within one another"):
            Failure.decode(nested(depth))


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 6])
def test_a_message_that_is_cut_says_whose_it_is(cut: int) -> None:
    data = RemoveModuleRequest(name="ext4", force=True).encode()
    with pytest.raises(DecodeError, match="RemoveModuleRequest"):
        RemoveModuleRequest.decode(data[:-cut])


def test_a_length_beyond_the_end_takes_no_memory() -> None:
    with pytest.raises(DecodeError, match="ends within"):
        LoadModulesRequest.decode(b"\x0a\xff\xff\xff\xff\x7f")


def test_of_a_choice_only_the_last_that_came_is_there() -> None:
    progress = RebuildDatabaseResponse(progress=RebuildProgress(files_read=1)).encode()
    tree = RebuildDatabaseResponse(tree=Tree(release="6.1")).encode()
    both = RebuildDatabaseResponse.decode(progress + tree)
    assert both.progress is None
    assert both.tree == Tree(release="6.1")


def test_text_that_is_not_unicodes_is_refused_and_named() -> None:
    with pytest.raises(UnicodeEncodeError) as refused:
        RemoveModuleRequest(name="caf\udce9").encode()
    assert refused.value.object == "caf\udce9"


@pytest.mark.parametrize("nanos", [1 << 31, -(1 << 31) - 1])
def test_a_number_out_of_its_bounds_is_refused_and_named(nanos: int) -> None:
    with pytest.raises(OverflowError, match="nanos"):
        Duration(nanos=nanos).encode()


def test_a_list_is_a_messages_own() -> None:
    one, other = LoadModulesRequest(), LoadModulesRequest()
    one.names.append("ext4")
    assert other.names == []
    assert one != other
    assert repr(one) == "LoadModulesRequest(names=['ext4'])"
