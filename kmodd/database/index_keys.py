# SPDX-License-Identifier: Apache-2.0
"""Keys of an index while they are gathered, and what cannot be one."""

from __future__ import annotations

from kmodd.database import text
from kmodd.errors import RequestError
from kmodd.names import normalise_alias


class IndexKeys:
    """Keys, and what depmod says of those that cannot be in an index."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.problems: list[str] = []

    def holds(self, key: bytes) -> bool:
        """Tell whether an index can hold ``key``; that it cannot is a problem."""
        if not key.isascii():
            self.problems.append(f"ERROR: only 7-bit ASCII is supported in an index: {key!r}")
        return key.isascii()

    def add_alias(self, alias: str) -> None:
        """Add ``alias`` in its normal form."""
        try:
            key = text.encode(normalise_alias(alias))
        except RequestError:
            self.problems.append(f"WARNING: Unmatched bracket in {alias}")
        else:
            if self.holds(key):
                self.keys.append(key)
