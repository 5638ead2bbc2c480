# SPDX-License-Identifier: Apache-2.0
"""The binary indexes of a module tree (``modules.*.bin``): their format, and searches in place.

An index is a Patricia trie of 7-bit keys in big-endian words (the format is documented at the
head of kmod's libkmod-index.c). A header of magic, version and the root's offset is followed by
nodes, each before its children:

    [prefix NUL] [first, last: u8; offset: u32 for each byte of first..last] [count: u32, values]

A value is its priority (u32) and a string with its NUL. The high bits of a node's *offset* tell
which of the three parts it has; a child that is not there has offset 0. Values rise by priority,
and of equal priorities the one inserted last comes first.

The wildcards are in the keys, as fnmatch(3) with no flags takes them, and the query is literal.
"""

from __future__ import annotations

import struct

from kmodd.errors import Reason, TreeError
from kmodd.globs import START, Matcher
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from mmap import mmap

MAGIC = 0xB007F457
VERSION = 0x00020001

HAS_PREFIX = 0x80000000
HAS_VALUES = 0x40000000
HAS_CHILDREN = 0x20000000
OFFSET_MASK = 0x0FFFFFFF

HEADER = struct.Struct(">III")
WORD = struct.Struct(">I")
SPAN = struct.Struct("BB")

_STAR, _QUESTION, _BRACKET, _ESCAPE = b"*?[\\"
_WILDCARDS = (_STAR, _QUESTION, _BRACKET)
_SPECIAL = frozenset((*_WILDCARDS, _ESCAPE))
_BYTES = tuple(bytes((byte,)) for byte in range(256))

Entry = tuple[bytes, int, bytes]
"""A key, its priority (0 is the highest) and its value."""


class _Node(NamedTuple):
    """A node as it lies in the file; an offset of 0 says that there is no such part."""

    prefix: bytes
    first: int
    children: tuple[int, ...]
    values_at: int

    def child(self, byte: int) -> int:
        """Return the offset of the child for ``byte``, or 0."""
        place = byte - self.first
        return self.children[place] if 0 <= place < len(self.children) else 0


