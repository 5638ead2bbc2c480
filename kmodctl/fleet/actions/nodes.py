# SPDX-License-Identifier: Apache-2.0
"""fleet nodes: the nodes whose agents live, and how each fares with its wishes."""

from collections import Counter
from fnmatch import fnmatchcase
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.model import NodeStatus
from kmodctl.fleet.survey import Survey, survey
from kmodctl.fleet.tables import STYLES, tell_unreadable, write_table
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.styles import BAD, PLAIN


async def run(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Print a line for each node; with patterns for those whose name one of them fits."""
    found = await survey(fleet.etcd, fleet.keys)
    patterns = options.words or ["*"]
    nodes = [
        node
        for name, node in found.nodes.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if output.json:
        output.document([node_object(each) for each in nodes])
        return 0
    head = ("Node", "Release", "Architecture", "kmodd", "Wishes", "Labels")
    write_table(output, head, ((_cells(found, each), _style(found, each)) for each in nodes))
    for node in nodes:
        if node.problem:
            output.warning(f"{node.node}: {node.problem}")
    tell_unreadable(found, output)
    return 0


def node_object(node: NodeStatus) -> dict[str, Any]:
    """Return what a node says of itself as JSON has it."""
    return {
        "node": node.node,
        "boot": node.boot,
        "release": node.facts.release,
        "architecture": node.facts.architecture,
        "labels": dict(node.facts.labels),
        "version": node.version,
        "wishes": [
            {"name": each.name, "revision": each.revision, "fate": each.fate, "why": each.why}
            for each in node.wishes
        ],
        "troubles": [
            {
                "module": each.module,
                "name": each.name,
                "standing": each.standing,
                "why": each.why,
            }
            for each in node.troubles
        ],
        "trouble_count": node.trouble_count,
        "problem": node.problem,
    }


def _cells(found: Survey, node: NodeStatus) -> tuple[str, ...]:
    counts = sorted(Counter(found.fates(node).values()).items())
    fates = ", ".join(f"{count} {fate}" for fate, count in counts)
    labels = " ".join(f"{name}={value}" for name, value in sorted(node.facts.labels.items()))
    facts = node.facts
    return (node.node, facts.release, facts.architecture, node.version, fates or "-", labels)


def _style(found: Survey, node: NodeStatus) -> str:
    if node.problem:
        return BAD
    fates = found.fates(node).values()
    return next((style for fate, style in STYLES.items() if fate in fates), PLAIN)
