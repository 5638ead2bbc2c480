# SPDX-License-Identifier: Apache-2.0
"""What a fleet has in etcd as bytes: JSON objects (RFC 8259) that each have a version.

A member that is not known is left alone: a later kmodctl may have more to say. What would be
misunderstood without it has a later version, and is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from kmodctl.errors import KmodctlError
from kmodctl.fleet.model import (
    NAME,
    NODE,
    ORDERS,
    Desired,
    NodeFacts,
    NodeStatus,
    Rollout,
    RolloutPlace,
    RolloutState,
    Selector,
    Trouble,
    WishFate,
    WishStatus,
)
from kmodctl.fleet.store import StoredEntry
from kmodd.desired.condition import release_tests
from kmodd.desired.document import MAX_PATTERNS, read_document

VERSION = 1
"""The version of the objects that this reads and writes."""

MAX_VALUE = 1_500_000
"""Bytes of one value: what etcd takes in a request (--max-request-bytes) is a little more."""

MAX_DOCUMENT = 250_000
"""Bytes of one text of wishes: a daemon takes 256 KiB from who is no admin."""

MAX_TROUBLES = 32
"""Troubles of one node that are told one by one."""

MAX_WHY = 400
"""Characters of one reason."""

MAX_STAGES = 64
"""Percentages of one rollout."""

MAX_NAMES = 256
"""Wishes of one node, each with a name."""

MAX_LABELS = 256
"""Labels of one node."""

MAX_PLACES = 10_000
"""Places of one rollout, and failures that it takes."""

_REVISIONS = 1 << 63

Kind = TypeVar("Kind")
Word = TypeVar("Word", bound=StrEnum)


class UnreadableError(KmodctlError):
    """What is kept under a key cannot be read; the message names the key and the reason."""

    reason = "UNREADABLE_VALUE"


def encode_desired(desired: Desired) -> bytes:
    """Return the value of desired/NAME; raises ValueError where it is too long."""
    return _encoded(_desired_object(desired))


def encode_rollout(rollout: Rollout) -> bytes:
    """Return the value of rollouts/NAME; raises ValueError where it is too long."""
    return _encoded(
        {
            "candidate": _desired_object(rollout.candidate),
            "percentages": rollout.percentages,
            "places": rollout.places,
            "max_failures": rollout.max_failures,
            "state": rollout.state,
            "stage": rollout.stage,
            "threshold": rollout.threshold,
            "why": rollout.why,
        }
    )


def encode_place(place: RolloutPlace) -> bytes:
    """Return the value of a place."""
    return _encoded({"node": place.node, "revision": place.revision, "why": place.why[:MAX_WHY]})


def encode_status(status: NodeStatus) -> bytes:
    """Return the value of nodes/ID, with the first MAX_TROUBLES; raises ValueError."""
    return _encoded(
        {
            "boot": status.boot,
            "agent": status.agent,
            "version_of_kmodd": status.version,
            "release": status.facts.release,
            "architecture": status.facts.architecture,
            "labels": dict(status.facts.labels),
            "wishes": [
                {
                    "name": each.name,
                    "revision": each.revision,
                    "fate": each.fate,
                    "why": each.why[:MAX_WHY],
                }
                for each in status.wishes
            ],
            "troubles": [
                {
                    "module": each.module,
                    "name": each.name,
                    "standing": each.standing,
                    "why": each.why[:MAX_WHY],
                }
                for each in status.troubles[:MAX_TROUBLES]
            ],
            "trouble_count": status.trouble_count,
            "problem": status.problem[:MAX_WHY],
        }
    )


def decode_desired(entry: StoredEntry) -> Desired:
    """Return what is kept as desired/NAME; raises UnreadableError."""
    return _decoded(entry, NAME, lambda name, found: _desired(name, found, entry.changed))


def decode_rollout(entry: StoredEntry) -> Rollout:
    """Return what is kept as rollouts/NAME; raises UnreadableError."""
    return _decoded(entry, NAME, lambda name, found: _rollout(name, found, entry.changed))


def decode_place(entry: StoredEntry) -> RolloutPlace:
    """Return who has a place; raises UnreadableError."""
    return _decoded(
        entry,
        re.compile("[0-9]{1,5}"),
        lambda _, found: RolloutPlace(
            node=found.matching("node", NODE),
            revision=found.number("revision", _REVISIONS),
            why=found.text("why"),
        ),
    )


def decode_status(entry: StoredEntry) -> NodeStatus:
    """Return what a node says; raises UnreadableError."""
    return _decoded(entry, NODE, _status)


class _Object:
    """One JSON object, whose members are read by their kinds; each method raises ValueError."""

    def __init__(self, members: object, where: str = "") -> None:
        if not isinstance(members, dict):
            raise ValueError(f"{where or 'it'} is no object")
        self._members: Mapping[str, Any] = members
        self._where = f"{where}." if where else ""

    def text(self, name: str, default: str | None = "") -> str:
        """Return a text; with None as ``default`` it must be there."""
        value = self._members.get(name, default)
        if not isinstance(value, str):
            raise ValueError(f"{self._where}{name} is no text")
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        """Return a text that must be there and fit ``pattern``."""
        value = self.text(name, None)
        if not pattern.fullmatch(value):
            raise ValueError(f"{self._where}{name} cannot be {value[:80]!r}")
        return value

    def number(self, name: str, end: int, first: int = 0, default: int | None = None) -> int:
        """Return a whole number from ``first`` to below ``end``."""
        value = self._members.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not first <= value < end:
            raise ValueError(f"{self._where}{name} is no number from {first} to {end - 1}")
        return value

    def word(self, name: str, words: type[Word]) -> Word:
        """Return one of ``words``."""
        value = self.text(name, None)
        if value not in list(words):
            raise ValueError(
                f"{self._where}{name} is one of {', '.join(words)}, not {value[:80]!r}"
            )
        return words(value)

    def object(self, name: str) -> "_Object":
        """Return an object; an empty one where it is missing."""
        return _Object(self._members.get(name, {}), f"{self._where}{name}")

    def objects(self, name: str, most: int) -> "list[_Object]":
        """Return the objects of a list."""
        found = self._list(name, most)
        return [_Object(each, f"{self._where}{name}[{at}]") for at, each in enumerate(found)]

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """Return the texts of a list."""
        found = self._list(name, most)
        if not all(isinstance(each, str) for each in found):
            raise ValueError(f"{self._where}{name} is no list of texts")
        return tuple(found)

    def numbers(self, name: str, most: int) -> tuple[int, ...]:
        """Return the whole numbers of a list."""
        found = self._list(name, most)
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in found):
            raise ValueError(f"{self._where}{name} is no list of numbers")
        return tuple(found)

    def pairs(self, name: str, most: int) -> dict[str, str]:
        """Return an object of texts."""
        found = self._members.get(name, {})
        if not isinstance(found, dict) or len(found) > most:
            raise ValueError(f"{self._where}{name} is no object of at most {most} texts")
        if not all(isinstance(each, str) for each in found.values()):
            raise ValueError(f"{self._where}{name} has a value that is no text")
        return found

    def _list(self, name: str, most: int) -> list[Any]:
        found = self._members.get(name, [])
        if not isinstance(found, list) or len(found) > most:
            raise ValueError(f"{self._where}{name} is no list of at most {most}")
        return found


def _encoded(members: Mapping[str, object]) -> bytes:
    value = json.dumps({"version": VERSION, **members}, separators=(",", ":")).encode()
    if len(value) > MAX_VALUE:
        raise ValueError(f"it has {len(value)} bytes, and etcd takes {MAX_VALUE}")
    return value


def _decoded(
    entry: StoredEntry, names: re.Pattern[str], read: Callable[[str, _Object], Kind]
) -> Kind:
    """Return what ``read`` makes of the last part of the key, and of the object."""
    try:
        name = entry.key.rpartition("/")[2]
        if not names.fullmatch(name):
            raise ValueError("nothing can be called that")
        found = _Object(json.loads(entry.value.decode()))
        version = found.number("version", _REVISIONS, 1)
        if version > VERSION:
            raise ValueError(f"version {version} is later than what this kmodctl reads, {VERSION}")
        return read(name, found)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError, too
        what = "objects nest too deep" if isinstance(error, RecursionError) else str(error)
        raise UnreadableError(f"{entry.key[:200]}: {what}") from None


def _check_size(document: str) -> None:
    if len(document.encode()) > MAX_DOCUMENT:
        raise ValueError(f"the document has more than {MAX_DOCUMENT} bytes")


def _desired_object(desired: Desired) -> dict[str, object]:
    _check_size(desired.document)
    selector = desired.selector
    members: dict[str, object] = {
        "selector": {
            "releases": selector.releases,
            "architectures": selector.architectures,
            "labels": dict(selector.labels),
        },
        "document": desired.document,
    }
    return members | ({"revision": desired.revision} if desired.revision else {})


def _desired(name: str, found: _Object, changed: int) -> Desired:
    selector = found.object("selector")
    releases = selector.texts("releases", MAX_PATTERNS)
    document = found.text("document", None)
    _check_size(document)
    problems = read_document(document, name).problems
    if problems:
        raise ValueError(problems[0])
    return Desired(
        name=name,
        document=document,
        selector=Selector(
            releases=tuple(test for each in releases for test in release_tests(each)),
            architectures=selector.texts("architectures", MAX_PATTERNS),
            labels=tuple(sorted(selector.pairs("labels", MAX_PATTERNS).items())),
        ),
        revision=found.number("revision", _REVISIONS, default=0) or changed,
    )


def _rollout(name: str, found: _Object, changed: int) -> Rollout:
    percentages = found.numbers("percentages", MAX_STAGES)
    if not is_way_up(percentages):
        raise ValueError("percentages do not go up to 100")
    return Rollout(
        candidate=_desired(name, found.object("candidate"), changed),
        percentages=percentages,
        places=found.number("places", MAX_PLACES + 1, 1),
        max_failures=found.number("max_failures", MAX_PLACES + 1, default=0),
        state=found.word("state", RolloutState),
        stage=found.number("stage", len(percentages), default=0),
        threshold=found.number("threshold", ORDERS + 1, default=0),
        why=found.text("why"),
    )


def is_way_up(percentages: tuple[int, ...]) -> bool:
    """Tell whether percentages are above 0, rise, and end with 100."""
    steps = zip((0, *percentages), percentages, strict=False)
    return percentages[-1:] == (100,) and all(before < after for before, after in steps)


def _status(node: str, found: _Object) -> NodeStatus:
    return NodeStatus(
        node=node,
        boot=found.text("boot", None),
        agent=found.text("agent", None),
        version=found.text("version_of_kmodd"),
        facts=NodeFacts(
            release=found.text("release"),
            architecture=found.text("architecture"),
            labels=found.pairs("labels", MAX_LABELS),
        ),
        wishes=tuple(
            WishStatus(
                name=each.matching("name", NAME),
                revision=each.number("revision", _REVISIONS),
                fate=each.word("fate", WishFate),
                why=each.text("why"),
            )
            for each in found.objects("wishes", MAX_NAMES)
        ),
        troubles=tuple(
            Trouble(
                module=each.text("module", None),
                name=each.text("name"),
                standing=each.text("standing"),
                why=each.text("why"),
            )
            for each in found.objects("troubles", MAX_TROUBLES)
        ),
        trouble_count=found.number("trouble_count", _REVISIONS, default=0),
        problem=found.text("problem"),
    )
