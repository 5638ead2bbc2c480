# SPDX-License-Identifier: Apache-2.0
"""All that a fleet has in etcd at one moment, as operators look at it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kmodctl.fleet.encoding import UnreadableError, decode_desired, decode_rollout, decode_status
from kmodctl.fleet.model import Desired, Keys, NodeStatus, Rollout, WishFate
from kmodctl.fleet.store import Listing, StoredEntry

Kind = TypeVar("Kind")


class Lister(Protocol):
    """Who lists several prefixes at one revision, as ``kmodctl.fleet.etcd.Etcd`` does."""

    async def list(self, *prefixes: str) -> Listing:
        """Return all whose keys begin with one of ``prefixes``."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Wishes, rollouts and nodes by their names, as they were at ``revision``.

    ``entries`` are etcd's, by their keys; ``problems`` tell of those that cannot be read.
    """

    revision: int
    desired: dict[str, Desired]
    rollouts: dict[str, Rollout]
    nodes: dict[str, NodeStatus]
    entries: dict[str, StoredEntry]
    problems: tuple[str, ...]

    def standing(self, node: NodeStatus, name: str) -> "WishFate | None":
        """Return how a node fares with wishes, None where it has not those that it is to have."""
        status, desired = node.wish(name), self.desired.get(name)
        if status is None or desired is None:
            return None
        return status.fate if status.revision == self.wanted(node, desired).revision else None

    def wanted(self, node: NodeStatus, desired: Desired) -> Desired:
        """Return what a node is to have in place of desired/NAME: that, or what is rolled out."""
        rollout = self.rollouts.get(desired.name)
        return rollout.candidate if rollout and rollout.has_turn(node.node) else desired

    def meant(self, desired: Desired) -> list[NodeStatus]:
        """Return the nodes for which wishes are meant, by name."""
        return [each for each in self.nodes.values() if desired.selector.fits(each.facts)]


async def survey(store: Lister, keys: Keys, *, nodes: bool = True) -> Survey:
    """Return what etcd has of a fleet; without ``nodes`` only wishes and rollouts.

    Raises StoreError.
    """
    prefixes = [keys.all_desired, keys.all_rollouts, *([keys.all_nodes] if nodes else [])]
    listing = await store.list(*prefixes)
    problems: list[str] = []

    def of(prefix: str, decode: Callable[[StoredEntry], Kind]) -> Iterator[tuple[str, Kind]]:
        for entry in _below(listing.entries, prefix):
            try:
                yield entry.key.removeprefix(prefix), decode(entry)
            except UnreadableError as error:
                problems.append(str(error))

    return Survey(
        listing.revision,
        dict(of(keys.all_desired, decode_desired)),
        dict(of(keys.all_rollouts, decode_rollout)),
        dict(of(keys.all_nodes, decode_status)),
        {each.key: each for each in listing.entries},
        tuple(problems),
    )


def _below(entries: Iterable[StoredEntry], prefix: str) -> Iterator[StoredEntry]:
    return (each for each in entries if each.key.startswith(prefix))
