# SPDX-License-Identifier: Apache-2.0
"""How a rollout goes on, by what the nodes say."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from kmodctl.fleet.model import (
    ORDERS,
    Desired,
    NodeFacts,
    NodeStatus,
    Rollout,
    RolloutPlace,
    RolloutState,
    Selector,
    WishFate,
    WishStatus,
)
from kmodctl.fleet.rollout import begun, next_step, resumed, threshold_of, view_of

OLD = Desired(name="a", document="", revision=5)
NEW = Desired(name="a", document="", revision=9)
NAMES = [f"n{number}" for number in range(20)]
BEGUN = begun(NEW, (10, 50, 100), 3, 1)


def node(name: str, revision: int = 5, fate: WishFate = WishFate.DONE, why: str = "") -> NodeStatus:
    wish = WishStatus(name="a", revision=revision, fate=fate, why=why)
    return NodeStatus(node=name, boot="b", agent="x", wishes=(wish,))


def nodes(of: dict[str, WishFate], names: Iterable[str] = NAMES) -> list[NodeStatus]:
    """Return the nodes, of which those in ``of`` have the new wishes and fare so."""
    return [node(name, 9, of[name], "bad") if name in of else node(name) for name in names]


def in_order(rollout: Rollout) -> list[str]:
    return sorted(NAMES, key=rollout.order)


def test_each_stage_opens_once_all_of_the_last_have_gone() -> None:
    rollout, taken, opened = BEGUN, 0, []
    order = in_order(rollout)
    for _ in range(40):
        fates = dict.fromkeys(order[:taken], WishFate.DONE)
        view = view_of(rollout, OLD, nodes(fates))
        further = next_step(view)
        if further is None:
            assert view.done < view.chosen  # and somebody is still to go
            taken += 1
            continue
        rollout = further
        opened.append(
            (rollout.stage, sum(rollout.order(each) < rollout.threshold for each in order))
        )
        if rollout.state is RolloutState.DONE:
            break
    assert [each for at, each in enumerate(opened) if each not in opened[:at]] == [
        (0, 2),
        (1, 10),
        (2, 20),
    ]
    assert rollout.state is RolloutState.DONE
    assert taken == 20
    assert view_of(rollout, NEW, nodes(dict.fromkeys(NAMES, WishFate.DONE))).is_over


@pytest.mark.parametrize("fate", [WishFate.FAILED, WishFate.DRIFTED, WishFate.UNREADABLE])
def test_it_stops_with_one_failure_more_than_there_may_be(fate: WishFate) -> None:
    rollout = replace(BEGUN, stage=2, threshold=ORDERS)
    one, two, *_ = in_order(rollout)
    assert next_step(view_of(rollout, OLD, nodes({one: fate}))) is None
    stopped = next_step(view_of(rollout, OLD, nodes({one: fate, two: fate})))
    assert stopped is not None
    assert stopped.state is RolloutState.STOPPED
    first, second = sorted((one, two))
    assert stopped.why == f"2 nodes fail: {first}, {second}; {first}: bad"
    assert next_step(view_of(stopped, OLD, nodes({}))) is None
    again = resumed(stopped, 2)
    assert (again.state, again.why, again.max_failures) == (RolloutState.RUNNING, "", 2)
    assert next_step(view_of(again, OLD, nodes({one: fate, two: fate}))) is None


def test_failures_that_may_be_keep_no_stage_from_opening() -> None:
    rollout = replace(BEGUN, threshold=threshold_of(BEGUN, NAMES))
    one, two, *_ = in_order(rollout)
    fates = {one: WishFate.FAILED, two: WishFate.DONE}
    further = next_step(view_of(rollout, OLD, nodes(fates)))
    assert further is not None
    assert further.stage == 1


def test_a_node_that_has_gone_with_its_place_fails_as_one_that_says_so() -> None:
    rollout = replace(BEGUN, threshold=ORDERS, stage=2, max_failures=0)
    gone = RolloutPlace(node="gone", revision=9)
    said = RolloutPlace(node="n1", revision=9, why="bad")
    here = RolloutPlace(node="n2", revision=9)
    view = view_of(rollout, OLD, nodes({}), [gone, said, here])
    assert view.failing.keys() == {"gone", "n1"}
    assert view.moving == {"n2"}
    stopped = next_step(view)
    assert stopped is not None
    assert "gone: it has taken its turn, and says nothing any more" in stopped.why


def test_what_failed_before_a_nodes_turn_is_no_failure_of_the_rollout() -> None:
    rollout = replace(BEGUN, threshold=threshold_of(BEGUN, NAMES), max_failures=0)
    first, *_, last = in_order(rollout)
    before = [node(last, 5, WishFate.FAILED), node(first, 5, WishFate.DRIFTED)]
    assert view_of(rollout, OLD, before).failing == {}
    refused = [node(first, 5, WishFate.FAILED, "not among the modules")]
    assert view_of(rollout, OLD, refused).failing == {first: "not among the modules"}


def test_one_that_names_no_node_stops() -> None:
    elsewhere = replace(NEW, selector=Selector(labels=(("rack", "b"),)))
    rollout = begun(elsewhere, (100,), 1, 0)
    stopped = next_step(view_of(rollout, None, nodes({})))
    assert stopped is not None
    assert stopped.why == "there is no node that it is meant for"
    both = view_of(rollout, OLD, nodes({}))
    assert both.meant == set(NAMES)  # who has the old wishes is to lose them
    assert both.left == set(NAMES)


def test_an_undone_one_is_over_once_all_have_what_they_had() -> None:
    undone = replace(BEGUN, state=RolloutState.UNDONE)
    fates = {"n1": WishFate.DONE}
    assert view_of(undone, OLD, nodes(fates)).left == {"n1"}
    assert not view_of(undone, OLD, nodes(fates)).is_over
    assert view_of(undone, OLD, nodes({})).is_over
    none = [NodeStatus(node="n1", boot="b", agent="x", facts=NodeFacts())]
    assert view_of(undone, None, none).is_over
    assert next_step(view_of(undone, OLD, nodes({}))) is None


@pytest.mark.parametrize(
    ("percentages", "places", "failures"),
    [((), 1, 0), ((50,), 1, 0), ((60, 50, 100), 1, 0), ((100,), 0, 0), ((100,), 1, -1)],
)
def test_what_makes_no_sense_is_not_begun(
    percentages: tuple[int, ...], places: int, failures: int
) -> None:
    with pytest.raises(ValueError, match=r"."):
        begun(NEW, percentages, places, failures)
