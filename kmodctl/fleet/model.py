# SPDX-License-Identifier: Apache-2.0
"""What a fleet has in etcd: wishes, what each node says of itself, and rollouts.

    PREFIX/desired/NAME     Desired      written by operators
    PREFIX/rollouts/NAME    Rollout      the rollout of a new desired/NAME, by operators
    PREFIX/nodes/ID         NodeStatus   written by that node's agent, gone with its lease
    PREFIX/places/NAME/N    RolloutPlace of the nodes that may be in the rollout NAME at a time

A node has desired/NAME where its selector fits, or what the rollout NAME has in its place once it
is that node's turn. It hands each to its daemon as a source of wishes of that name, so that of two
that speak of one module the later in the order of the names counts.
"""

import enum
import fnmatch
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodd.desired.condition import Condition, MachineFacts

ORDERS = 1 << 32
"""How many orders there are: a node's in a rollout is a number below it."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}")
"""What wishes may be called: with what agents put before it, a source of a daemon's."""

NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a node may be called."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below ``prefix``, which ends with no slash."""

    prefix: str = "/kmodd"

    @property
    def all_desired(self) -> str:
        """What the keys of wishes begin with."""
        return f"{self.prefix}/desired/"

    @property
    def all_rollouts(self) -> str:
        """What the keys of rollouts begin with."""
        return f"{self.prefix}/rollouts/"

    @property
    def all_nodes(self) -> str:
        """What the keys of nodes begin with."""
        return f"{self.prefix}/nodes/"

    def desired(self, name: str) -> str:
        """Return the key of the wishes ``name``."""
        return self.all_desired + name

    def rollout(self, name: str) -> str:
        """Return the key of the rollout of the wishes ``name``."""
        return self.all_rollouts + name

    def node(self, node: str) -> str:
        """Return the key of the node ``node``."""
        return self.all_nodes + node

    def places(self, name: str) -> str:
        """Return what the keys of the places of a rollout begin with."""
        return f"{self.prefix}/places/{name}/"

    def place(self, name: str, number: int) -> str:
        """Return the key of one place, which are counted from 0."""
        return f"{self.places(name)}{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a selector goes by: the kernel's release, the machine (uname(2)), and labels."""

    release: str = ""
    architecture: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """For which nodes wishes are meant; where it says nothing, that does not matter.

    ``releases`` and ``labels`` are as a ``kmodd.desired.condition.Condition`` has them; of
    ``architectures``, patterns of the shell's, one must fit.
    """

    releases: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def fits(self, facts: NodeFacts) -> bool:
        """Tell whether a node is meant."""
        patterns = self.architectures
        return Condition(self.releases, (), self.labels).holds(
            MachineFacts(facts.release, labels=facts.labels)
        ) and (
            not patterns or any(fnmatch.fnmatchcase(facts.architecture, each) for each in patterns)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Wishes ``name`` for the nodes that ``selector`` names.

    ``document`` is the text of a source of wishes (kmodd-state(7)). ``revision`` is etcd's of when
    it was first written, 0 before that: what was rolled out keeps it where it becomes desired/NAME,
    so that no node takes it for another.
    """

    name: str
    document: str
    selector: Selector = Selector()
    revision: int = 0


class WishFate(enum.StrEnum):
    """How one node fares with wishes.

    ``DONE``: all is as wished. ``PENDING``: it is being done, or waits for a place or for a module
    that is in use. ``DRIFTED``: others changed something by hand, which is left so. ``FAILED``:
    something cannot be. ``UNREADABLE``: the node's agent cannot read them, and what it read before
    is in force.
    """

    DONE = "done"
    PENDING = "pending"
    DRIFTED = "drifted"
    FAILED = "failed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class WishStatus:
    """How a node fares with the wishes ``name``.

    ``revision`` is that of what is in force there, 0 where nothing is; ``why`` tells what keeps it
    from being done.
    """

    name: str
    revision: int
    fate: WishFate
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A ``module`` that is not as the wishes ``name`` have it.

    ``standing`` is the daemon's word: pending, waiting, drifted or impossible.
    """

    module: str
    name: str
    standing: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What a node's agent says of it.

    ``boot`` names one life of its kernel, ``agent`` one process of the agent. ``version`` is
    kmodd's. ``troubles`` are the first of so many as ``trouble_count`` has. ``problem`` is what
    keeps the agent from its work; empty where nothing does.
    """

    node: str
    boot: str
    agent: str
    version: str = ""
    facts: NodeFacts = NodeFacts()
    wishes: tuple[WishStatus, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    trouble_count: int = 0
    problem: str = ""

    def wish(self, name: str) -> WishStatus | None:
        """Return how the node fares with the wishes ``name``, None where it has none such."""
        return next((each for each in self.wishes if each.name == name), None)


class RolloutState(enum.StrEnum):
    """How a rollout is.

    ``RUNNING``: nodes whose turn it is take the new wishes. ``PAUSED``: an operator has none more
    take them. ``STOPPED``: nor do they, since something went wrong. ``DONE``: the new wishes are
    desired/NAME. ``UNDONE``: all go back to what desired/NAME has.
    """

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How the wishes ``candidate`` come to all the nodes that they are for.

    They come to ``percentages`` of these nodes, one after the other, the last of which is 100, and
    at the moment to the one that ``stage`` counts to from 0: to nodes with an order below
    ``threshold``. At most ``places`` nodes are on their way or not as wished at a time. Once more
    than ``max_failures`` nodes fail, no further one begins. ``why`` tells why it stopped.
    """

    candidate: Desired
    percentages: tuple[int, ...] = (100,)
    places: int = 1
    max_failures: int = 0
    state: RolloutState = RolloutState.RUNNING
    stage: int = 0
    threshold: int = 0
    why: str = ""

    @property
    def name(self) -> str:
        """The name of the wishes."""
        return self.candidate.name

    def order(self, node: str) -> int:
        """Return where ``node`` stands, which is the same in each rollout of these wishes."""
        digest = hashlib.sha256(f"{self.name}\0{node}".encode()).digest()
        return int.from_bytes(digest[:4])

    def has_turn(self, node: str) -> bool:
        """Tell whether it is the turn of ``node`` to take the candidate."""
        return self.state is RolloutState.RUNNING and self.order(node) < self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlace:
    """Who has a place: the ``node`` that is on its way to ``revision``, or has failed there.

    ``why`` tells why that is; it is empty while it may still arrive.
    """

    node: str
    revision: int
    why: str = ""

    @property
    def failed(self) -> bool:
        """Whether the node has failed."""
        return bool(self.why)
