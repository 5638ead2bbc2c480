# SPDX-License-Identifier: Apache-2.0
"""Which wishes a node is to have, by what etcd says."""

from dataclasses import replace

import pytest

from kmodctl.fleet.deciding import NOTHING, KnownWishes, Wanted, known_wishes, wanted_wishes
from kmodctl.fleet.encoding import encode_desired, encode_rollout
from kmodctl.fleet.model import (
    ORDERS,
    Desired,
    Keys,
    NodeFacts,
    Rollout,
    RolloutState,
    Selector,
)
from kmodctl.fleet.store import StoredEntry

FACTS = NodeFacts(release="6.1.0", architecture="x86_64", labels={"rack": "b1"})
OLD = Desired(name="a", document="# old\n", revision=5)
NEW = Desired(name="a", document="# new\n", revision=9)
ELSEWHERE = Selector(labels=(("rack", "c*"),))
ROLLOUT = Rollout(candidate=NEW, percentages=(50, 100), threshold=ORDERS)


def wanted(
    desired: Desired | None, rollout: Rollout | None = None, now: int = 0, **more: object
) -> Wanted:
    """Return what a node is to have that has the revision ``now``."""
    known = KnownWishes({"a": desired} if desired else {}, {"a": rollout} if rollout else {})
    in_force = {"a": now} if now else {}
    (found,) = wanted_wishes(known, "n", FACTS, in_force, **more)  # type: ignore[arg-type]
    return found


def test_a_node_has_what_is_meant_for_it_and_nothing_else() -> None:
    assert wanted(OLD) == Wanted(name="a", document="# old\n", revision=5)
    assert wanted(replace(OLD, selector=ELSEWHERE), now=5) == Wanted(name="a")
    assert wanted(None, now=5) == Wanted(name="a")
    assert wanted_wishes(KnownWishes(), "n", FACTS, {}) == []


def test_wishes_that_say_nothing_are_a_text_that_says_so() -> None:
    for text in ("", " \n"):
        assert wanted(replace(OLD, document=text)).document == NOTHING
        rollout = replace(ROLLOUT, candidate=replace(NEW, document=text))
        assert wanted(OLD, rollout, 5).document == NOTHING


def test_what_etcd_has_lost_stays_until_somebody_takes_it_away() -> None:
    kept = wanted(None, now=5, kept={"a"})
    assert kept.revision == 5
    assert "nobody has taken it away" in kept.why
    assert wanted(OLD, now=4, kept={"a"}).revision == 5


@pytest.mark.parametrize(
    ("state", "threshold", "now", "revision"),
    [
        (RolloutState.RUNNING, ORDERS, 5, 9),
        (RolloutState.RUNNING, ORDERS, 0, 9),
        (RolloutState.RUNNING, 0, 5, 5),
        (RolloutState.RUNNING, 0, 0, 5),
        (RolloutState.RUNNING, 0, 9, 9),
        (RolloutState.PAUSED, ORDERS, 5, 5),
        (RolloutState.PAUSED, ORDERS, 9, 9),
        (RolloutState.STOPPED, ORDERS, 5, 5),
        (RolloutState.STOPPED, ORDERS, 9, 9),
        (RolloutState.UNDONE, ORDERS, 9, 5),
        (RolloutState.UNDONE, ORDERS, 5, 5),
    ],
)
def test_a_node_takes_what_is_rolled_out_at_its_turn_and_keeps_it_till_that_is_undone(
    state: RolloutState, threshold: int, now: int, revision: int
) -> None:
    found = wanted(OLD, replace(ROLLOUT, state=state, threshold=threshold), now)
    assert found.revision == revision
    assert found.document == (NEW if revision == 9 else OLD).document
    assert found.rollout is not None  # whichever way it goes takes a place


def test_a_rollout_that_is_done_has_no_say() -> None:
    done = replace(ROLLOUT, state=RolloutState.DONE)
    later = replace(OLD, revision=10)
    assert wanted(later, done, 9) == Wanted(name="a", document="# old\n", revision=10)
    promoted = replace(NEW, selector=ELSEWHERE)
    assert wanted(NEW, done, 5) == Wanted(name="a", document="# new\n", revision=9)
    assert wanted(promoted, done, 9) == Wanted(name="a")
    for before in (OLD, None):  # and the watch has not told yet of desired/a
        assert wanted(before, done, 9).revision == 9


def test_where_what_is_rolled_out_is_not_meant_the_old_goes_at_the_nodes_turn() -> None:
    rollout = replace(ROLLOUT, candidate=replace(NEW, selector=ELSEWHERE))
    found = wanted(OLD, rollout, 5)
    assert (found.document, found.revision) == (NOTHING, 9)
    assert wanted(OLD, replace(rollout, state=RolloutState.PAUSED), 9).revision == 9
    assert wanted(replace(OLD, selector=ELSEWHERE), rollout).revision == 0
    assert wanted(None, rollout).revision == 0


def test_a_name_of_which_something_cannot_be_read_stays_as_it_is() -> None:
    keys = Keys()
    entries = [
        StoredEntry(keys.desired("a"), encode_desired(OLD), 1, 7),
        StoredEntry(keys.rollout("a"), b"{}", 1, 8),
        StoredEntry(keys.rollout("b"), encode_rollout(ROLLOUT), 1, 8),
        StoredEntry(keys.node("n"), b"", 1, 8),
    ]
    known = known_wishes(keys, entries)
    assert known.desired == {"a": OLD}
    assert known.rollouts == {"b": replace(ROLLOUT, candidate=replace(NEW, name="b"))}
    first, second = wanted_wishes(known, "n", FACTS, {"a": 3})
    assert (first.revision, first.document) == (3, "")
    assert first.why.startswith("/kmodd/rollouts/a: version is no number")
    assert (second.name, second.revision) == ("b", 9)
