# SPDX-License-Identifier: Apache-2.0
"""Indexes whose values are names of modules, written again with little work after a small change.

Such an index changes all over with every module that comes or goes, since the priorities of all
modules behind it do. So of some subtrees of it, its *limbs* of a few hundred keys, it is noted
where their offsets and their priorities are. A limb whose keys still lead to the same modules is
set down at its new place with those adjusted, and only the others are written anew.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from itertools import chain

from kmodd.database.trie import WORD
from kmodd.database.trie_writer import TrieWriter, check_keys, finished, record, together
from kmodd.records import field
from kmodd.records import record as values
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from kmodd.database.trie_writer import Record, Values

LARGE = 1 << 24
"""Bytes of names with which an index is not kept for the next one, which would double what it
takes: such names are lines of modules.dep with thousands of paths each."""

LIMB_MIN, LIMB_MAX = 16, 512
"""Keys of a limb. Smaller ones cost more to keep than to write, larger ones are hit too often."""

Owners: TypeAlias = "Mapping[bytes, tuple[bytes, ...]]"
"""Names of modules under the keys that lead to them, each key's by rising priority."""


class Limb(NamedTuple):
    """A subtree of an index: the ``keys`` in it, and the ``size`` bytes from ``start`` on.

    ``links`` are the positions of offsets, ``slots`` those of the priorities of ``names``, all
    counted from ``start``; an offset counts from the index's own.
    """

    keys: Sequence[bytes]
    start: int
    size: int
    flags: int
    links: Sequence[int]
    slots: Sequence[int]
    names: Sequence[bytes]


@values
class NameIndex:
    """An index of module names as bytes, and what the next one like it may take over."""

    data: bytes
    keys: Sequence[bytes] = ()
    owners: Owners = field(default_factory=dict)
    places: Mapping[bytes, int] = field(default_factory=dict)
    limbs: Mapping[bytes, Limb] = field(default_factory=dict)


def index_row(index: NameIndex) -> tuple[Any, ...]:
    """Return an index as plain values, which can be marshalled."""
    limbs = {
        key: (*limb[:4], bytes(limb.links), bytes(limb.slots), limb.names)
        for key, limb in index.limbs.items()
    }
    return index.data, index.keys, dict(index.owners), dict(index.places), limbs


def index_of(row: tuple[Any, ...]) -> NameIndex:
    """Return the index that ``index_row`` made plain values of."""
    data, keys, owners, places, plain = row
    limbs = {
        key: Limb(inside, start, size, flags, array("I", links), array("I", slots), names)
        for key, (inside, start, size, flags, links, slots, names) in plain.items()
    }
    return NameIndex(data, keys, owners, places, limbs)


def write_name_index(
    owners: Owners,
    names: Sequence[bytes],
    previous: NameIndex | None = None,
    *,
    lasting: bool = True,
) -> NameIndex:
    """Return the index of ``owners``, whose priorities are their places among ``names``.

    The bytes are the same whatever ``previous`` is, and one that is not ``lasting`` is of no use
    as that. Raises like ``write_index``.
    """
    known = previous or NameIndex(b"")
    places = {name: place for place, name in enumerate(names)}
    changed = []
    if owners is not known.owners:
        changed = [key for key, named in owners.items() if known.owners.get(key) != named]
    few = len(changed) <= len(known.keys) // 4
    keys = _patched(known, owners, changed) if few else sorted(owners)
    check_keys(changed)
    values = _NameValues(keys, owners, places)
    is_large = sum(map(len, names)) > LARGE
    if not lasting:
        every: Values = _OneByOne(values) if is_large else values.all()
        return NameIndex(finished(TrieWriter(keys, every)))
    made = _OneByOne(values) if is_large else values if few else values.all()
    trunk = _Trunk(keys, made, values, known)
    if few:
        trunk.touched = sorted(bisect_left(keys, key) for key in changed)
    if is_large:
        return NameIndex(finished(trunk))
    return NameIndex(finished(trunk), keys, owners, places, trunk.limbs)


def _patched(known: NameIndex, owners: Owners, changed: Iterable[bytes]) -> list[bytes]:
    """Return the sorted keys of ``owners``, of which those that are new are among ``changed``."""
    keys = list(known.keys)
    for key in changed:
        if key not in known.owners:
            insort(keys, key)
    if len(keys) > len(owners):
        keys = [key for key in keys if key in owners]
    return keys


