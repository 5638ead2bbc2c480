# SPDX-License-Identifier: Apache-2.0
"""udev's rule for drivers: which modules it loads when a device is plugged in (udev(7)).

systemd installs it as 80-drivers.rules, and what it says is what kmodd does in udev's place. A line
is conditions on an event, then what is done: ``RUN{builtin}+="kmod load"`` loads what answers to
the device's MODALIAS, and with names behind it those. That, comments, GOTO and LABEL are all that
such a rule has; one with more is not understood, and stays udev's to carry out.
"""

import re
from collections.abc import Iterator, Mapping

from kmodd.errors import Reason, RequestError
from kmodd.globs import PatternTable
from kmodd.names import normalise_alias
from kmodd.records import record

MAX_RULES = 64 << 10
"""Bytes of a rule; systemd's own has one KiB."""

MAX_LINES = 256
"""Lines of a rule that say something."""

KERNEL_PROPERTIES = frozenset({"MODALIAS", "TIFM_CARD_TYPE"})
"""What such a rule looks at and the kernel's own events have; udev finds out the rest."""

PLAIN_RULE = 'ACTION=="add", ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load"\n'
"""What is done where there is no udev."""

_PART = re.compile(
    r'\s*(?P<key>[A-Z]+)(?:\{(?P<name>[^}"]*)\})?\s*(?P<does>==|!=|\+=|=)\s*"(?P<value>[^"]*)"\s*,?'
)
_EVENT_KEYS = {"ACTION": "ACTION", "SUBSYSTEM": "SUBSYSTEM", "DEVPATH": "DEVPATH"}
_LOAD = ("kmod", "load")
_ALIASES = ("$env{MODALIAS}", "'$env{MODALIAS}'", "%E{MODALIAS}", "'%E{MODALIAS}'")


@record
class _Condition:
    """What a property must be, or with ``wanted`` False must not be."""

    property: str
    patterns: PatternTable[bool]
    wanted: bool

    def holds(self, properties: Mapping[str, str]) -> bool:
        value = properties.get(self.property, "")
        if self.property == "KERNEL":
            value = properties.get("DEVPATH", "").rpartition("/")[2].replace("!", "/")
        return bool(self.patterns.select(value)) is self.wanted


@record
class RuleLine:
    """A line of the rule.

    ``conditions`` is their text, as udev takes it. ``names`` are the modules that are loaded where
    they hold, "" for what answers to the MODALIAS. ``asks_udev`` tells that the conditions are on
    something that only udev finds out.
    """

    conditions: str
    names: tuple[str, ...]
    asks_udev: bool
    tests: tuple[_Condition, ...]
    goto: str = ""
    label: str = ""


@record
class DriverRule:
    """The rule as it is carried out, line by line."""

    lines: tuple[RuleLine, ...]

    def wanted(self, properties: Mapping[str, str]) -> tuple[str, ...]:
        """Return what is to be loaded for an event with these properties, each name once.

        ``properties`` are those of the kernel's event, ACTION and DEVPATH among them. A line that
        asks for what only udev knows is passed over.
        """
        found: dict[str, None] = {}
        skipped_to = ""
        for line in self.lines:
            if skipped_to and line.label != skipped_to:
                continue
            skipped_to = ""
            if line.asks_udev or not all(test.holds(properties) for test in line.tests):
                continue
            skipped_to = line.goto
            for name in line.names:
                found[name or properties.get("MODALIAS", "")] = None
        found.pop("", None)
        return tuple(found)


def read_driver_rule(text: str) -> DriverRule:
    """Return the rule that ``text`` is.

    Raises RequestError (INVALID_REQUEST) with the number of the line that is not understood.
    """
    if len(text.encode("utf-8", "surrogateescape")) > MAX_RULES:
        raise _odd(0, f"it has more than {MAX_RULES} bytes")
    lines = [_line(number, line) for number, line in _logical_lines(text)]
    if len(lines) > MAX_LINES:
        raise _odd(0, f"it has more than {MAX_LINES} lines")
    labels = {line.label for line in lines}
    for line in lines:
        if line.goto and line.goto not in labels:
            raise _odd(0, f"there is no label {line.goto!r}")
    return DriverRule(tuple(lines))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, each with its number; a backslash joins two."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#") or not (stripped or begun):
            continue
        first = first or number
        if stripped.endswith("\\"):
            begun += stripped[:-1]
            continue
        yield first, begun + stripped
        begun, first = "", 0
    if begun:
        yield first, begun


def _line(number: int, text: str) -> RuleLine:
    at = 0
    conditions: list[str] = []
    tests: list[_Condition] = []
    names: list[str] = []
    found = {"GOTO": "", "LABEL": ""}
    asks_udev = False
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise _odd(number, f"{text[at : at + 64]!r}")
        at = part.end()
        key, name, does, value = part["key"], part["name"], part["does"], part["value"]
        if does in ("==", "!="):
            tests.append(_condition(number, key, name, value, wanted=does == "=="))
            conditions.append(part[0].strip().removesuffix(",").rstrip())
            asks_udev = asks_udev or (key == "ENV" and name not in KERNEL_PROPERTIES)
        elif key in found and name is None and does == "=":
            found[key] = value
        elif key == "RUN" and name == "builtin" and does == "+=":
            names += _loaded(number, value)
        else:
            raise _odd(number, f"{part[0].strip()[:64]!r}")
    return RuleLine(
        ", ".join(conditions),
        tuple(names),
        asks_udev,
        tuple(tests),
        found["GOTO"],
        found["LABEL"],
    )


def _condition(number: int, key: str, name: str | None, value: str, *, wanted: bool) -> _Condition:
    """Return a condition; alternatives stand between bars."""
    property_ = name if key == "ENV" else _EVENT_KEYS.get(key, "KERNEL" if key == "KERNEL" else "")
    if not property_ or (key != "ENV" and name is not None):
        raise _odd(number, f"a condition on {key}")
    for each in value.split("|"):
        try:
            normalise_alias(each)  # a bracket without a partner
        except RequestError as error:
            raise _odd(number, error.message) from error
    return _Condition(property_, PatternTable((each, True) for each in value.split("|")), wanted)


def _loaded(number: int, command: str) -> Iterator[str]:
    """Yield what a call of udev's built-in command loads, "" for what answers to MODALIAS."""
    words = command.split()
    if tuple(words[:2]) != _LOAD:
        raise _odd(number, f"{command[:64]!r}")
    for word in words[2:] or _ALIASES[:1]:
        if word in _ALIASES:
            yield ""
        elif re.fullmatch(r"[A-Za-z0-9_-]{1,64}", word):
            yield word
        else:
            raise _odd(number, f"{word[:64]!r}")


def _odd(number: int, what: str) -> RequestError:
    where = f"line {number}: " if number else ""
    why = f"udev's rule for drivers is not understood: {where}{what}"
    return RequestError(Reason.INVALID_REQUEST, why)
