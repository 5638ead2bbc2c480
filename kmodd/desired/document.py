# SPDX-License-Identifier: Apache-2.0
"""The text of one source of wishes, which is TOML (https://toml.io).

    [[module]]
    name = "wireguard"
    state = "loaded"        # or absent, denied, held
    parameters = { debug = 1 }
    reload = "when-unused"  # or never
    enforce = true
    when = { release = ">=6.1", hostname = "web-*", labels = { rack = "b*" } }

Each complaint names the source and the line. A source counts as a whole or not at all.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kmodd.desired.condition import Condition, release_tests
from kmodd.desired.wish import Wish, WishedState
from kmodd.names import module_name
from kmodd.records import record

VERSION = 1
"""The version of the format that this reads; a source may say which one it has."""

MAX_TEXT = 1 << 20
"""Bytes of one source."""

MAX_WISHES = 4096
"""Wishes of one source."""

MAX_PROBLEMS = 100
"""Complaints about one source."""

MAX_PARAMETERS = 64
"""Parameters of one wish."""

MAX_VALUE = 1024
"""Bytes of a parameter's value: the kernel keeps no more of most (STANDARD_PARAM_DEF, charp)."""

MAX_PATTERNS = 64
"""Patterns or labels of one condition."""

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,55}")  # MODULE_NAME_LEN, less a NUL
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(r"\s*\[\[\s*(?:module|\"module\"|'module')\s*\]\]")

Check = Callable[[Any], Any]


@record
class WishDocument:
    """What one source says. Where there are ``problems``, a line each, there are no ``wishes``."""

    source: str
    wishes: tuple[Wish, ...] = ()
    problems: tuple[str, ...] = ()


def read_document(text: str | bytes, source: str) -> WishDocument:
    """Return what ``text`` says; ``source`` names it to people, as a path does. Raises nothing."""
    reader = _Reader(source)
    wishes = reader.wishes(text)
    problems = reader.problems
    if len(problems) > MAX_PROBLEMS:
        more = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], f"{source}: and {more} more"]
    return WishDocument(source, () if problems else wishes, tuple(problems))


class _Reader:
    """Reads one text; ``problems`` is what is wrong with it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines: list[str] = []
        self.problems: list[str] = []

    def wishes(self, text: str | bytes) -> tuple[Wish, ...]:
        """Return the wishes that are right, in their order."""
        try:
            if len(text) > MAX_TEXT:
                raise ValueError(f"more than {MAX_TEXT} bytes")
            decoded = text.decode() if isinstance(text, bytes) else text
            found = tomllib.loads(decoded)
        except (ValueError, RecursionError) as error:  # TOML's errors name their line
            what = "tables nest too deep" if isinstance(error, RecursionError) else str(error)
            at = re.search(r"\(at line (\d+), column \d+\)", what)
            end = len(text.splitlines()) if what.endswith("(at end of document)") else 0
            self._complain(int(at[1]) if at else end, what)
            return ()
        self._lines = decoded.splitlines()
        if not self._is_known(found):
            return ()
        tables = found.get("module", [])
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self._complain(self._line_of("module"), "module is a list of tables, [[module]]")
            return ()
        if len(tables) > MAX_WISHES:
            self._complain(0, f"more than {MAX_WISHES} wishes")
            return ()
        places = self._places(len(tables))
        read = (self._wish(table, place) for table, place in zip(tables, places, strict=True))
        wishes = tuple(wish for wish in read if wish is not None)
        self._find_contradictions(wishes)
        return wishes

    def _is_known(self, found: Mapping[str, Any]) -> bool:
        """Tell whether the text is of a version that can be read, and complain of what is not."""
        version = found.get("version", VERSION)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            self._complain(self._line_of("version"), f"version is a number, {VERSION}")
            return False
        if version > VERSION:
            what = f"version {version} is later than what this kmodd reads, {VERSION}"
            self._complain(self._line_of("version"), what)
            return False
        for name in found.keys() - {"version", "module"}:
            self._complain(self._line_of(name), f"{name} is nothing that can be wished")
        return not self.problems

    def _wish(self, table: Mapping[str, Any], place: range) -> Wish | None:
        """Return one wish, None where something is wrong with it."""
        before = len(self.problems)
        values: dict[str, Any] = {}
        for key, value in table.items():
            check = _CHECKS.get(key)
            try:
                if check is None:
                    raise ValueError("is nothing that can be wished")
                values[key] = check(value)
            except ValueError as error:
                self._complain(self._line_of(key, place), f"{key} {error}")
        if "name" not in table:
            self._complain(place.start, "a [[module]] needs a name")
        state = values.setdefault("state", WishedState.LOADED)
        if not state.is_present and (values.get("parameters") or values.get("reload")):
            line = self._line_of("parameters" if "parameters" in table else "reload", place)
            self._complain(line, f"a module that is to be {state.value} has no parameters")
        if len(self.problems) > before:
            return None
        return Wish(**values, source=self._source, line=place.start)

    def _find_contradictions(self, wishes: tuple[Wish, ...]) -> None:
        """Complain of two wishes for one module that may be for the same machine."""
        seen: dict[tuple[str, Condition], Wish] = {}
        for wish in wishes:
            first = seen.setdefault((wish.name, wish.when), wish)
            if first is not wish:
                self._complain(wish.line, f"{wish.name} is wished already, in line {first.line}")

    def _places(self, count: int) -> list[range]:
        """Return the lines of each of so many tables.

        tomllib does not tell. Where what looks like a header is none, in a text of several lines,
        or the tables have no headers of their own, all of them are where the first one is.
        """
        heads = [number for number, line in enumerate(self._lines, 1) if _HEADER.match(line)]
        end = len(self._lines) + 1
        if len(heads) != count:
            return [range(self._line_of("module"), end)] * count
        ends = [*heads, end][1:]
        return [range(head, each) for head, each in zip(heads, ends, strict=True)]

    def _line_of(self, key: str, place: range | None = None) -> int:
        """Return the line of a key within a table's lines, that of the table where none has it."""
        place = place or range(1, len(self._lines) + 1)
        spelled = re.compile(rf"\s*(?:\[+\s*)?[\"']?{re.escape(key)}[\"']?\s*[=\].]")
        matching = (each for each in place if spelled.match(self._lines[each - 1]))
        return next(matching, place.start)

    def _complain(self, line: int, what: str) -> None:
        place = f"{self._source}:{line}" if line else self._source
        self.problems.append(f"{place}: {what}")


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("is a module's own name, without a path, and not an alias")
    return module_name(value)


