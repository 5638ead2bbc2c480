# SPDX-License-Identifier: Apache-2.0
"""A message as JSON has it (https://protobuf.dev/programming-guides/json)."""

from base64 import b64encode
from typing import Any

from kmodd.messages.codec import Message, class_at
from kmodd.messages.well_known import Duration, Timestamp

_DEFAULTS = {"bool": False, "string": "", "bytes": "", "int64": "0", "uint64": "0"}


def as_json(message: Message) -> Any:
    """Return a message as values of the module json, its fields under their names in the proto.

    Fields without presence are there with their defaults, too, behind those that are set. Numbers
    of 64 bits are texts.
    """
    if isinstance(message, Duration):
        return f"{_sign(message)}{_seconds(message)}s"
    if isinstance(message, Timestamp):
        return _moment(message)
    shown: dict[str, Any] = {}
    unset: dict[str, Any] = {}
    for _, name, kind, label, place in message.FIELDS:
        value = message.__dict__.get(name)
        has_presence = label == "optional" or (kind == "message" and label != "repeated")
        if value is None or (not value and not has_presence):
            if not has_presence:
                unset[name] = [] if label == "repeated" else _default(kind, place)
        elif label == "repeated":
            shown[name] = [_shown(each, kind, place) for each in value]
        else:
            shown[name] = _shown(value, kind, place)
    return shown | unset


def _default(kind: str, place: str) -> Any:
    return _shown(0, kind, place) if kind == "enum" else _DEFAULTS.get(kind, 0)


def _shown(value: Any, kind: str, place: str) -> Any:
    match kind:
        case "message":
            return as_json(value)
        case "enum":
            return _names_at(place).get(value, value)
        case "bytes":
            return b64encode(value).decode()
        case "int64" | "uint64":
            return str(value)
    return value


def _names_at(place: str) -> dict[int, str]:
    names: Any = class_at(place)
    return dict(names)


def _sign(length: Duration) -> str:
    return "-" if length.seconds < 0 or length.nanos < 0 else ""


def _seconds(value: Duration | Timestamp) -> str:
    return f"{abs(value.seconds)}{_fraction(abs(value.nanos))}"


def _fraction(nanos: int) -> str:
    """Return a fraction of a second with 0, 3, 6 or 9 digits."""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}" if digits else ""


def _moment(moment: Timestamp) -> str:
    from datetime import datetime, timedelta

    time = datetime(1970, 1, 1) + timedelta(seconds=moment.seconds)
    return f"{time.isoformat()}{_fraction(moment.nanos)}Z"
