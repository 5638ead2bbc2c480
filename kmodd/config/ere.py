# SPDX-License-Identifier: Apache-2.0
"""POSIX extended regular expressions (regex(7)), as depmod.d matches kernel versions with them.

Neither Python's expressions nor the C library's will do for a line that anybody may have written:
they differ in syntax or in manners, and both can take time without end. Here an expression is a
table: for each position of the text that it may start at, the set of those that it may end at,
sets being the bits of an integer. Tables of parts make that of the whole, each in a time that is
bounded by the length of the text, however deep repetitions are in others.

Left out are back references, and the collating elements of brackets (``[[.a.]]``, ``[[=a=]]``).
"""

import string
from collections.abc import Callable
from operator import or_

MAX_LENGTH = 256
"""Characters of the longest expression."""

MAX_NESTING = 16
"""Parentheses within parentheses."""

MAX_COUNT = 255
"""The highest number in braces (RE_DUP_MAX)."""

_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "digit": string.digits,
    "lower": string.ascii_lowercase,
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}

_Ends = list[int]
"""Where an expression may end, by where it starts: never before that."""


def ere_search(pattern: str, text: str) -> bool:
    """Tell whether some part of ``text`` matches ``pattern``.

    Raises ValueError for a pattern that is malformed, or too long.
    """
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"an expression of more than {MAX_LENGTH} characters")
    compiler = _Compiler(pattern, text)
    ends = compiler.alternatives(0)
    if compiler.peek():
        raise ValueError("a parenthesis that nothing opens")
    return any(ends)


class _Compiler:
    """Makes the tables of one pattern over one text, from left to right."""

    def __init__(self, pattern: str, text: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.text = text
        self.nothing = [1 << at for at in range(len(text) + 1)]
        """Of what ends where it starts."""

    def peek(self) -> str:
        """Return the next character, "" at the end."""
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        """Take the next character, of which there must be one."""
        char = self.peek()
        if not char:
            raise ValueError("the expression ends too soon")
        self.at += 1
        return char

    def alternatives(self, depth: int) -> _Ends:
        """Take branches with ``|`` between them."""
        if depth > MAX_NESTING:
            raise ValueError(f"parentheses nest deeper than {MAX_NESTING}")
        ends = self.branch(depth)
        while self.peek() == "|":
            self.at += 1
            ends = list(map(or_, ends, self.branch(depth)))
        return ends

    def branch(self, depth: int) -> _Ends:
        """Take atoms, each with what follows it of ``*``, ``+``, ``?`` and braces."""
        ends = self.nothing
        while self.peek() not in ("", "|", ")"):
            atom = self.atom(depth)
            while self.peek() in ("*", "+", "?", "{"):
                atom = self.repeated(atom, *self.counts())
            ends = _then(ends, atom)
        return ends

    def repeated(self, ends: _Ends, least: int, most: int | None) -> _Ends:
        """Return the table of what is there from ``least`` to ``most`` times."""
        if most is None:
            rest = _any_times(ends)
        else:
            rest = self.times(list(map(or_, ends, self.nothing)), most - least)
        return _then(self.times(ends, least), rest)

    def times(self, ends: _Ends, count: int) -> _Ends:
        """Return the table of what is there ``count`` times, by squaring."""
        found = self.nothing
        while count:
            if count % 2:
                found = _then(found, ends)
            count //= 2
            if count:
                ends = _then(ends, ends)
        return found

    def atom(self, depth: int) -> _Ends:
        """Take one character, bracket, anchor or parenthesised expression."""
        char = self.take()
        match char:
            case "(":
                ends = self.alternatives(depth + 1)
                if self.take() != ")":
                    raise ValueError("a parenthesis that nothing closes")
                return ends
            case "^":
                return [1] + [0] * len(self.text)
            case "$":
                return [0] * len(self.text) + self.nothing[-1:]
            case ".":
                return self.over(lambda _: True)
            case "[":
                return self.bracket()
            case "*" | "+" | "?" | "{":
                raise ValueError(f"nothing for {char} to repeat")
            case "\\":
                char = self.take()
        return self.over(lambda other: other == char)

    def over(self, accepts: Callable[[str], bool]) -> _Ends:
        """Return the table of one character of the text that ``accepts`` accepts."""
        ends = [2 << at if accepts(char) else 0 for at, char in enumerate(self.text)]
        return [*ends, 0]

    def bracket(self) -> _Ends:
        """Take the rest of a bracket expression; a backslash means itself there."""
        negated = self.peek() == "^"
        self.at += negated
        members: set[str] = set()
        first = True
        while (char := self.take()) != "]" or first:
            first = False
            if char == "[" and self.peek() == ":":
                name, _, _ = self.pattern[self.at + 1 :].partition(":]")
                if name not in _CLASSES:
                    raise ValueError(f"no class of characters is called {name}")
                members.update(_CLASSES[name])
                self.at += len(name) + 3
            elif self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self.take()
                if last < char:
                    raise ValueError(f"the range {char}-{last} is empty")
                members.update(map(chr, range(ord(char), ord(last) + 1)))
            else:
                members.add(char)
        return self.over(lambda other: (other in members) != negated)

    def counts(self) -> tuple[int, int | None]:
        """Take a repetition: the least and the greatest number of times, None for no bound."""
        char = self.take()
        if char != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        inside, closing, _ = self.pattern[self.at :].partition("}")
        least, comma, most = inside.partition(",")
        if not closing or not all(n.isascii() and n.isdigit() for n in (least, most or "0")):
            raise ValueError("braces that hold no numbers")
        self.at += len(inside) + 1
        low = int(least)
        high = int(most) if most else None if comma else low
        if max(low, high or 0) > MAX_COUNT or (high is not None and high < low):
            raise ValueError(f"braces that hold {inside}")
        return low, high


def _then(first: _Ends, second: _Ends) -> _Ends:
    """Return the table of one thing behind the other."""
    return [_all_of(second, positions) for positions in first]


def _any_times(ends: _Ends) -> _Ends:
    """Return the table of what is there any number of times, none included."""
    found = [0] * len(ends)
    for at in range(len(ends) - 1, -1, -1):  # where it leads from later ones is known by then
        found[at] = 1 << at
        found[at] |= _all_of(found, ends[at])
    return found


def _all_of(ends: _Ends, positions: int) -> int:
    """Return where a set of positions leads."""
    reached = 0
    while positions:
        last = positions.bit_length() - 1
        positions ^= 1 << last
        reached |= ends[last]
    return reached