def _state(value: Any) -> WishedState:
    words = [state.value for state in WishedState]
    if value not in words:
        raise ValueError(f"is one of {', '.join(words)}, not {value!r}")
    return WishedState(value)


def _reload(value: Any) -> bool:
    if value not in ("when-unused", "never"):
        raise ValueError(f"is one of when-unused, never, not {value!r}")
    return bool(value == "when-unused")


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _parameters(value: Any) -> tuple[tuple[str, str], ...]:
    """Return names and values; dashes and underscores of a name are the same."""
    if not isinstance(value, dict) or len(value) > MAX_PARAMETERS:
        raise ValueError(f"is a table of at most {MAX_PARAMETERS} names and values")
    found: dict[str, str] = {}
    for name, given in value.items():
        if not _PARAMETER.fullmatch(name):
            raise ValueError(f"has {name!r}, which cannot be a parameter's name")
        if found.setdefault(name.replace("-", "_"), told := _told(name, given)) != told:
            raise ValueError(f"has {name!r} twice")
    return tuple(sorted(found.items()))


def _told(name: str, value: Any) -> str:
    """Return a parameter's value as the kernel is given it: an array has commas."""
    if isinstance(value, list) and not any(isinstance(each, list) for each in value):
        value = ",".join(_told(name, each) for each in value)
    if isinstance(value, bool):
        return str(int(value))
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str) or not text.isprintable() or '"' in text:
        raise ValueError(f"has a value for {name} that is no printable text, number, true or false")
    if len(text.encode()) > MAX_VALUE:
        raise ValueError(f"has more than {MAX_VALUE} bytes for {name}")
    return text


def _when(value: Any) -> Condition:
    if not isinstance(value, dict):
        raise ValueError("is a table, { release = ..., hostname = ..., labels = ... }")
    unknown = value.keys() - {"release", "hostname", "labels"}
    if unknown:
        raise ValueError(f"has {min(unknown)!r}, which is none of release, hostname, labels")
    labels = value.get("labels", {})
    if not isinstance(labels, dict) or len(labels) > MAX_PATTERNS:
        raise ValueError(f"has labels, a table of at most {MAX_PATTERNS} names and patterns")
    return Condition(
        tuple(test for text in _texts(value, "release") for test in release_tests(text)),
        tuple(_texts(value, "hostname")),
        tuple(sorted((name, text) for name in labels for text in _texts(labels, name))),
    )


def _texts(table: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the texts under ``key``: one, or a list of them; raises ValueError."""
    value = table.get(key, [])
    texts = value if isinstance(value, list) else [value]
    if len(texts) > MAX_PATTERNS or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"has {key}, which is a text, or a list of at most {MAX_PATTERNS}")
    yield from texts


_CHECKS: Mapping[str, Check] = {
    "name": _name,
    "state": _state,
    "parameters": _parameters,
    "reload": _reload,
    "enforce": _boolean,
    "when": _when,
}
"""What a wish may say, and what returns each value as a Wish has it, or raises ValueError."""
