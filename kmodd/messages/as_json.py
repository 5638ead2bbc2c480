# SPDX-License-Identifier: Apache-2.0
"""A message as kmodctl shows it in JSON.

Moments, lengths of time and bytes are texts as protobuf's own mapping has them
(https://protobuf.dev/programming-guides/json), and so are the names of enums.
"""

from base64 import b64encode
from typing import Any

from kmodd.messages.codec import Message, class_at
from kmodd.messages.errors import Failure
from kmodd.messages.well_known import Duration, Timestamp

_DEFAULTS = {"bool": False, "string": "", "bytes": "", "double": 0.0}

ADDRESS = "address"
"""The field, of whatever message, whose number is where something is in memory."""


def as_json(message: Message) -> Any:
    """Return a message as values of the module json, its fields under their names in the proto.

    They are in the order of the proto, and those without presence are there with their defaults.
    Numbers are numbers, those of 64 bits too, but for addresses: most of the kernel's are beyond
    what is exact in JavaScript, so that they are texts in hexadecimal. A failure has its reason
    without the prefix, as errors have it everywhere else, and its ``errno``.
    """
    if isinstance(message, Duration):
        return f"{_sign(message)}{_seconds(message)}s"
    if isinstance(message, Timestamp):
        return _moment(message)
    shown = {}
    for _, name, kind, label, place in message.FIELDS:
        value = message.__dict__.get(name)
        has_presence = label == "optional" or (kind == "message" and label != "repeated")
        if value is None and has_presence:
            continue
        if label == "repeated":
            shown[name] = [_shown(each, name, kind, place) for each in value or ()]
        elif value is None:
            shown[name] = _shown(_DEFAULTS.get(kind, 0), name, kind, place)
        else:
            shown[name] = _shown(value, name, kind, place)
    return _as_failure(shown) if isinstance(message, Failure) else shown


def _as_failure(shown: dict[str, Any]) -> dict[str, Any]:
    reason, number, *rest = shown.items()
    return {"reason": bare_reason(reason[1]), "errno": number[1], **dict(rest)}


def bare_reason(reason: str | int) -> str:
    """Return a reason's name without the enum's prefix; one that is not known is its number."""
    return str(reason).removeprefix("ERROR_REASON_")


def _shown(value: Any, name: str, kind: str, place: str) -> Any:
    match kind:
        case "message":
            return as_json(value)
        case "enum":
            return _names_at(place).get(value, value)
        case "bytes":
            return b64encode(value or b"").decode()
        case "uint64" if name == ADDRESS:
            return hex(value)
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
