# SPDX-License-Identifier: Apache-2.0
"""Messages in protobuf's encoding, with nothing imported.

The rules are those of https://protobuf.dev/programming-guides/encoding and of proto3: what has its
default is not sent, the last of several values counts, messages that come twice are merged, and
what is not known is passed over.
"""

# A short command ends within the time that typing takes to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, Self, dataclass_transform

    Field = tuple[int, str, str, str, str]
else:

    def dataclass_transform(**_options):
        """Stand in for what only a checker of types needs."""
        return lambda decorated: decorated


DEPTH_MAX = 100
"""Messages within messages, as in protobuf's own decoders."""

VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = range(6)
"""The wire types."""

_BITS = {"int32": 32, "uint32": 32, "enum": 32, "int64": 64, "uint64": 64}
_SIGNED = frozenset({"int32", "int64", "enum"})
_U64 = (1 << 64) - 1


class DecodeError(ValueError):
    """Bytes that are no message of the kind that was looked for."""


class _Repeated:
    """A field with any number of values: a list, made when it is first asked for."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, message: "Message | None", _owner: type) -> "Any":
        if message is None:
            return []
        values: list[Any] = []
        message.__dict__[self._name] = values
        return values


def repeated() -> "Any":
    """Return the default of a field with any number of values."""
    return _Repeated()


@dataclass_transform(kw_only_default=True, eq_default=False)
class Message:
    """The base of all messages, whose fields are attributes.

    One that a message may be without is None where it is.
    """

    FIELDS: "ClassVar[tuple[Field, ...]]" = ()
    """Of each field, in the order of the numbers: its number, name, type, "repeated" or "optional"
    where it is that, and for a message or an enum "module.Name"."""

    def __init__(self, **fields: "Any") -> None:
        self.__dict__.update(fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]  # what can be changed is no key

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({', '.join(given)})"

    def encode(self) -> bytes:
        """Return the message's bytes.

        Raises UnicodeEncodeError for text that is not Unicode's, and OverflowError for a number
        that is out of its field's bounds.
        """
        return b"".join(_encoded(self))

    @classmethod
    def decode(cls, data: bytes) -> "Self":
        """Return the message that ``data`` is; raises DecodeError."""
        message = cls()
        try:
            _merge(message, data, 0, len(data), DEPTH_MAX)
        except IndexError:
            raise DecodeError(f"{cls.__name__}: it ends within a field") from None
        except UnicodeDecodeError as error:
            raise DecodeError(f"{cls.__name__}: a text is not UTF-8: {error.reason}") from None
        return message

    @classmethod
    def by_tag(cls) -> "Mapping[int, tuple[str, str, bool, type[Message] | None, bool]]":
        """Return the fields by the tags that they may come with.

        That is: name, type, whether repeated, the class of messages, whether many in one piece.
        """
        known = cls.__dict__.get("_by_tag")
        if known is None:
            known = {}
            for number, name, kind, label, place in cls.FIELDS:
                message = class_at(place) if kind == "message" else None
                many = label == "repeated"
                is_number = kind in _BITS or kind == "bool"
                wire = VARINT if is_number else I64 if kind == "double" else LEN
                known[number << 3 | wire] = (name, kind, many, message, False)
                if many and is_number:
                    known[number << 3 | LEN] = (name, kind, many, message, True)
            cls._by_tag = known  # type: ignore[attr-defined]
        return known


def class_at(place: str) -> "type[Message]":
    """Return the class of messages at "module.Name" of this package."""
    module, _, name = place.partition(".")
    package = __name__.rpartition(".")[0]
    found: type[Message] = getattr(__import__(f"{package}.{module}", fromlist=[name]), name)
    return found


def _encoded(message: Message) -> "Iterator[bytes]":
    values = message.__dict__
    for number, name, kind, label, _ in message.FIELDS:
        value = values.get(name)
        if value is None or (not label and not value and kind != "message" and not _is_odd(value)):
            continue
        if label != "repeated":
            yield from _field(number, name, kind, value)
        elif kind in _BITS or kind == "bool":
            packed = b"".join(_number(name, kind, each) for each in value)
            if packed:
                yield from (_varint(number << 3 | LEN), _varint(len(packed)), packed)
        else:
            for each in value:
                yield from _field(number, name, kind, each)


def _field(number: int, name: str, kind: str, value: "Any") -> "Iterator[bytes]":
    if kind in _BITS or kind == "bool":
        yield from (_varint(number << 3 | VARINT), _number(name, kind, value))
        return
    if kind == "double":
        from struct import pack

        yield from (_varint(number << 3 | I64), pack("<d", value))
        return
    data = value if kind == "bytes" else value.encode()
    yield from (_varint(number << 3 | LEN), _varint(len(data)), data)


def _number(name: str, kind: str, value: int) -> bytes:
    if kind == "bool":
        return b"\1" if value else b"\0"
    bits = _BITS[kind]
    low, high = (-1 << bits - 1, 1 << bits - 1) if kind in _SIGNED else (0, 1 << bits)
    if not low <= value < high:
        raise OverflowError(f"{name}: {value} is out of bounds")
    return _varint(value & _U64)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return value.to_bytes(1, "little")
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at``, and where it ends; raises IndexError where that is too far."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _U64, at
        shift += 7
        if shift > 63:
            raise DecodeError("a number has more than ten bytes")


def _merge(message: Message, data: bytes, at: int, end: int, depth: int) -> None:
    """Put the fields of ``data[at:end]`` into ``message``; raises DecodeError, IndexError."""
    if not depth:
        raise DecodeError(f"more than {DEPTH_MAX} messages are within one another")
    fields = type(message).by_tag()
    values = message.__dict__
    while at < end:
        tag, at = _read_varint(data, at)
        field = fields.get(tag)
        if field is None:
            at = _passed_over(tag, data, at, end, depth)
            continue
        name, kind, many, inner, packed = field
        if tag & 7 == I64:
            number, at = 0, at + 8
            if at > end:
                raise IndexError
        else:
            number, at = _read_varint(data, at)
        if tag & 7 == VARINT:
            value: Any = _value(kind, number)
        elif tag & 7 == I64:
            value = _double(data, at - 8)
        else:
            begin, at = at, at + number
            if at > end:
                raise IndexError
            if packed:
                values.setdefault(name, []).extend(_unpacked(kind, data, begin, at))
                continue
            if inner is not None:
                value = (None if many else values.get(name)) or inner()
                _merge(value, data, begin, at, depth - 1)
            elif kind == "string":
                value = data[begin:at].decode()
            else:
                value = data[begin:at]
        if many:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
            _forget_others(message, name)
    if at > end:
        raise IndexError


def _forget_others(message: Message, name: str) -> None:
    """Forget the other fields of the group of which a message has only one (oneof)."""
    for group in getattr(message, "ONEOFS", ()):
        if name in group:
            for other in group:
                if other != name:
                    message.__dict__.pop(other, None)


def _value(kind: str, number: int) -> "int | bool":
    """Return what a number on the wire is as a value of its kind; what is too long is cut."""
    if kind == "bool":
        return number != 0
    bits = _BITS[kind]
    number &= (1 << bits) - 1
    return number - (1 << bits) if kind in _SIGNED and number >> bits - 1 else number


def _is_odd(value: "Any") -> bool:
    """Tell whether it is the zero that is not a field's default."""
    return str(value) == "-0.0"


