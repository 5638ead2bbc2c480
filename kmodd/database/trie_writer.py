# SPDX-License-Identifier: Apache-2.0
"""Writing the binary indexes (see ``kmodd.database.trie`` for the format), byte for byte as v34.

An index whose values are names of modules is written again for every module that comes or goes,
since the priorities of all behind it change. So it is made of *limbs*, subtrees of a few hundred
keys: one whose keys still lead to the same modules is set down at its new place with its new
priorities, and only the others are written anew.
"""

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol

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

LIMB_MIN, LIMB_MAX = 16, 512
"""Keys of a limb. Smaller ones cost more to keep than to write, larger ones are hit too often."""

_ONE = WORD.pack(1)
_ONE_VALUE = struct.Struct(">II")
_TABLES = tuple(struct.Struct(f">BB{size}I") for size in range(129))

Record = bytes
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
    values = [_together(records[key]) for key in keys]
    return _finished(_Writer(keys, values, bytearray(HEADER.size)))


def _together(records: list[Record]) -> bytes:
    """Return the values part of a node: by priority, and of equal ones the last inserted first."""
    if len(records) == 1:
        return records[0]
    values = [each[WORD.size :] for each in reversed(records)]
    values.sort(key=_priority_bytes)
    return WORD.pack(len(values)) + b"".join(values)


def _priority_bytes(value: bytes) -> bytes:
    return value[: WORD.size]


@dataclass(frozen=True, slots=True)
class Limb:
    """A subtree of an index, to be set down anywhere.

    ``data`` are its ``size`` bytes as a big-endian number, with the offsets of children counted
    from its own start; ``links`` has a 1 at the end of each of these, so that one multiplication
    moves them all. ``slots`` are the positions of the priorities, and ``places`` the modules that
    they are of, in the numbering of the index that the limb is kept with.
    """

    keys: list[bytes]
    places: list[int]
    data: int
    size: int
    links: int
    slots: Sequence[int]
    flags: int


@dataclass(frozen=True, slots=True)
class NameIndex:
    """An index of module names as bytes, and what the next one like it may take over."""

    data: bytes
    names: Sequence[bytes] = ()
    keys: Sequence[bytes] = ()
    limbs: Mapping[bytes, Limb] = field(default_factory=dict)


def write_name_index(
    owners: Mapping[bytes, tuple[int, ...]],
    names: Sequence[bytes],
    previous: NameIndex | None = None,
) -> NameIndex:
    """Return the index of the keys ``owners``: places among ``names``, each key's in order.

    The bytes are the same whatever ``previous`` is. Raises like ``write_index``.
    """
    known = previous or NameIndex(b"")
    places = {name: place for place, name in enumerate(names)}
    moved = [places.get(name, -1) for name in known.names]
    # Sorting what is nearly sorted already is a third of the work.
    keys = [key for key in known.keys if key in owners]
    keys += owners.keys() - set(keys) if keys else owners
    keys.sort()
    trunk = _Trunk(_NameValues(keys, owners, _Records(names)), moved, known.limbs)
    return NameIndex(_finished(trunk), names, keys, trunk.limbs)


class _Records(dict[int, Record]):
    """The records of modules by their places, made when they are first asked for."""

    def __init__(self, names: Sequence[bytes]) -> None:
        self._names = names

    def __missing__(self, place: int) -> Record:
        made = self[place] = record(place, self._names[place])
        return made


