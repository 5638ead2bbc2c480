# SPDX-License-Identifier: Apache-2.0
"""Shell patterns of a configuration, compiled once and asked for every name.

They mean what fnmatch(3) with no flags means, byte by byte: ``*`` crosses slashes and dots, and a
backslash protects. The named classes of POSIX are left out, since a directive cannot hold one: the
bracket inside would have no partner (``kmodd.names.normalise_alias``).
"""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_WILDCARDS = frozenset("*?[\\")
_STEP = re.compile(
    rb"(?P<star>\*+)|(?P<any>\?)|\[(?P<negated>[!^]?+)(?P<members>(?:\\.|[^\\])(?:\\.|[^\\\]])*)\]"
    rb"|\\(?P<escaped>.)|(?P<dangling>\\)|(?P<literal>.)",
    re.DOTALL,
)
_MEMBER = re.compile(rb"\\?(.)(?:-\\?(.))?", re.DOTALL)
_NEVER = b"(?!)"


class PatternTable(Generic[Value]):
    """Values under the patterns that select them, in the order given; immutable once made."""

    __slots__ = ("_exact", "_globs")

    def __init__(self, entries: Iterable[tuple[str, Value]]) -> None:
        exact: dict[str, list[tuple[int, Value]]] = {}
        globs: list[tuple[int, re.Pattern[bytes], Value]] = []
        for position, (pattern, value) in enumerate(entries):
            if _WILDCARDS.isdisjoint(pattern):
                exact.setdefault(pattern, []).append((position, value))
            else:
                globs.append((position, compile_glob(pattern), value))
        self._exact = exact
        self._globs = globs

    def select(self, name: str) -> tuple[Value, ...]:
        """Return the values whose pattern matches ``name``, in the order given."""
        found = self._exact.get(name, [])
        if self._globs:
            query = name.encode("utf-8", "surrogateescape")
            matching = ((at, value) for at, glob, value in self._globs if glob.fullmatch(query))
            found = sorted([*found, *matching], key=lambda each: each[0])
        return tuple(value for _, value in found)

    def first(self, name: str) -> Value | None:
        """Return the first value whose pattern matches ``name``, if there is one."""
        return next(iter(self.select(name)), None)


def compile_glob(pattern: str) -> re.Pattern[bytes]:
    """Return the regular expression that matches in full what the shell pattern matches.

    What stands between two stars has a fixed length, so the first place where it fits is as good
    as any other: an atomic group keeps the expression from trying them all again, and a hostile
    pattern of many stars takes no more than pattern times name.
    """
    steps = _STEP.finditer(pattern.encode("utf-8", "surrogateescape"))
    runs: list[list[bytes]] = [[]]
    for step in steps:
        if step["star"]:
            runs.append([])
        else:
            runs[-1].append(_one_byte(step))
    first, *middle = (b"".join(run) for run in runs)
    expression = first
    if middle:
        *middle, last = middle
        expression += b"".join(b"(?>.*?%b)" % run for run in middle) + b".*" + last
    return re.compile(expression, re.DOTALL)


def _one_byte(step: re.Match[bytes]) -> bytes:
    """Return the expression for a part of a pattern that stands for exactly one byte."""
    if step["any"]:
        return b"."
    if step["members"] is not None:
        return _bracket(step["members"], negated=bool(step["negated"]))
    if step["dangling"]:
        return _NEVER
    return re.escape(step["escaped"] or step["literal"])


def _bracket(members: bytes, *, negated: bool) -> bytes:
    """Return the expression for a bracket; a range that runs backwards holds nothing."""
    ranges = [(first, last or first) for first, last in _MEMBER.findall(members)]
    spans = [b"\\x%02x-\\x%02x" % (low[0], high[0]) for low, high in ranges if low <= high]
    if not spans:
        return b"." if negated else _NEVER
    return b"[%b%b]" % (b"^" if negated else b"", b"".join(spans))
