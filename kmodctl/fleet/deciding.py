# SPDX-License-Identifier: Apache-2.0
"""Which wishes one node is to have, by what etcd says. Pure: no clock, and no etcd."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kmodctl.fleet.encoding import UnreadableError, decode_desired, decode_rollout
from kmodctl.fleet.model import Desired, Keys, NodeFacts, Rollout, RolloutState
from kmodctl.fleet.store import StoredEntry

NOTHING = "# nothing is wished here\n"
"""What a node has of wishes that say nothing, and of a rollout's that are not meant for it while
desired/NAME is: a daemon that was given no text at all would keep no revision.
"""

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class KnownWishes:
    """What etcd has of wishes and rollouts by their names.

    ``unreadable`` tells of each name of which something cannot be read why that is.
    """

    desired: Mapping[str, Desired] = field(default_factory=dict)
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a node is to have of the wishes ``name``: a ``document`` of a ``revision``, or nothing.

    Nothing has the revision 0, and no document. ``rollout`` is there where a change goes by one,
    and takes a place. ``why`` tells why what is in force stays though there is something newer.
    """

    name: str
    document: str = ""
    revision: int = 0
    rollout: Rollout | None = None
    why: str = ""


def known_wishes(keys: Keys, entries: Iterable[StoredEntry]) -> KnownWishes:
    """Return what ``entries`` say; what is neither a wish nor a rollout is left out."""
    desired: dict[str, Desired] = {}
    rollouts: dict[str, Rollout] = {}
    unreadable: dict[str, str] = {}
    for entry in entries:
        if entry.key.startswith(keys.all_desired):
            _read(entry, decode_desired, desired, unreadable)
        elif entry.key.startswith(keys.all_rollouts):
            _read(entry, decode_rollout, rollouts, unreadable)
    return KnownWishes(desired, rollouts, unreadable)


def _read(
    entry: StoredEntry,
    decode: Callable[[StoredEntry], Kind],
    found: dict[str, Kind],
    unreadable: dict[str, str],
) -> None:
    name = entry.key.rpartition("/")[2]
    try:
        found[name] = decode(entry)
    except UnreadableError as error:
        unreadable[name] = str(error)


def wanted_wishes(
    known: KnownWishes,
    node: str,
    facts: NodeFacts,
    in_force: Mapping[str, int],
    kept: Collection[str] = (),
) -> list[Wanted]:
    """Return what ``node`` is to have of each wishes that there are or that are ``in_force``.

    That has the revisions by their names. Those that are ``kept`` stay where etcd has nothing of
    the name.
    """
    names = {*known.desired, *known.rollouts, *known.unreadable, *in_force}
    return [_wanted(name, known, node, facts, in_force, kept) for name in sorted(names)]


def _wanted(
    name: str,
    known: KnownWishes,
    node: str,
    facts: NodeFacts,
    in_force: Mapping[str, int],
    kept: Collection[str],
) -> Wanted:
    now = in_force.get(name, 0)
    if name in known.unreadable:
        return Wanted(name=name, revision=now, why=known.unreadable[name])
    desired, rollout = known.desired.get(name), known.rollouts.get(name)
    if rollout is not None and rollout.state is RolloutState.DONE:
        # Both are written at once, and a watch may tell of one before the other.
        if desired is None or desired.revision < rollout.candidate.revision:
            desired = rollout.candidate
        rollout = None
    if rollout is not None and _has_candidate(rollout, node, now):
        return _of_candidate(rollout, desired, facts)
    if desired is None and rollout is None and name in kept:
        return Wanted(name=name, revision=now, why="etcd has lost it, and nobody has taken it away")
    if desired is None or not desired.selector.fits(facts):
        return Wanted(name=name, rollout=rollout)
    document = desired.document if desired.document.strip() else NOTHING
    return Wanted(name=name, document=document, revision=desired.revision, rollout=rollout)


def _has_candidate(rollout: Rollout, node: str, now: int) -> bool:
    """Tell whether a node takes, or keeps, what is rolled out; it has the revision ``now``."""
    if rollout.state is RolloutState.UNDONE:
        return False
    return rollout.has_turn(node) or now == rollout.candidate.revision


def _of_candidate(rollout: Rollout, desired: Desired | None, facts: NodeFacts) -> Wanted:
    """Return what a node has of the wishes that are rolled out.

    Where these are not meant for it, and desired/NAME is, it has a text without a wish, so that it
    is known to have had its turn.
    """
    candidate = rollout.candidate
    document = candidate.document if candidate.document.strip() else NOTHING
    if not candidate.selector.fits(facts):
        if desired is None or not desired.selector.fits(facts):
            return Wanted(name=rollout.name, rollout=rollout)
        document = NOTHING
    return Wanted(
        name=rollout.name, document=document, revision=candidate.revision, rollout=rollout
    )
