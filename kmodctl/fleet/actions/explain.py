# SPDX-License-Identifier: Apache-2.0
"""fleet explain: which wish for a module counts at a node, and what the node says."""

from dataclasses import dataclass, replace
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.model import Desired, NodeStatus, WishFate
from kmodctl.fleet.survey import BEHIND, Survey, survey
from kmodctl.fleet.tables import NoSuchError, shown_selector, tell_unreadable, write_table
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.styles import FAINT, PLAIN
from kmodd.desired.condition import Condition, MachineFacts
from kmodd.desired.document import read_document
from kmodd.desired.wish import Wish
from kmodd.names import module_name

COUNTS = "counts"
"""The verdict on the wish that is in force."""


@dataclass(frozen=True, slots=True)
class Said:
    """One wish for the module: whose it is, and what becomes of it at the node."""

    desired: Desired
    wish: Wish
    verdict: str


async def run(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Print each wish for the module, with why it counts or not, and how it fares."""
    name, module = options.words[0], module_name(options.words[1])
    found = await survey(fleet.etcd, fleet.keys)
    node = found.nodes.get(name)
    if node is None:
        raise NoSuchError(f"no agent says that it has the node {name}")
    said = _said(found, node, module)
    says = _says(found, node, module, said)
    if output.json:
        output.document(_object(node, module, said, says))
        return 0
    if not said:
        output.data(f"nothing is wished of {module}")
    write_table(
        output,
        ("Wishes", "Revision", "Line", "State", "Verdict"),
        ((_cells(each), PLAIN if each.verdict == COUNTS else FAINT) for each in said),
    )
    output.data(f"{name} says: {': '.join(filter(None, says))}")
    if node.problem:
        output.warning(f"{name}: {node.problem}")
    tell_unreadable(found, output)
    return 0


def _said(found: Survey, node: NodeStatus, module: str) -> list[Said]:
    """Return the wishes for a module in the order of their names, of which the last counts."""
    rolled = found.wanted(node)
    said = []
    for name in sorted({*found.known.desired, *found.known.rollouts}):
        rollout = found.known.rollouts.get(name)
        has_candidate = (
            rollout is not None
            and name in rolled
            and rolled[name].revision == rollout.candidate.revision
        )
        desired = rollout.candidate if rollout and has_candidate else found.known.desired.get(name)
        if desired is not None:
            wishes = read_document(desired.document, desired.name).wishes
            said += [
                Said(desired, wish, _verdict(desired, wish, node))
                for wish in wishes
                if wish.name == module
            ]
    last = next((each for each in reversed(said) if each.verdict == COUNTS), None)
    return [
        replace(each, verdict=f"{last.desired.name} comes later")
        if last is not None and each is not last and each.verdict == COUNTS
        else each
        for each in said
    ]


def _verdict(desired: Desired, wish: Wish, node: NodeStatus) -> str:
    """Return whether a wish is meant for a node, as far as that can be told from afar."""
    if not desired.selector.fits(node.facts):
        return f"is for {shown_selector(desired.selector)}"
    when = wish.when
    if not Condition(when.releases).holds(MachineFacts(node.facts.release)):
        return f"is for release {', '.join(when.releases)}"
    if when.hostnames or when.labels:
        return "is for the node's daemon to judge (hostname, labels)"
    return COUNTS


def _says(found: Survey, node: NodeStatus, module: str, said: list[Said]) -> tuple[str, str]:
    """Return how the module fares by the node's word, and why."""
    for trouble in node.troubles:
        if trouble.module == module:
            return trouble.standing, trouble.why
    counting = next((each for each in said if each.verdict == COUNTS), None)
    if counting is None:
        return "nothing", ""
    name = counting.desired.name
    status = node.wish(name)
    if status is None or found.fates(node).get(name) == BEHIND:
        has = f"revision {status.revision}" if status and status.revision else "nothing"
        return BEHIND, f"it has {has} of {name}"
    if status.fate == WishFate.UNREADABLE or node.trouble_count > len(node.troubles):
        return status.fate, status.why
    return WishFate.DONE, ""


def _cells(said: Said) -> tuple[str, ...]:
    wish = said.wish
    state = f"{wish.state.value} {wish.words}".rstrip()
    return (said.desired.name, str(said.desired.revision), str(wish.line), state, said.verdict)


def _object(
    node: NodeStatus, module: str, said: list[Said], says: tuple[str, str]
) -> dict[str, Any]:
    return {
        "node": node.node,
        "module": module,
        "wishes": [
            {
                "name": each.desired.name,
                "revision": each.desired.revision,
                "line": each.wish.line,
                "state": each.wish.state.value,
                "parameters": dict(each.wish.parameters),
                "counts": each.verdict == COUNTS,
                "verdict": each.verdict,
            }
            for each in said
        ],
        "standing": says[0],
        "why": says[1],
    }
