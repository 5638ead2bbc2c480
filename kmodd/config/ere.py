# SPDX-License-Identifier: Apache-2.0
"""POSIX extended regular expressions (regex(7)), as depmod.d matches kernel versions with them.

Neither Python's expressions nor the C library's will do for a line that anybody may have written:
they differ in syntax or in manners, and both can take time without end. Here an expression is a
function from the set of positions that it may start at to the set that it may end at, sets being
the bits of an integer, so the time is bounded by the lengths of the expression and of the text.

Left out are back references, and the collating elements of brackets (``[[.a.]]``, ``[[=a=]]``).
"""

import string
from collections.abc import Callable

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

_Step = Callable[[int], int]


def ere_search(pattern: str, text: str) -> bool:
    """Tell whether some part of ``text`` matches ``pattern``.

    Raises ValueError for a pattern that is malformed, or too long.
    """
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"an expression of more than {MAX_LENGTH} characters")
    compiler = _Compiler(pattern, text)
    step = compiler.alternatives(0)
    if compiler.peek():
        raise ValueError("a parenthesis that nothing opens")
    anywhere = (2 << len(text)) - 1
    return bool(step(anywhere))


class _Compiler:
    """Makes the steps of one pattern over one text, from left to right."""

    def __init__(self, pattern: str, text: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.text = text
        self.end = 1 << len(text)

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

    def alternatives(self, depth: int) -> _Step:
        """Take branches with ``|`` between them."""
        if depth > MAX_NESTING:
            raise ValueError(f"parentheses nest deeper than {MAX_NESTING}")
        branches = [self.branch(depth)]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.branch(depth))
        if len(branches) == 1:
            return branches[0]

        def step(states: int) -> int:
            reached = 0
            for branch in branches:
                reached |= branch(states)
            return reached

        return step

    def branch(self, depth: int) -> _Step:
        """Take atoms, each with what follows it of ``*``, ``+``, ``?`` and braces."""
        steps = []
        while self.peek() not in ("", "|", ")"):
            step = self.atom(depth)
            while self.peek() in ("*", "+", "?", "{"):
                step = _repeated(step, *self.counts())
            steps.append(step)

        def run(states: int) -> int:
            for each in steps:
                states = each(states)
            return states

        return run

    def atom(self, depth: int) -> _Step:
        """Take one character, bracket, anchor or parenthesised expression."""
        char = self.take()
        match char:
            case "(":
                step = self.alternatives(depth + 1)
                if self.take() != ")":
                    raise ValueError("a parenthesis that nothing closes")
                return step
            case "^":
                return lambda states: states & 1
            case "$":
                return lambda states: states & self.end
            case ".":
                return self.over(lambda _: True)
            case "[":
                return self.bracket()
            case "*" | "+" | "?" | "{":
                raise ValueError(f"nothing for {char} to repeat")
            case "\\":
                char = self.take()
        return self.over(lambda other: other == char)

    def over(self, accepts: Callable[[str], bool]) -> _Step:
        """Return the step over one character of the text that ``accepts`` accepts."""
        positions = sum(1 << at for at, char in enumerate(self.text) if accepts(char))
        return lambda states: (states & positions) << 1

    def bracket(self) -> _Step:
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


def _repeated(step: _Step, least: int, most: int | None) -> _Step:
    """Return ``step`` from ``least`` to ``most`` times over.

    A step never leads back, so within as many rounds as the text has positions the set of states
    is empty or stays the same, and either way the rounds that are left change nothing.
    """

    def run(states: int) -> int:
        for _ in range(least):
            before, states = states, step(states)
            if states == before:
                break
        reached, fresh = states, states
        rounds = 0
        while fresh and (most is None or rounds < most - least):
            fresh = step(fresh) & ~reached
            reached |= fresh
            rounds += 1
        return reached

    return run
