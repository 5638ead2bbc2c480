# SPDX-License-Identifier: Apache-2.0
"""What a fleet has in etcd is what was written, or says what is wrong with it."""

import json

import pytest

from kmodctl.fleet.encoding import (
    MAX_DOCUMENT,
    MAX_TROUBLES,
    UnreadableError,
    decode_desired,
    decode_place,
    decode_rollout,
    decode_status,
    encode_desired,
    encode_place,
    encode_rollout,
    encode_status,
)
from kmodctl.fleet.model import (
    ORDERS,
    Desired,
    Keys,
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

KEYS = Keys()
DESIRED = Desired(
    name="50-gpu",
    document='[[module]]\nname = "dummy"\n',
    selector=Selector(releases=(">=6.1",), architectures=("x86*",), labels=(("rack", "b*"),)),
    revision=7,
)
ROLLOUT = Rollout(
    candidate=DESIRED,
    percentages=(10, 50, 100),
    places=3,
    max_failures=2,
    state=RolloutState.STOPPED,
    stage=1,
    threshold=ORDERS // 3,
    why="3 nodes fail",
)


def entry(key: str, value: bytes, changed: int = 9) -> StoredEntry:
    return StoredEntry(key, value, 1, changed)


def changed_entry(key: str, value: bytes, **members: object) -> StoredEntry:
    return entry(key, json.dumps(json.loads(value) | members).encode())


def test_wishes_are_read_as_they_were_written() -> None:
    assert decode_desired(entry(KEYS.desired("50-gpu"), encode_desired(DESIRED))) == DESIRED


def test_wishes_have_the_revision_in_which_they_were_first_written() -> None:
    new = Desired(name="a", document="")
    assert decode_desired(entry(KEYS.desired("a"), encode_desired(new), 12)).revision == 12


def test_a_rollout_and_a_place_are_read_as_they_were_written() -> None:
    assert decode_rollout(entry(KEYS.rollout("50-gpu"), encode_rollout(ROLLOUT))) == ROLLOUT
    place = RolloutPlace(node="web-1", revision=7, why="bad")
    assert decode_place(entry(KEYS.place("50-gpu", 2), encode_place(place))) == place


def test_a_node_tells_its_first_troubles_and_how_many_it_has() -> None:
    troubles = tuple(
        Trouble(module=f"m{at}", name="50-gpu", standing="waiting", why="in use")
        for at in range(99)
    )
    status = NodeStatus(
        node="web-1",
        boot="b",
        agent="a",
        version="1.2",
        facts=NodeFacts(release="6.1.0", architecture="x86_64", labels={"rack": "b1"}),
        wishes=(WishStatus(name="50-gpu", revision=7, fate=WishFate.PENDING, why="it waits"),),
        troubles=troubles,
        trouble_count=99,
        problem="none",
    )
    found = decode_status(entry(KEYS.node("web-1"), encode_status(status)))
    assert found.troubles == troubles[:MAX_TROUBLES]
    assert found.trouble_count == 99
    assert (found.wishes, found.facts) == (status.wishes, status.facts)
    assert found.wish("50-gpu") == status.wishes[0]
    assert found.wish("other") is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\xff\xfe", "decode"),
        (b"", "Expecting value"),
        (b"[" * 100_000, "nest too deep"),
        (b"[]", "it is no object"),
        (b"{}", "version is no number"),
        (b'{"version": 2}', "version 2 is later than what this kmodctl reads, 1"),
        (b'{"version": 1}', "document is no text"),
        (b'{"version": 1, "document": 3}', "document is no text"),
        (b'{"version": 1, "document": "[[module]]"}', "50-gpu:1: a [[module]] needs a name"),
        (b'{"version": 1, "document": "version = 9"}', "version 9 is later than"),
        (b'{"version": 1, "document": "", "selector": 1}', "selector is no object"),
        (b'{"version": 1, "document": "", "selector": {"labels": {"a": 1}}}', "is no text"),
        (b'{"version": 1, "document": "", "selector": {"releases": [">x"]}}', "neither"),
        (b'{"version": 1, "document": "", "revision": -1}', "revision is no number"),
        (b'{"version": 1, "document": "", "revision": true}', "revision is no number"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_key_and_why(value: bytes, why: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        decode_desired(entry(KEYS.desired("50-gpu"), value))
    assert str(caught.value).startswith("/kmodd/desired/50-gpu: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"percentages": []}, "do not go up to 100"),
        ({"percentages": [50, 50, 100]}, "do not go up to 100"),
        ({"percentages": [0, 100]}, "do not go up to 100"),
        ({"percentages": [10, 99]}, "do not go up to 100"),
        ({"percentages": ["1", 100]}, "no list of numbers"),
        ({"percentages": list(range(100))}, "no list of at most"),
        ({"places": 0}, "places is no number from 1"),
        ({"state": "finished"}, "state is one of running, paused,"),
        ({"stage": 3}, "stage is no number from 0 to 2"),
        ({"threshold": ORDERS + 1}, "threshold is no number"),
        ({"candidate": []}, "candidate is no object"),
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(members: dict[str, object], why: str) -> None:
    with pytest.raises(UnreadableError, match="/kmodd/rollouts/50-gpu: ") as caught:
        decode_rollout(changed_entry(KEYS.rollout("50-gpu"), encode_rollout(ROLLOUT), **members))
    assert why in str(caught.value)


def test_what_a_later_kmodctl_says_besides_is_left_alone() -> None:
    value = changed_entry(KEYS.desired("50-gpu"), encode_desired(DESIRED), colour="red")
    assert decode_desired(value) == DESIRED


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 57, "a\n"])
def test_nothing_has_a_name_that_no_source_of_wishes_can_have(name: str) -> None:
    with pytest.raises(UnreadableError, match="nothing can be called that"):
        decode_desired(entry(KEYS.desired(name), encode_desired(DESIRED)))


def test_what_etcd_would_not_take_is_not_sent() -> None:
    with pytest.raises(ValueError, match="the document has more than"):
        encode_desired(Desired(name="a", document="#" * (MAX_DOCUMENT + 1)))
    whole = Desired(name="a", document="#" * MAX_DOCUMENT)
    assert (
        decode_desired(entry(KEYS.desired("a"), encode_desired(whole))).document == whole.document
    )
    large = encode_desired(whole).replace(b'"document":"', b'"document":"#')
    with pytest.raises(UnreadableError, match="the document has more than"):
        decode_desired(entry(KEYS.desired("a"), large))


def test_a_selector_goes_by_release_architecture_and_labels() -> None:
    facts = NodeFacts(release="6.1.0-18-amd64", architecture="x86_64", labels={"rack": "b1"})
    assert DESIRED.selector.fits(facts)
    assert Selector().fits(NodeFacts())
    for other in (
        NodeFacts(release="5.10.0", architecture="x86_64", labels={"rack": "b1"}),
        NodeFacts(release="6.1.0", architecture="aarch64", labels={"rack": "b1"}),
        NodeFacts(release="6.1.0", architecture="x86_64", labels={"rack": "c1"}),
    ):
        assert not DESIRED.selector.fits(other)


def test_it_is_a_nodes_turn_below_the_threshold_of_a_rollout_that_runs() -> None:
    running = Rollout(candidate=DESIRED, threshold=ORDERS // 2)
    nodes = [f"node-{number}" for number in range(200)]
    chosen = [node for node in nodes if running.has_turn(node)]
    assert 60 < len(chosen) < 140
    for state in set(RolloutState) - {RolloutState.RUNNING}:
        other = Rollout(candidate=DESIRED, threshold=ORDERS, state=state)
        assert not any(map(other.has_turn, nodes))
    assert all(map(Rollout(candidate=DESIRED, threshold=ORDERS).has_turn, nodes))
