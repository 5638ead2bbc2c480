# SPDX-License-Identifier: Apache-2.0
"""fleet rollout: have new wishes come to their nodes one after the other, and look after that."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from kmodctl.fleet.actions import Fleet
from kmodctl.fleet.actions.apply import UNDER_WAY, is_same, refuse_rollout, unchanged
from kmodctl.fleet.conducting import Conductor
from kmodctl.fleet.encoding import decode_rollout, encode_rollout
from kmodctl.fleet.model import Rollout, RolloutState
from kmodctl.fleet.rollout import RolloutView, begun, resumed
from kmodctl.fleet.store import Changed, Put
from kmodctl.fleet.survey import survey
from kmodctl.fleet.tables import BusyError, NoSuchError, counted
from kmodctl.fleet.wish_file import WishFileError, read_named
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.progress import Bar

DEFAULT = (1, 10, 50, 100)
"""Percentages of a rollout where none are given."""


async def run(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Do what the first word says to the rollout of the second."""
    deed = options.words.pop(0)
    return await _DEEDS[deed](options, fleet, output)


async def _start(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Begin a rollout of a file's wishes, and look after it."""
    candidate = read_named(options)
    found = await survey(fleet.etcd, fleet.keys)
    refuse_rollout(found, candidate.name)
    before = found.known.desired.get(candidate.name)
    if before is not None and is_same(before, candidate):
        raise WishFileError(
            f"{candidate.name} is as {options.words[0]} has it, revision {before.revision}"
        )
    selectors = [each.selector for each in (before, candidate) if each is not None]
    if not any(one.fits(node.facts) for node in found.nodes.values() for one in selectors):
        raise NoSuchError(f"there is no node that {candidate.name} is meant for")
    most = options.max_failures or 0
    places = most + 1 if options.places is None else options.places
    try:
        rollout = begun(candidate, options.stages or DEFAULT, places, most)
    except ValueError as error:
        raise WishFileError(str(error)) from None
    _check_places(rollout)
    put = Put(fleet.keys.rollout(candidate.name), encode_rollout(rollout))
    done = await fleet.etcd.transact(unchanged(found, fleet, candidate.name), [put])
    if not done.succeeded:
        raise BusyError(f"somebody else has changed {candidate.name} meanwhile; try again")
    return await _watched(options, candidate.name, fleet, output)


def _check_places(rollout: Rollout) -> None:
    """Raise WishFileError where all places may come to be those of nodes that have failed."""
    if rollout.places <= rollout.max_failures:
        raise WishFileError(
            f"a node that fails keeps its place: {rollout.max_failures} may fail, so give "
            f"--places {rollout.max_failures + 1} or more"
        )


async def _pause(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Have no further node take what is rolled out."""

    def paused(rollout: Rollout) -> Rollout:
        return replace(rollout, state=RolloutState.PAUSED)

    name = options.words[0]
    await _changed(name, fleet, (RolloutState.RUNNING,), paused)
    if not output.json:
        output.data(f"{name} is paused; 'kmodctl fleet rollout resume {name}' has it go on")
    return 0


async def _resume(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Have a rollout go on that was paused or has stopped, and look after it."""

    def going_on(rollout: Rollout) -> Rollout:
        further = resumed(rollout, options.max_failures)
        if options.places is not None:
            further = replace(further, places=options.places)
        _check_places(further)
        return further

    name = options.words[0]
    await _changed(name, fleet, (RolloutState.PAUSED, RolloutState.STOPPED), going_on)
    return await _watched(options, name, fleet, output)


async def _undo(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Have all nodes go back to what they had, and show how that goes."""

    def undone(rollout: Rollout) -> Rollout:
        return replace(rollout, state=RolloutState.UNDONE, why="")

    name = options.words[0]
    await _changed(name, fleet, UNDER_WAY, undone)
    return await _watched(options, name, fleet, output)


async def _watch(options: CommandOptions, fleet: Fleet, output: Output) -> int:
    """Look after a rollout that has begun."""
    return await _watched(options, options.words[0], fleet, output)


async def _changed(
    name: str,
    fleet: Fleet,
    states: tuple[RolloutState, ...],
    change: Callable[[Rollout], Rollout],
) -> None:
    """Have a rollout become what ``change`` makes of one that is in one of ``states``."""
    key = fleet.keys.rollout(name)
    while True:
        entry = await fleet.etcd.get(key)
        if entry is None:
            raise NoSuchError(f"there is no rollout of {name}")
        rollout = decode_rollout(entry)
        if rollout.state not in states:
            raise BusyError(f"the rollout of {name} is {rollout.state}")
        put = Put(key, encode_rollout(change(rollout)))
        if (await fleet.etcd.transact([Changed(key, entry.changed)], [put])).succeeded:
            return


async def _watched(options: CommandOptions, name: str, fleet: Fleet, output: Output) -> int:
    """Have a rollout go on and show how it fares, until it is over, unless it is detached."""
    if options.detach:
        if not output.json:
            output.data(f"'kmodctl fleet rollout watch {name}' opens the next stages")
        return 0
    conductor = Conductor(fleet.etcd, fleet.keys, name)
    bar, told, view = Bar("nodes as wished"), "", None
    async for view in conductor.views(drives=True, lost=output.warning):
        if output.json:
            output.line(view_object(view))
            continue
        line = _line(view)
        if line != told:
            bar.wipe()
            output.data(line)
            told = line
        if not view.is_over:
            bar.draw(len(view.done), len(view.meant))
    bar.wipe()
    if view is not None and not output.json:
        for node, why in sorted(view.failing.items()):
            output.warning(f"{node}: {why}")
    return int(view is None or view.rollout.state is RolloutState.STOPPED)


def _line(view: RolloutView) -> str:
    """Return how a rollout is, but for what changes from node to node."""
    rollout = view.rollout
    percent = rollout.percentages[rollout.stage]
    fails = f", {len(view.failing)} failing" if view.failing else ""
    if rollout.state is RolloutState.RUNNING:
        return f"{rollout.name}: {percent} % of {counted(len(view.meant))}{fails}"
    why = f": {rollout.why}" if rollout.why else ""
    left = f", {counted(len(view.left))} to go" if view.left else ""
    return f"{rollout.name} is {rollout.state}{left}{why}"


def view_object(view: RolloutView) -> dict[str, Any]:
    """Return how a rollout fares as JSON has it."""
    rollout = view.rollout
    return {
        "name": rollout.name,
        "state": rollout.state,
        "percentages": list(rollout.percentages),
        "stage": rollout.stage,
        "nodes": len(view.meant),
        "chosen": len(view.chosen),
        "done": len(view.done),
        "moving": sorted(view.moving),
        "failing": dict(view.failing),
        "left": len(view.left),
        "why": rollout.why,
    }


_DEEDS: dict[str, Callable[[CommandOptions, Fleet, Output], Awaitable[int]]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "undo": _undo,
    "watch": _watch,
}
