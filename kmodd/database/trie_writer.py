# SPDX-License-Identifier: Apache-2.0
"""Writing the binary indexes (see ``kmodd.database.trie`` for the format), byte for byte as v34."""

from __future__ import annotations

import struct
from bisect import bisect_left

from kmodd.database.trie import (
    HAS_CHILDREN,
    HAS_PREFIX,
    HAS_VALUES,
    HEADER,
    MAGIC,
    OFFSET_MASK,
    SPAN,
    VERSION,
    WORD,
)
from kmodd.errors import Reason, TreeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol, TypeAlias

    class Values(Protocol):
        """The values parts of the nodes of keys, by the places of the keys."""

        def __getitem__(self, at: int, /) -> bytes: ...


_ONE_VALUE = struct.Struct(">II")
_TABLES = tuple(struct.Struct(f">BB{size}I").pack for size in range(129))
_WIDEST = 128
"""Children of the node with the most."""

_LEAF = HAS_PREFIX | HAS_VALUES

Record: TypeAlias = bytes
"""The values part of a node with one value; equal ones may be shared."""


def record(priority: int, value: bytes) -> Record:
    """Return what a node holds that has only ``value``."""
    return b"%b%b\0" % (_ONE_VALUE.pack(1, priority), value)


def write_index(entries: Iterable[tuple[bytes, Record]]) -> bytes:
    """Return the index of ``entries`` (key and record), which come as they are inserted.

    Raises ValueError for a key that is not 7-bit ASCII or holds a NUL, and TreeError
    (LIMIT_REACHED) where the index would outgrow its 28-bit offsets.
    """
    records: dict[bytes, list[Record]] = {}
    for key, each in entries:
        records.setdefault(key, []).append(each)
    keys = sorted(records)
    check_keys(keys)
    return finished(TrieWriter(keys, [together(records[key]) for key in keys]))


def check_keys(keys: Iterable[bytes]) -> None:
    """Raise ValueError where one of ``keys`` cannot be in an index."""
    every = b"".join(keys)
    if not every.isascii() or b"\0" in every:
        raise ValueError("a key of an index is not 7-bit ASCII")


def together(records: list[Record]) -> bytes:
    """Return the values part of a node: by priority, and of equal ones the last inserted first."""
    if len(records) == 1:
        return records[0]
    values = [each[WORD.size :] for each in reversed(records)]
    values.sort(key=_priority_bytes)
    return WORD.pack(len(values)) + b"".join(values)


def _priority_bytes(value: bytes) -> bytes:
    return value[: WORD.size]


def finished(writer: TrieWriter) -> bytes:
    """Return the index of all keys of ``writer``, which has written nothing yet."""
    flags = writer.write(0, len(writer.keys), 0)
    HEADER.pack_into(writer.out, 0, MAGIC, VERSION, HEADER.size | flags)
    if len(writer.out) > OFFSET_MASK:
        raise TreeError(Reason.LIMIT_REACHED, "an index of more than 256 MiB")
    return bytes(writer.out)


