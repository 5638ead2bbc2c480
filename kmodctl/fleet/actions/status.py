# SPDX-License-Identifier: Apache-2.0
"""fleet status: etcd, the wishes and how many nodes fare how with each, and the rollouts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.etcd import EtcdMember
from kmodctl.fleet.model import Rollout
from kmodctl.fleet.survey import Survey, survey
from kmodctl.fleet.tables import STYLES, counted, shown_selector, tell_unreadable, write_table
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.styles import PLAIN


async def run(_options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Print it all; the exit status is 1 where something cannot be read."""
    found, member = await survey(fleet.etcd, fleet.keys), await fleet.etcd.member()
    if output.json:
        output.document(_object(found, member))
        return int(bool(found.problems))
    size = f"{member.size_bytes / 1e6:.1f} MB"
    nodes = counted(len(found.nodes))
    output.data(f"etcd {member.version}, {member.endpoint}, {size}, at {found.revision}; {nodes}")
    counts = found.counts()
    shown = [each for each in reversed(STYLES) if any(each in fates for fates in counts.values())]
    write_table(
        output,
        ("Wishes", "Revision", "Nodes", *map(str.capitalize, shown), "For"),
        ((_cells(found, name, fates, shown), _style(fates)) for name, fates in counts.items()),
    )
    write_table(
        output,
        ("Rollout", "State", "Percent", "Nodes", "Places", "Why"),
        ((_rollout_cells(found, each), PLAIN) for each in found.known.rollouts.values()),
    )
    for problem in member.problems:
        output.warning(f"{member.endpoint}: {problem}")
    return int(tell_unreadable(found, output))


def _cells(found: Survey, name: str, fates: Counter[str], shown: Sequence[str]) -> tuple[str, ...]:
    desired = found.known.desired.get(name)
    revision = str(desired.revision) if desired else "-"
    selector = shown_selector(desired.selector) if desired else "-"
    return (name, revision, str(fates.total()), *(str(fates[each]) for each in shown), selector)


def _style(fates: Counter[str]) -> str:
    return next((style for fate, style in STYLES.items() if fate in fates), PLAIN)


def _rollout_cells(found: Survey, rollout: Rollout) -> tuple[str, ...]:
    stages = ", ".join(map(str, rollout.percentages))
    percent = f"{rollout.percentages[rollout.stage]} of {stages}"
    nodes, places = str(found.taken(rollout)), str(rollout.places)
    return (rollout.name, rollout.state, percent, nodes, places, rollout.why)


def _object(found: Survey, member: EtcdMember) -> dict[str, Any]:
    counts, desired = found.counts(), found.known.desired
    return {
        "etcd": {
            "endpoint": member.endpoint,
            "version": member.version,
            "size_bytes": member.size_bytes,
            "problems": list(member.problems),
        },
        "revision": found.revision,
        "nodes": len(found.nodes),
        "wishes": [
            {
                "name": name,
                "revision": desired[name].revision if name in desired else 0,
                "nodes": fates.total(),
                "fates": dict(fates),
                "selector": shown_selector(desired[name].selector) if name in desired else "",
            }
            for name, fates in counts.items()
        ],
        "rollouts": [rollout_object(found, each) for each in found.known.rollouts.values()],
        "problems": list(found.problems),
    }


def rollout_object(found: Survey, rollout: Rollout) -> dict[str, Any]:
    """Return how a rollout is as JSON has it."""
    return {
        "name": rollout.name,
        "revision": rollout.candidate.revision,
        "state": rollout.state,
        "percentages": list(rollout.percentages),
        "stage": rollout.stage,
        "nodes": found.taken(rollout),
        "places": rollout.places,
        "max_failures": rollout.max_failures,
        "why": rollout.why,
    }
