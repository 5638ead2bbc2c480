# SPDX-License-Identifier: Apache-2.0
"""How a rollout goes on, by what the nodes say. Pure: what is to be written, and no etcd.

The nodes keep to the order, the places and the failures by themselves; so a rollout never goes
further than it may, whether anybody looks after it or not. What is here only opens the next stage,
says in words why none is opened, and ends the whole.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from kmodctl.fleet.encoding import is_way_up
from kmodctl.fleet.model import (
    ORDERS,
    Desired,
    NodeStatus,
    Rollout,
    RolloutPlace,
    RolloutState,
    WishFate,
)

NAMED = 5
"""Failing nodes that are named where a rollout stops."""

_FAILING = (WishFate.FAILED, WishFate.DRIFTED, WishFate.UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """How a rollout fares, by the names of nodes.

    ``meant`` are those that have the old wishes or are to have the new, ``chosen`` those of them
    whose turn it has been, ``done`` those that have the new and are as they wish, and ``moving``
    those that have a place and are not. ``failing`` tells for each that is not as wished, and will
    not be by itself, why. ``left`` have something else than they are to have in the end.
    """

    rollout: Rollout
    meant: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    failing: Mapping[str, str]
    left: frozenset[str] = frozenset()

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it unless somebody acts."""
        state = self.rollout.state
        return state is RolloutState.STOPPED or (
            state in (RolloutState.DONE, RolloutState.UNDONE) and not self.left
        )


def view_of(
    rollout: Rollout,
    desired: Desired | None,
    nodes: Iterable[NodeStatus],
    places: Iterable[RolloutPlace] = (),
) -> RolloutView:
    """Return how a rollout fares; ``desired`` is what desired/NAME has, None for nothing.

    A node that has a place, and says nothing any more, fails.
    """
    selectors = [each.selector for each in (rollout.candidate, desired) if each is not None]
    meant = {each.node: each for each in nodes if any(one.fits(each.facts) for one in selectors)}
    target = rollout.candidate
    if rollout.state is RolloutState.UNDONE:
        target = desired or replace(target, revision=0)
    failing = dict(filter(None, (_failure(each, rollout) for each in meant.values())))
    placed = {each.node: each for each in places}
    for name, place in placed.items():
        if name not in meant:
            failing[name] = "it has taken its turn, and says nothing any more"
        elif place.failed:
            failing.setdefault(name, place.why)
    done = {name for name, each in meant.items() if _is_done(each, rollout)}
    left = {
        name
        for name, each in meant.items()
        if (wish.revision if (wish := each.wish(rollout.name)) else 0)
        != (target.revision if target.selector.fits(each.facts) else 0)
    }
    return RolloutView(
        rollout=rollout,
        meant=frozenset(meant),
        chosen=frozenset(each for each in meant if rollout.order(each) < rollout.threshold),
        done=frozenset(done),
        moving=frozenset(placed.keys() - failing.keys() - done),
        failing=failing,
        left=frozenset(left),
    )


def _is_done(node: NodeStatus, rollout: Rollout) -> bool:
    """Tell whether a node has what is rolled out, and is as it wishes."""
    wish = node.wish(rollout.name)
    if wish is None:
        return not rollout.candidate.selector.fits(node.facts)
    return wish.revision == rollout.candidate.revision and wish.fate is WishFate.DONE


def _failure(node: NodeStatus, rollout: Rollout) -> tuple[str, str] | None:
    """Return a node's name and why it is not as what is rolled out wishes, None where it may be."""
    wish = node.wish(rollout.name)
    if wish is None or wish.fate not in _FAILING:
        return None
    is_newer = wish.revision == rollout.candidate.revision
    if not is_newer and (wish.fate is WishFate.DRIFTED or not rollout.has_turn(node.node)):
        return None  # so it was before
    return node.node, wish.why or wish.fate.value


def next_step(view: RolloutView) -> Rollout | None:
    """Return what the rollout is to be next, None where it stays as it is."""
    rollout = view.rollout
    if rollout.state is not RolloutState.RUNNING:
        return None
    if not view.meant:
        why = "there is no node that it is meant for"
        return replace(rollout, state=RolloutState.STOPPED, why=why)
    if len(view.failing) > rollout.max_failures:
        return replace(rollout, state=RolloutState.STOPPED, why=_words(view))
    threshold = threshold_of(rollout, view.meant)
    if rollout.threshold < threshold:
        return replace(rollout, threshold=threshold)
    if not view.chosen <= view.done | view.failing.keys():
        return None
    if rollout.stage + 1 < len(rollout.percentages):
        further = replace(rollout, stage=rollout.stage + 1)
        opened = max(rollout.threshold, threshold_of(further, view.meant))
        return replace(further, threshold=opened)
    return replace(rollout, state=RolloutState.DONE, why="")


def threshold_of(rollout: Rollout, meant: Collection[str]) -> int:
    """Return the order below which so many of the nodes are as the stage's percentage is."""
    percentage = rollout.percentages[rollout.stage]
    if percentage == 100 or not meant:
        return ORDERS
    count = -(-len(meant) * percentage // 100)
    return sorted(map(rollout.order, meant))[count - 1] + 1


def _words(view: RolloutView) -> str:
    """Return which nodes fail, and why the first does."""
    names = sorted(view.failing)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    count = "1 node fails" if len(names) == 1 else f"{len(names)} nodes fail"
    return f"{count}: {', '.join(names[:NAMED])}{more}; {names[0]}: {view.failing[names[0]]}"


def begun(
    candidate: Desired, percentages: tuple[int, ...], places: int, max_failures: int
) -> Rollout:
    """Return a rollout to begin with. Raises ValueError where it makes no sense."""
    if not is_way_up(percentages):
        raise ValueError("percentages are above 0, rise, and end with 100")
    if places < 1 or max_failures < 0:
        raise ValueError("a rollout has at least one place, and no less than no failures")
    return Rollout(
        candidate=candidate, percentages=percentages, places=places, max_failures=max_failures
    )


def resumed(rollout: Rollout, max_failures: int | None = None) -> Rollout:
    """Return a rollout that goes on, with more failures where that is said."""
    most = rollout.max_failures if max_failures is None else max_failures
    return replace(rollout, state=RolloutState.RUNNING, max_failures=most, why="")
