# SPDX-License-Identifier: Apache-2.0
"""fleet apply: have all nodes that a file is meant for have what it wishes, at once."""

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.encoding import encode_desired
from kmodctl.fleet.model import Desired, RolloutState
from kmodctl.fleet.store import Changed, Delete, Put
from kmodctl.fleet.survey import Survey, survey
from kmodctl.fleet.tables import BusyError, NoSuchError, counted
from kmodctl.fleet.wish_file import read_named
from kmodctl.output import Output
from kmodctl.parser import CommandOptions

UNDER_WAY = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.STOPPED)
"""How a rollout is that has its wishes to itself."""


async def run(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Write the wishes of a file, or with ``--remove`` take those of a name away."""
    if options.remove:
        return await _remove(options, fleet, output)
    desired = read_named(options)
    found = await survey(fleet.etcd, fleet.keys)
    refuse_rollout(found, desired.name)
    before = found.known.desired.get(desired.name)
    if before is not None and is_same(before, desired):
        revision = before.revision
    elif options.dry_run:
        revision = 0
    else:
        key = fleet.keys.desired(desired.name)
        put = Put(key, encode_desired(desired))
        done = await fleet.etcd.transact(unchanged(found, fleet, desired.name), [put])
        if not done.succeeded:
            raise BusyError(f"somebody else has changed {desired.name} meanwhile; try again")
        revision = done.revision
    nodes = sum(desired.selector.fits(each.facts) for each in found.nodes.values())
    if output.json:
        output.document({"name": desired.name, "revision": revision, "nodes": nodes})
    else:
        state = f"revision {revision}" if revision else "not applied"
        output.data(f"{desired.name}: {state}, for {counted(nodes)}")
    return 0


async def _remove(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Take wishes away; what is loaded for them alone goes with them."""
    name = options.name or options.words[0].rpartition("/")[2].removesuffix(".toml")
    found = await survey(fleet.etcd, fleet.keys)
    refuse_rollout(found, name)
    key = fleet.keys.desired(name)
    if key not in found.entries:
        raise NoSuchError(f"there are no wishes {name}")
    revision, nodes = 0, found.counts()[name].total()
    if not options.dry_run:
        both = [Delete(key), Delete(fleet.keys.rollout(name))]  # by which nodes go, too
        done = await fleet.etcd.transact(unchanged(found, fleet, name), both)
        if not done.succeeded:
            raise BusyError(f"somebody else has changed {name} meanwhile; try again")
        revision = done.revision
    if output.json:
        output.document({"name": name, "revision": revision, "nodes": nodes})
    else:
        state = f"gone with revision {revision}" if revision else "not removed"
        output.data(f"{name}: {state}, from {counted(nodes)}")
    return 0


def refuse_rollout(found: Survey, name: str) -> None:
    """Raise BusyError where a rollout of the wishes is under way."""
    rollout = found.known.rollouts.get(name)
    if rollout is not None and rollout.state in UNDER_WAY:
        raise BusyError(
            f"a rollout of {name} is {rollout.state}: let it end, or undo it, with "
            f"'kmodctl fleet rollout undo {name}'"
        )


def unchanged(found: Survey, fleet: Fleet, name: str) -> list[Changed]:
    """Return compares that hold while wishes and their rollout are as they were found."""
    keys = (fleet.keys.desired(name), fleet.keys.rollout(name))
    entries = ((key, found.entries.get(key)) for key in keys)
    return [Changed(key, entry.changed if entry else 0) for key, entry in entries]


def is_same(one: Desired, other: Desired) -> bool:
    """Tell whether two say the same, for the same nodes."""
    return (one.document, one.selector) == (other.document, other.selector)
