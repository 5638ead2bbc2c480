# SPDX-License-Identifier: Apache-2.0
"""fleet diff: what a file would change, or which nodes are not as wished."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.model import Desired, WishFate
from kmodctl.fleet.survey import BEHIND, Survey, survey
from kmodctl.fleet.tables import shown_selector, tell_unreadable
from kmodctl.fleet.wish_file import read_named
from kmodctl.output import Output
from kmodctl.parser import CommandOptions


async def run(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Print what differs; the exit status is 1 where anything does."""
    found = await survey(fleet.etcd, fleet.keys)
    if options.words:
        return _with_file(read_named(options), found, output)
    differing = list(_differing(found))
    if output.json:
        output.document(differing)
    else:
        for each in differing:
            place = f"{each['node']}: {each['module']}" if each["module"] else each["node"]
            why = f": {each['why']}" if each["why"] else ""
            output.data(f"! {place} is {each['standing']} by {each['name']}{why}")
    return int(tell_unreadable(found, output) or bool(differing))


def _differing(found: Survey) -> Iterator[dict[str, Any]]:
    """Yield what is not as wished, node by node: modules, and wishes that have not come there."""
    for node in found.nodes.values():
        for each in node.troubles:
            yield {
                "node": node.node,
                "module": each.module,
                "name": each.name,
                "standing": each.standing,
                "why": each.why,
            }
        told = {each.name for each in node.troubles}
        for name, fate in found.fates(node).items():
            if fate == BEHIND or (fate != WishFate.DONE and name not in told):
                status = node.wish(name)
                yield {
                    "node": node.node,
                    "module": "",
                    "name": name,
                    "standing": fate,
                    "why": status.why if status else "",
                }


def _with_file(desired: Desired, found: Survey, output: Output) -> int:
    before = found.known.desired.get(desired.name)
    lines = list(
        unified_diff(
            _lines(before) if before else [],
            _lines(desired),
            f"etcd {desired.name}, revision {before.revision}" if before else "nothing",
            "file",
            lineterm="",
        )
    )
    had, will = (_meant(found, each) for each in (before, desired))
    if output.json:
        output.document(
            {
                "name": desired.name,
                "lines": lines,
                "gaining": sorted(will - had),
                "losing": sorted(had - will),
                "keeping": len(had & will),
            }
        )
        return int(bool(lines))
    for line in lines:
        output.data(line)
    for word, nodes in (("gain", will - had), ("lose", had - will)):
        if nodes:
            output.data(f"{len(nodes)} {word} it: {_shown(nodes)}")
    return int(bool(lines))


def _lines(desired: Desired) -> list[str]:
    return [f"# for {shown_selector(desired.selector)}", *desired.document.splitlines()]


def _meant(found: Survey, desired: Desired | None) -> set[str]:
    """Return the nodes for which wishes are meant."""
    if desired is None:
        return set()
    return {name for name, node in found.nodes.items() if desired.selector.fits(node.facts)}


def _shown(nodes: set[str]) -> str:
    """Return the first of some nodes."""
    first = sorted(nodes)[:10]
    return ", ".join(first) + (", ..." if len(nodes) > len(first) else "")
