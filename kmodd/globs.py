# SPDX-License-Identifier: Apache-2.0
"""Shell patterns as fnmatch(3) with no flags takes them, byte by byte, matched step by step.

``*`` crosses slashes and dots, and a backslash protects what follows it.

A pattern is run as a nondeterministic automaton over *one* query: the state is the set of the
query's positions that the pattern may have reached so far, as the bits of an integer. So a
pattern of many stars takes no more than pattern times query, and a walk down a trie of patterns
carries the state along and stops as soon as it is empty.

Of fnmatch, the named classes of POSIX (``[[:digit:]]``) are left out: no alias can have them, since
the bracket inside would have no partner (``kmodd.names.normalise_alias``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Generic, TypeVar

    Value = TypeVar("Value")
else:
    Value = None

    class Generic:
        """All that it takes where nobody checks types: ``typing`` is 6 ms to import."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls


_STAR, _QUESTION, _OPEN, _CLOSE, _ESCAPE = b"*?[]\\"
_WILDCARDS = frozenset("*?[\\")
_NEGATIONS = frozenset(b"!^")

START = 1
"""The state before the first step: nothing of the query is consumed."""


class Matcher:
    """The steps of patterns over one query; immutable once made."""

    __slots__ = ("_accept", "_full", "_positions", "_query")

    def __init__(self, query: bytes) -> None:
        positions: dict[int, int] = {}
        for position, byte in enumerate(query):
            positions[byte] = positions.get(byte, 0) | 1 << position
        self._query = query
        self._positions = positions
        self._accept = 1 << len(query)
        self._full = (self._accept << 1) - 1

    def accepts(self, state: int) -> bool:
        """Tell whether the pattern may end here, with the whole query consumed."""
        return bool(state & self._accept)

    def literal(self, state: int, byte: int) -> int:
        """Step over an ordinary character."""
        return (state & self._positions.get(byte, 0)) << 1

    def next_byte(self, state: int) -> int:
        """Return the query's byte after the one position that ``state`` holds, -1 at its end."""
        position = state.bit_length() - 1
        return self._query[position] if position < len(self._query) else -1

    def any_one(self, state: int) -> int:
        """Step over ``?``."""
        return (state << 1) & self._full

    def any_run(self, state: int) -> int:
        """Step over ``*``: every position from the first reached one on."""
        return self._full & -(state & -state)

    def run(self, state: int, pattern: bytes) -> int:
        """Step over all of ``pattern``, brackets and backslashes too."""
        at = 0
        while at < len(pattern) and state:
            byte = pattern[at]
            at += 1
            if byte == _STAR:
                state = self.any_run(state)
            elif byte == _QUESTION:
                state = self.any_one(state)
            elif byte == _OPEN:
                state, at = self._bracket(state, pattern, at)
            elif byte == _ESCAPE:
                state = self.literal(state, pattern[at]) if at < len(pattern) else 0
                at += 1
            else:
                state = self.literal(state, byte)
        return state

    def _bracket(self, state: int, pattern: bytes, at: int) -> tuple[int, int]:
        """Step over the bracket whose inside starts at ``at``; give the state and its end."""
        negated = at < len(pattern) and pattern[at] in _NEGATIONS
        members, end = _bracket_members(pattern, at + negated)
        if not end:  # nothing closes it, so it stands for itself
            return self.literal(state, _OPEN), at
        reached = 0
        for byte, positions in self._positions.items():
            if (byte in members) != negated:
                reached |= positions
        return (state & reached) << 1, end


def _bracket_members(pattern: bytes, at: int) -> tuple[set[int], int]:
    """Return the bytes that a bracket names and the position after it, 0 if nothing closes it."""
    members: set[int] = set()
    start = at
    while at < len(pattern):
        byte = pattern[at]
        if byte == _CLOSE and at > start:
            return members, at + 1
        byte, at = _bracket_byte(pattern, at)
        last = byte
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"]", b""):
            last, at = _bracket_byte(pattern, at + 1)
        members.update(range(byte, last + 1))
    return members, 0


def _bracket_byte(pattern: bytes, at: int) -> tuple[int, int]:
    """Return the byte at ``at``, or the one that a backslash there protects, and what follows."""
    if pattern[at] == _ESCAPE and at + 1 < len(pattern):
        return pattern[at + 1], at + 2
    return pattern[at], at + 1


class PatternTable(Generic[Value]):
    """Values under the patterns that select them, in the order given; immutable once made."""

    __slots__ = ("_exact", "_globs")

    def __init__(self, entries: Iterable[tuple[str, Value]]) -> None:
        exact: dict[str, list[tuple[int, Value]]] = {}
        globs: list[tuple[int, bytes, Value]] = []
        for position, (pattern, value) in enumerate(entries):
            if _WILDCARDS.isdisjoint(pattern):
                exact.setdefault(pattern, []).append((position, value))
            else:
                globs.append((position, _encoded(pattern), value))
        self._exact = exact
        self._globs = globs

    def select(self, name: str) -> tuple[Value, ...]:
        """Return the values whose pattern matches ``name``, in the order given."""
        found = self._exact.get(name, [])
        if self._globs:
            query = Matcher(_encoded(name))
            matching = (
                (at, value)
                for at, glob, value in self._globs
                if query.accepts(query.run(START, glob))
            )
            found = sorted([*found, *matching], key=lambda each: each[0])
        return tuple([value for _, value in found]) if found else ()

    def first(self, name: str) -> Value | None:
        """Return the first value whose pattern matches ``name``, if there is one."""
        if self._globs:
            return next(iter(self.select(name)), None)
        found = self._exact.get(name)
        return found[0][1] if found else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