class _NameValues(dict[int, bytes]):
    """The values parts of an index of names by the places of keys, made when asked for."""

    def __init__(self, keys: Sequence[bytes], owners: Owners, places: Mapping[bytes, int]) -> None:
        self.keys_in_order = keys
        self.owners = owners
        self.places = places
        self._records: dict[bytes, Record] = {}

    def __missing__(self, at: int) -> bytes:
        made = self[at] = self._value(self.owners[self.keys_in_order[at]])
        return made

    def all(self) -> list[bytes]:
        """Return the values parts of all keys."""
        records = self._records = {name: record(at, name) for name, at in self.places.items()}
        return [
            records[names[0]] if len(names) == 1 else self._value(names)
            for names in map(self.owners.__getitem__, self.keys_in_order)
        ]

    def value(self, at: int) -> bytes:
        """Return the values part of one key, which is not kept."""
        names = self.owners[self.keys_in_order[at]]
        return together([record(self.places[name], name) for name in names])

    def _value(self, names: tuple[bytes, ...]) -> bytes:
        return together([self._record(name) for name in names])

    def _record(self, name: bytes) -> Record:
        made = self._records.get(name)
        if made is None:
            made = self._records[name] = record(self.places[name], name)
        return made


class _OneByOne:
    """The values parts of an index of which no two are to be in memory at a time."""

    def __init__(self, names: _NameValues) -> None:
        self._names = names

    def __getitem__(self, at: int) -> bytes:
        return self._names.value(at)


class _Trunk(TrieWriter):
    """Appends the nodes of an index of names, limb by limb; ``limbs`` gathers these.

    ``touched`` are the places of the keys that are new or lead elsewhere than in ``known``.
    """

    def __init__(
        self, keys: Sequence[bytes], values: Values, names: _NameValues, known: NameIndex
    ) -> None:
        super().__init__(keys, values)
        self.names = names
        self.known = known
        self.touched: Sequence[int] = range(len(keys))
        self.moved = known.places != names.places
        self.limbs: dict[bytes, Limb] = {}

    def node(self, low: int, high: int, depth: int) -> int:
        """Append one node, or the whole limb that begins with it; give its flags."""
        if not depth or not LIMB_MIN <= high - low <= LIMB_MAX:
            return super().node(low, high, depth)
        beginning = self.keys[low][:depth]
        keys = self.keys[low:high]
        old = self.known.limbs.get(beginning)
        if old and old.keys == keys and not self._is_touched(low, high):
            limb = self._set_down(old)
        else:
            limb = self._grow(keys, low, high, depth)
        self.limbs[beginning] = limb
        return limb.flags

    def _is_touched(self, low: int, high: int) -> bool:
        return bisect_left(self.touched, low) < bisect_left(self.touched, high)

    def _grow(self, keys: Sequence[bytes], low: int, high: int, depth: int) -> Limb:
        """Append a new limb."""
        start = len(self.out)
        writer = TrieWriter(self.keys, self.values, self.out)
        flags = writer.write(low, high, depth)
        owners = list(map(self.names.owners.__getitem__, keys))
        return Limb(
            keys=keys,
            start=start,
            size=len(self.out) - start,
            flags=flags,
            links=array("I", [link - start for link in writer.links]),
            slots=array("I", _slots(owners, writer.starts, start)),
            names=list(chain.from_iterable(owners)),
        )

    def _set_down(self, limb: Limb) -> Limb:
        """Append an old limb, adjusted to its new place and to new priorities."""
        start, end = len(self.out), limb.start + limb.size
        data = self.known.data[limb.start : end]
        if start != limb.start:
            marks = bytearray(limb.size)
            for link in limb.links:
                marks[link + WORD.size - 1] = 1
            # All offsets move by as much, so one addition of long integers moves them all.
            number = int.from_bytes(data, "big")
            number += (start - limb.start) * int.from_bytes(marks, "big")
            data = number.to_bytes(limb.size, "big")
        self.out += data
        if self.moved:
            set_word, out = WORD.pack_into, self.out
            priorities = map(self.names.places.__getitem__, limb.names)
            for slot, priority in zip(limb.slots, priorities, strict=True):
                set_word(out, start + slot, priority)
        return limb._replace(start=start)


def _slots(owners: Iterable[tuple[bytes, ...]], starts: Iterable[int], base: int) -> list[int]:
    """Return the positions of priorities, from ``base`` on, of values that begin at ``starts``."""
    slots = []
    for names, start in zip(owners, starts, strict=True):
        slot = start - base + WORD.size
        slots.append(slot)
        for name in names[:-1]:
            slot += WORD.size + len(name) + 1
            slots.append(slot)
    return slots
