# SPDX-License-Identifier: Apache-2.0
"""All that a fleet has in etcd at one moment, as operators look at it."""

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from kmodctl.fleet.deciding import KnownWishes, Wanted, known_wishes, wanted_wishes
from kmodctl.fleet.encoding import UnreadableError, decode_status
from kmodctl.fleet.model import Keys, NodeStatus, Rollout
from kmodctl.fleet.store import Listing, StoredEntry

BEHIND = "behind"
"""How wishes fare at a node that has not said anything of them yet; else it is a WishFate."""


class Lister(Protocol):
    """Who lists several prefixes at one revision, as ``kmodctl.fleet.etcd.Etcd`` does."""

    async def list(self, *prefixes: str) -> Listing:
        """Return all whose keys begin with one of ``prefixes``."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Wishes and rollouts, and nodes by their names in order, as they were at ``revision``.

    ``entries`` are etcd's, by their keys; ``problems`` tell of those that cannot be read.
    """

    revision: int
    known: KnownWishes
    nodes: dict[str, NodeStatus]
    entries: dict[str, StoredEntry]
    problems: tuple[str, ...]

    def wanted(self, node: NodeStatus) -> dict[str, Wanted]:
        """Return what a node is to have, by names; what it is not to have is left out."""
        in_force = {each.name: each.revision for each in node.wishes}
        wanted = wanted_wishes(self.known, node.node, node.facts, in_force)
        return {each.name: each for each in wanted if each.revision}

    def fates(self, node: NodeStatus) -> dict[str, str]:
        """Return how each of the wishes that a node is to have fares there, or BEHIND."""
        return {
            name: status.fate
            if (status := node.wish(name)) and status.revision == wanted.revision
            else BEHIND
            for name, wanted in self.wanted(node).items()
        }

    def counts(self) -> dict[str, Counter[str]]:
        """Return at how many nodes wishes fare how, by the names of wishes in order."""
        counted: dict[str, Counter[str]] = {
            name: Counter() for name in sorted({*self.known.desired, *self.known.rollouts})
        }
        for node in self.nodes.values():
            for name, fate in self.fates(node).items():
                counted.setdefault(name, Counter())[fate] += 1
        return counted

    def taken(self, rollout: Rollout) -> int:
        """Return how many nodes have what is rolled out."""
        told = (node.wish(rollout.name) for node in self.nodes.values())
        return sum(
            each is not None and each.revision == rollout.candidate.revision for each in told
        )


async def survey(store: Lister, keys: Keys) -> Survey:
    """Return what etcd has of a fleet. Raises StoreError."""
    listing = await store.list(keys.all_desired, keys.all_rollouts, keys.all_nodes)
    known = known_wishes(keys, listing.entries)
    nodes: dict[str, NodeStatus] = {}
    problems = list(known.unreadable.values())
    for entry in listing.entries:
        if entry.key.startswith(keys.all_nodes):
            try:
                nodes[entry.key.removeprefix(keys.all_nodes)] = decode_status(entry)
            except UnreadableError as error:
                problems.append(str(error))
    entries = {each.key: each for each in listing.entries}
    return Survey(listing.revision, known, nodes, entries, tuple(problems))
