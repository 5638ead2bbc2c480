# SPDX-License-Identifier: Apache-2.0
"""What kinds of things the log tells of, and the facts that a line has beside its words.

A kind is known by its MESSAGE_ID (systemd.journal-fields(7)), which never changes; what a person
can do about it is in systemd/kmodd.catalog.
"""

from collections.abc import Iterable
from enum import Enum

Fact = str | int | Iterable[str]
"""What a fact may be: one value, or several."""


class LogKind(Enum):
    """The kinds, by their MESSAGE_ID."""

    MODULES_LOADED = "3866fba8b1594217b9b53a102e8fccc2"
    MODULES_UNLOADED = "bef8718bc6f548b68b1f3ea4f1b626bf"
    LOAD_REFUSED = "465ec0a706624136b5048ed1038b816d"
    OPERATION_FAILED = "cc71812a32a04a83b411b48b53240821"
    OPERATION_DONE = "78bc345a92d34117bb93ba456778b9b4"
    HOLD_BEGUN = "5284930096124f48a61c78eb652423f6"
    HOLD_ENDED = "12ef498215c545f487b64dae910750dc"
    KERNEL_SEALED = "5209c688f6d2424c878a4aac189bc1ed"
    CONNECTION_ENDED = "cdb0eb6b597148b7914b5bf12c55b0a1"
    OPERATIONS_COUNTED = "13ad46208dfc4e009a896dd60f428d98"
    CALL_DENIED = "e537fe20cf374ead97adc236dd35a337"
    DENIED_IS_LOADED = "19ab0b57dcca479f9161c434a22955cd"
    NOT_AS_WISHED = "52234e1fbc8b4b008f07e25f76bd5388"
    TREE_PUBLISHED = "a2e599b3e4e64d1fb2a002bde5d44300"
    TREE_NOT_PUBLISHED = "6b079ce7005249e0b112dd00b5dfaf4f"
    TREE_NOT_READ = "2c8a9b533dcd486dad0033666396d13a"
    STARTED = "932da70d00ee4070bfca88de4f0c9067"
    STOPPING = "8e8dcec4b3564a3db743bf7759a14310"
    RELOADED = "9a4074ca5cbf4faea9ccf60b2392637e"
    SETTINGS_REFUSED = "956995f074694e268fb891187867b5cf"
    SOCKET_LEFT_OUT = "dc27cb4e48df467a98cc72fdcd7b804c"
    FRONT_ENDED = "bcc8fcaca32b43059d338ae013c63aa5"


def told(kind: LogKind, **facts: Fact) -> dict[str, object]:
    """Return the ``extra`` of a log record of this kind.

    ``facts`` are shown by the journal as fields: ``module`` as KMODD_MODULE. One that is "" or has
    no value is left out.
    """
    return {"kind": kind, "facts": facts}