class _Reader:
    """One search's way through an index, which must be no longer than the index allows.

    A search reads no byte of a sound index twice, so one that would read on after as many bytes
    as there are goes in circles, and is ended.
    """

    def __init__(self, index: bytes | mmap) -> None:
        self.index = index
        self.budget = len(index)
        magic, version, self.root = self.unpack(HEADER, 0)
        if magic != MAGIC or version >> 16 != VERSION >> 16:
            raise _damaged("its magic or its version is another")

    def unpack(self, layout: struct.Struct, at: int) -> tuple[int, ...]:
        """Read ``layout`` at ``at``."""
        self.budget -= layout.size
        if self.budget < 0:
            raise _damaged("its nodes go in circles")
        try:
            return layout.unpack_from(self.index, at)
        except struct.error:
            raise _damaged("a node ends past its end") from None

    def text(self, at: int) -> bytes:
        """Read the string at ``at`` and give it without its NUL."""
        end = self.index.find(b"\0", at, at + max(self.budget, 0))
        if end < 0:
            raise _damaged("a string has no end")
        self.budget -= end + 1 - at
        return self.index[at:end]

    def node(self, offset: int) -> _Node:
        """Read the node at ``offset``, all but its values."""
        at = offset & OFFSET_MASK
        prefix, first = b"", 0
        children: tuple[int, ...] = ()
        if offset & HAS_PREFIX:
            prefix = self.text(at)
            at += len(prefix) + 1
        if offset & HAS_CHILDREN:
            first, last = self.unpack(SPAN, at)
            table = struct.Struct(f">{max(last - first + 1, 0)}I")
            children = self.unpack(table, at + SPAN.size)
            at += SPAN.size + table.size
        return _Node(prefix, first, children, at if offset & HAS_VALUES else 0)

    def values(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Read the (priority, value) pairs at ``at`` in the order of the file."""
        (count,) = self.unpack(WORD, at)
        at += WORD.size
        for _ in range(count):
            (priority,) = self.unpack(WORD, at)
            value = self.text(at + WORD.size)
            yield priority, value
            at += WORD.size + len(value) + 1


def _damaged(why: str) -> TreeError:
    return TreeError(Reason.TREE_UNREADABLE, f"a damaged index: {why}")


class _Way(NamedTuple):
    """How a search came to a node: what the key so far has matched of the query.

    Up to a key's first wildcard its characters stand for themselves (``wild`` is false). From
    the first bracket or backslash after it on, ``tail`` gathers the rest, to be matched whole.
    """

    state: int = START
    wild: bool = False
    tail: bytes = b""

    def over(self, matcher: Matcher, text: bytes) -> _Way:
        """Go on over ``text``, a piece of the key."""
        state, wild, tail = self
        if tail:
            return _Way(state, wild, tail + text)
        for at, byte in enumerate(text):
            wild = wild or byte in _WILDCARDS
            if not wild:
                state = matcher.literal(state, byte)
            elif byte in (_BRACKET, _ESCAPE):
                return _Way(state, wild, text[at:])
            elif byte == _STAR:
                state = matcher.any_run(state)
            elif byte == _QUESTION:
                state = matcher.any_one(state)
            else:
                state = matcher.literal(state, byte)
            if not state:
                break
        return _Way(state, wild)


def search_wild(index: bytes | mmap, query: str) -> tuple[str, ...]:
    """Return the values of all keys that match ``query``, by rising priority.

    Equal priorities come in the order of libkmod's reader of mapped indexes, which is the
    reverse of that in the file. An empty file is an index without keys, as depmod leaves one
    where the kernel has no list of builtin modules. Raises TreeError (TREE_UNREADABLE).
    """
    if not index:
        return ()
    reader = _Reader(index)
    matcher = Matcher(query.encode("utf-8", "surrogateescape"))
    found: list[tuple[int, bytes]] = []
    # A node is visited with its offset, and its values are taken, with their place, once all
    # before it on the stack is done: the order of libkmod, which only equal priorities show.
    pending: list[tuple[_Way, int, int]] = [(_Way(), reader.root, 0)]
    while pending:
        way, offset, values_at = pending.pop()
        if values_at:
            found += reader.values(values_at)
            continue
        node = reader.node(offset)
        way = way.over(matcher, node.prefix)
        if way.state:
            pending += reversed(_steps(matcher, way, node))
    found.reverse()
    found.sort(key=_priority)
    return tuple(value.decode("utf-8", "surrogateescape") for _, value in found)


def _steps(matcher: Matcher, way: _Way, node: _Node) -> list[tuple[_Way, int, int]]:
    """Return where the search goes from ``node``, in order: into children, then to its values."""
    steps = []
    onward: Iterable[tuple[int, int]] = enumerate(node.children, node.first)
    if not way.wild:
        byte = matcher.next_byte(way.state)
        wanted = _WILDCARDS if byte in _WILDCARDS else (*_WILDCARDS, byte)
        onward = [(byte, node.child(byte)) for byte in wanted]
    state, wild, tail = way
    for byte, child in onward:
        if not child:
            continue
        if tail or byte in _SPECIAL:
            after = way.over(matcher, _BYTES[byte])
            if after.state:
                steps.append((after, child, 0))
        elif reached := matcher.literal(state, byte):  # as nearly all characters are
            steps.append((_Way(reached, wild), child, 0))
    if node.values_at and matcher.accepts(matcher.run(way.state, way.tail)):
        steps.append((way, 0, node.values_at))
    return steps


def _priority(pair: tuple[int, bytes]) -> int:
    return pair[0]


def search_exact(index: bytes | mmap, key: str) -> str | None:
    """Return the first value of exactly ``key``, or None; no wildcards.

    An empty file is an index without keys. Raises TreeError (TREE_UNREADABLE).
    """
    if not index:
        return None
    reader = _Reader(index)
    rest = key.encode("utf-8", "surrogateescape")
    offset = reader.root
    while offset:
        node = reader.node(offset)
        if not rest.startswith(node.prefix):
            break
        rest = rest[len(node.prefix) :]
        if not rest:
            if not node.values_at:
                break
            _, value = next(reader.values(node.values_at), (0, b""))
            return value.decode("utf-8", "surrogateescape")
        offset = node.child(rest[0])
        rest = rest[1:]
    return None


def read_index(index: bytes | mmap) -> Iterator[Entry]:
    """Yield all entries in the order of the keys, values in the order of the file.

    Raises TreeError (TREE_UNREADABLE).
    """
    if not index:
        return
    reader = _Reader(index)
    pending = [(b"", reader.root)]
    while pending:
        key, offset = pending.pop()
        node = reader.node(offset)
        key += node.prefix
        if node.values_at:
            for priority, value in reader.values(node.values_at):
                yield key, priority, value
        pending += [
            (key + _BYTES[node.first + place], child)
            for place, child in reversed(list(enumerate(node.children)))
            if child
        ]