@dataclass(frozen=True, slots=True)
class _NameValues:
    """The values parts of an index of names, made when they are asked for."""

    keys: Sequence[bytes]
    owners: Mapping[bytes, tuple[int, ...]]
    records: _Records

    def __getitem__(self, at: int) -> bytes:
        return self.among([self.keys[at]])[0]

    def among(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the values parts of ``keys``."""
        records = self.records
        return [
            records[places[0]] if len(places) == 1 else _together([records[at] for at in places])
            for places in map(self.owners.__getitem__, keys)
        ]

    def places(self, keys: Iterable[bytes]) -> list[int]:
        """Return the modules of all ``keys``, one after the other."""
        return list(chain.from_iterable(map(self.owners.__getitem__, keys)))


def _finished(writer: "_Writer") -> bytes:
    """Return the index of all keys of ``writer``, which has written nothing but a header."""
    every = b"".join(writer.keys)
    if not every.isascii() or b"\0" in every:
        raise ValueError("a key of an index is not 7-bit ASCII")
    flags = writer.write(0, len(writer.keys), 0)
    HEADER.pack_into(writer.out, 0, MAGIC, VERSION, HEADER.size | flags)
    if len(writer.out) > OFFSET_MASK:
        raise TreeError(Reason.LIMIT_REACHED, "an index of more than 256 MiB")
    return bytes(writer.out)


class _Values(Protocol):
    """The values parts of the nodes of keys, by the places of the keys."""

    def __getitem__(self, at: int, /) -> bytes: ...


class _Writer:
    """Appends nodes of the sorted ``keys`` to ``out``, each before its children.

    ``links`` gathers the positions of offsets, ``starts`` those of the values, key by key.
    """

    def __init__(self, keys: Sequence[bytes], values: "_Values", out: bytearray) -> None:
        self.keys = keys
        self.values = values
        self.out = out
        self.links: list[int] = []
        self.starts: list[int] = []
        self.pending: list[tuple[int, int, int, int]] = []

    def write(self, low: int, high: int, depth: int) -> int:
        """Append the subtree of the keys ``low`` to ``high``, and give its root's flags.

        The keys share their first ``depth`` bytes. A node whose turn has not come is pending
        together with the position of its offset in its parent: no key is too long for that.
        """
        root = self.node(low, high, depth)
        while self.pending:
            low, high, depth, link = self.pending.pop()
            self.links.append(link)
            WORD.pack_into(self.out, link, len(self.out) | self.node(low, high, depth))
        return root

    def node(self, low: int, high: int, depth: int) -> int:
        """Append one node, and with it its children if they are all leaves; give its flags."""
        keys, out = self.keys, self.out
        flags = 0
        if depth:  # the root never has a prefix, whatever its keys share
            shared = depth + _shared(keys[low][depth:], keys[high - 1][depth:])
            if shared > depth:
                out += b"%b\0" % keys[low][depth:shared]
                flags = HAS_PREFIX
                depth = shared
        own = b""
        if low < high and len(keys[low]) == depth:
            own = self.values[low]
            flags |= HAS_VALUES
            low += 1
        if low == high:
            self.starts.append(len(out))
            out += own
            return flags
        column = bytes([key[depth] for key in keys[low:high]])
        span = column[-1] - column[0] + 1
        if own:
            self.starts.append(len(out) + SPAN.size + WORD.size * span)
        if len(column) <= span and len(column) == len(set(column)):
            self._leaves(low, column, depth + 1, own)
        else:
            self._children(low, column, depth + 1, own)
        return flags | HAS_CHILDREN

    def _leaves(self, low: int, column: bytes, depth: int, own: bytes) -> None:
        """Append the table of children, the node's ``own`` values, and the children: all leaves.

        ``column`` holds the byte at which each of the keys from ``low`` on branches off.
        """
        first, last = column[0], column[-1]
        table = [0] * (last - first + 1)
        offset = len(self.out) + SPAN.size + WORD.size * len(table) + len(own)
        links = len(self.out) + SPAN.size - WORD.size * first
        parts = [own]
        for place, byte in enumerate(column, low):
            key = self.keys[place]
            leaf = self.values[place]
            if len(key) > depth:
                table[byte - first] = offset | HAS_PREFIX | HAS_VALUES
                self.starts.append(offset + len(key) - depth + 1)
                leaf = b"%b\0%b" % (key[depth:], leaf)
            else:
                table[byte - first] = offset | HAS_VALUES
                self.starts.append(offset)
            self.links.append(links + WORD.size * byte)
            parts.append(leaf)
            offset += len(leaf)
        self.out += _TABLES[len(table)].pack(first, last, *table)
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


class _Trunk(_Writer):
    """Appends the nodes of an index of names, limb by limb; ``limbs`` gathers these."""

    def __init__(
        self, values: _NameValues, moved: Sequence[int], known: Mapping[bytes, Limb]
    ) -> None:
        super().__init__(values.keys, values, bytearray(HEADER.size))
        self.names = values
        self.moved = moved
        self.known = known
        self.limbs: dict[bytes, Limb] = {}

    def node(self, low: int, high: int, depth: int) -> int:
        """Append one node, or the whole limb that begins with it; give its flags."""
        if not depth or not LIMB_MIN <= high - low <= LIMB_MAX:
            return super().node(low, high, depth)
        beginning = self.keys[low][:depth]
        keys = list(self.keys[low:high])
        places = self.names.places(keys)
        old = self.known.get(beginning)
        base = len(self.out)
        if old and old.keys == keys and [self.moved[place] for place in old.places] == places:
            limb = replace(old, places=places)
            self.out += (limb.data + base * limb.links).to_bytes(limb.size, "big")
            for slot, place in zip(limb.slots, places, strict=True):
                WORD.pack_into(self.out, base + slot, place)
        else:
            limb = _grow(keys, self.names.among(keys), depth, places)
            self.out += (limb.data + base * limb.links).to_bytes(limb.size, "big")
        self.limbs[beginning] = limb
        return limb.flags


def _grow(keys: list[bytes], values: list[bytes], depth: int, places: list[int]) -> Limb:
    """Return a new limb of ``keys``, which share their first ``depth`` bytes."""
    writer = _Writer(keys, values, bytearray())
    flags = writer.write(0, len(keys), depth)
    marks = bytearray(len(writer.out))
    for link in writer.links:
        marks[link + WORD.size - 1] = 1
    return Limb(
        keys=keys,
        places=places,
        data=int.from_bytes(writer.out, "big"),
        size=len(writer.out),
        links=int.from_bytes(marks, "big"),
        slots=array("I", _slots(writer.starts, values)),
        flags=flags,
    )


def _slots(starts: Iterable[int], values: Iterable[bytes]) -> list[int]:
    """Return the positions of all priorities, given where the ``values`` parts of nodes start."""
    slots = []
    for start, value in zip(starts, values, strict=True):
        at = WORD.size
        slots.append(start + at)
        if value[:at] != _ONE:
            at = value.index(b"\0", at + WORD.size) + 1
            while at < len(value):
                slots.append(start + at)
                at = value.index(b"\0", at + WORD.size) + 1
    return slots


def _shared(first: bytes, last: bytes) -> int:
    """Return how many bytes two keys share at their starts."""
    if first == last:
        return len(first)
    shared = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        shared += 1
    return shared