class TrieWriter:
    """Appends nodes of the sorted ``keys`` to ``out``, each before its children.

    ``links`` gathers the positions of offsets, ``starts`` those of the values, key by key.
    """

    def __init__(self, keys: Sequence[bytes], values: Values, out: bytearray | None = None) -> None:
        self.keys = keys
        self.values = values
        self.out = bytearray(HEADER.size) if out is None else out
        self.links: list[int] = []
        self.starts: list[int] = []
        self.pending: list[tuple[int, int, int, int]] = []

    def write(self, low: int, high: int, depth: int) -> int:
        """Append the subtree of the keys ``low`` to ``high``, and give its root's flags.

        The keys share their first ``depth`` bytes. A node whose turn has not come is pending
        together with the position of its offset in its parent: no key is too long for that.
        """
        out, pending, set_word = self.out, self.pending, WORD.pack_into
        root = self.node(low, high, depth)
        while pending:
            low, high, depth, link = pending.pop()
            place = len(out)
            flags = self._leaf(low, depth) if high - low == 1 else self.node(low, high, depth)
            self.links.append(link)
            set_word(out, link, place | flags)
        return root

    def _leaf(self, at: int, depth: int) -> int:
        """Append the node of one key alone; give its flags."""
        rest = self.keys[at][depth:]
        flags = HAS_VALUES
        if rest:
            self.out += b"%b\0" % rest
            flags = _LEAF
        self.starts.append(len(self.out))
        self.out += self.values[at]
        return flags

    def node(self, low: int, high: int, depth: int) -> int:
        """Append one node, and with it its children if they are all leaves; give its flags."""
        keys, out = self.keys, self.out
        flags = 0
        if depth and low < high:  # the root never has a prefix, whatever its keys share
            shared = _shared(keys[low], keys[high - 1], depth)
            if shared > depth:
                out += b"%b\0" % keys[low][depth:shared]
                flags = HAS_PREFIX
                depth = shared
        own = b""
        if low < high and len(keys[low]) == depth:
            own = self.values[low]
            flags |= HAS_VALUES
            low += 1
        if high - low > _WIDEST:
            self._branches(low, high, depth, own)
            return flags | HAS_CHILDREN
        some = keys[low:high]
        column = bytes([key[depth] for key in some])
        span = column[-1] - column[0] + 1 if column else 0
        if own:
            self.starts.append(len(out) + (SPAN.size + WORD.size * span if column else 0))
        if not column:
            out += own
            return flags
        if len(column) <= span and len(column) == len(set(column)):
            self._leaves(low, some, column, depth + 1, own)
        else:
            self._children(low, column, depth + 1, own)
        return flags | HAS_CHILDREN

    def _branches(self, low: int, high: int, depth: int, own: bytes) -> None:
        """Do the same as ``_children`` for so many keys that it is better not to look at all."""
        before = self.keys[low][:depth]
        starts = []
        while low < high:
            byte = self.keys[low][depth]
            starts.append((byte, low))
            low = bisect_left(self.keys, b"%b%c" % (before, byte + 1), low, high)
        first, last = starts[0][0], starts[-1][0]
        self.out += SPAN.pack(first, last)
        table = len(self.out) - WORD.size * first
        self.out += bytes(WORD.size * (last - first + 1))
        if own:
            self.starts.append(len(self.out))
        self.out += own
        for byte, start in reversed(starts):
            self.pending.append((start, high, depth + 1, table + WORD.size * byte))
            high = start

    def _leaves(
        self, low: int, keys: Sequence[bytes], column: bytes, depth: int, own: bytes
    ) -> None:
        """Append the table of children, the node's ``own`` values, and the children: all leaves.

        ``column`` holds the byte at which each of the keys from ``low`` on branches off.
        """
        values, link, start = self.values, self.links.append, self.starts.append
        first, last = column[0], column[-1]
        table = [0] * (last - first + 1)
        offset = len(self.out) + SPAN.size + WORD.size * len(table) + len(own)
        links = len(self.out) + SPAN.size - WORD.size * first
        parts = [own]
        for place, (key, byte) in enumerate(zip(keys, column, strict=True), low):
            leaf = values[place]
            rest = key[depth:]
            if rest:
                table[byte - first] = offset | _LEAF
                start(offset + len(rest) + 1)
                leaf = b"%b\0%b" % (rest, leaf)
            else:
                table[byte - first] = offset | HAS_VALUES
                start(offset)
            link(links + WORD.size * byte)
            parts.append(leaf)
            offset += len(leaf)
        self.out += _TABLES[len(table)](first, last, *table)
        self.out += b"".join(parts)

    def _children(self, low: int, column: bytes, depth: int, own: bytes) -> None:
        """Append the table of children, empty as yet, and the node's ``own`` values.

        The children are pending, the first of them the next to be taken.
        """
        first, last = column[0], column[-1]
        self.out += SPAN.pack(first, last)
        table = len(self.out) - WORD.size * first
        self.out += bytes(WORD.size * (last - first + 1))
        self.out += own
        end = len(column)
        while end:
            byte = column[end - 1]
            start = column.index(byte)
            self.pending.append((low + start, low + end, depth, table + WORD.size * byte))
            end = start


def _shared(first: bytes, last: bytes, depth: int) -> int:
    """Return how many bytes two sorted keys share at their starts, known to be ``depth``."""
    end = len(first)
    while depth < end and first[depth] == last[depth]:
        depth += 1
    return depth