def _double(data: bytes, at: int) -> float:
    from struct import unpack_from

    found: tuple[float] = unpack_from("<d", data, at)
    return found[0]


def _unpacked(kind: str, data: bytes, at: int, end: int) -> "Iterator[int | bool]":
    while at < end:
        number, at = _read_varint(data, at)
        yield _value(kind, number)
    if at > end:
        raise IndexError


def _passed_over(tag: int, data: bytes, at: int, end: int, depth: int) -> int:
    """Return where a field of no message we know ends; raises DecodeError, IndexError."""
    number, wire = tag >> 3, tag & 7
    if not 0 < number < 1 << 29:
        raise DecodeError(f"{number} is no field's number")
    if wire == VARINT:
        return _read_varint(data, at)[1]
    if wire == LEN:
        size, at = _read_varint(data, at)
    elif wire in (I32, I64):
        size = 4 if wire == I32 else 8
    elif wire == START_GROUP and depth > 1:
        while True:
            tag, at = _read_varint(data, at)
            if tag & 7 == END_GROUP:
                break
            at = _passed_over(tag, data, at, end, depth - 1)
        if tag >> 3 != number:
            raise DecodeError("a group ends that has not begun")
        return at
    else:
        raise DecodeError(f"{wire} is no wire type of a field")
    if at + size > end:
        raise IndexError
    return at + size
