# SPDX-License-Identifier: Apache-2.0
"""fleet status: etcd, the wishes and how many nodes fare how with each, and the rollouts."""

from collections import Counter
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.model import Desired, Rollout
from kmodctl.fleet.survey import Survey, survey
from kmodctl.fleet.tables import STYLES, shown_selector, tell_unreadable, write_table
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.styles import PLAIN


async def run(_options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Print it all; the exit status is 1 where something cannot be read."""
    found = await survey(fleet.etcd, fleet.keys)
    if output.json:
        output.document(_object(found, fleet))
        return int(bool(found.problems))
    output.data(f"etcd {fleet.etcd.endpoint}, revision {found.revision}, {_nodes(found)}")
    wishes = [(each, _fates(found, each)) for _, each in sorted(found.desired.items())]
    shown = [each for each in reversed(STYLES) if any(each in fates for _, fates in wishes)]
    write_table(
        output,
        ("Wishes", "Revision", "Nodes", *map(str.capitalize, shown), "For"),
        ((_cells(each, fates, shown), _style(fates)) for each, fates in wishes),
    )
    rollouts = [each for _, each in sorted(found.rollouts.items())]
    write_table(
        output,
        ("Rollout", "State", "Percent", "Places", "Why"),
        ((_rollout_cells(each), PLAIN) for each in rollouts),
    )
    return int(tell_unreadable(found, output))


def _nodes(found: Survey) -> str:
    count = len(found.nodes)
    return "1 node" if count == 1 else f"{count} nodes"


def _fates(found: Survey, desired: Desired) -> Counter[str]:
    """Return how many of the nodes that wishes are meant for fare how."""
    meant = found.meant(desired)
    return Counter(found.standing(each, desired.name) or "behind" for each in meant)


def _cells(desired: Desired, fates: Counter[str], shown: list[str]) -> tuple[str, ...]:
    counts = (str(fates[each]) for each in shown)
    selector = shown_selector(desired.selector)
    return (desired.name, str(desired.revision), str(fates.total()), *counts, selector)


def _style(fates: Counter[str]) -> str:
    return next((style for fate, style in STYLES.items() if fate in fates), PLAIN)


def _rollout_cells(rollout: Rollout) -> tuple[str, ...]:
    stages = ", ".join(map(str, rollout.percentages))
    percent = f"{rollout.percentages[rollout.stage]} of {stages}"
    return (rollout.name, rollout.state, percent, str(rollout.places), rollout.why)


def _object(found: Survey, fleet: Fleet) -> dict[str, Any]:
    return {
        "endpoint": fleet.etcd.endpoint,
        "revision": found.revision,
        "nodes": len(found.nodes),
        "wishes": [
            {
                "name": each.name,
                "revision": each.revision,
                "nodes": len(found.meant(each)),
                "fates": dict(_fates(found, each)),
                "selector": shown_selector(each.selector),
            }
            for _, each in sorted(found.desired.items())
        ],
        "rollouts": [
            {
                "name": each.name,
                "revision": each.candidate.revision,
                "state": each.state,
                "percentages": list(each.percentages),
                "stage": each.stage,
                "places": each.places,
                "max_failures": each.max_failures,
                "why": each.why,
            }
            for _, each in sorted(found.rollouts.items())
        ],
        "problems": list(found.problems),
    }
