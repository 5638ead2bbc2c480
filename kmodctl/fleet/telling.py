# SPDX-License-Identifier: Apache-2.0
"""How a node fares, of what its agent is to do and what its daemon says. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kmodctl.fleet.deciding import Wanted
from kmodctl.fleet.encoding import MAX_NAMES, MAX_TROUBLES
from kmodctl.fleet.model import NodeStatus, Trouble, WishFate, WishStatus
from kmodctl.fleet.node_daemon import LocalState, ModuleFare

_FATES = {
    "impossible": WishFate.FAILED,
    "drifted": WishFate.DRIFTED,
    "waiting": WishFate.PENDING,
    "pending": WishFate.PENDING,
}
"""How wishes fare of which one has that standing, the worst first."""


def status_of(
    status: NodeStatus,
    wanted: Iterable[Wanted],
    state: LocalState,
    source: str,
    refused: Mapping[str, str],
    waiting: Mapping[str, str],
) -> NodeStatus:
    """Return ``status`` with the wishes and the troubles.

    ``source`` is what the agent's sources begin with. ``refused`` tells by the names of wishes why
    the daemon has not taken them over, ``waiting`` why it was not asked yet.
    """
    start = f"{source}."
    fares: dict[str, list[ModuleFare]] = {}
    for each in state.modules.values():
        if each.source.startswith(start):
            fares.setdefault(each.source.removeprefix(start), []).append(each)
        elif not each.source and each.moves:
            fares.setdefault("", []).append(each)
    wishes = []
    for one in wanted:
        now = state.revisions.get(start + one.name, 0)
        if not (now or one.revision):
            continue
        fate, why = _fate(one, now, fares.get(one.name, ()), refused, waiting)
        problem = state.problems.get(start + one.name)
        if problem:
            fate, why = WishFate.FAILED, problem
        wishes.append(WishStatus(name=one.name, revision=now, fate=fate, why=why))
    troubles = [
        Trouble(module=each.module, name=name, standing=each.standing, why=each.why)
        for name, of_name in sorted(fares.items())
        for each in sorted(of_name, key=lambda fare: fare.module)
        if each.standing != "done"
    ]
    return replace(
        status,
        wishes=tuple(wishes[:MAX_NAMES]),
        troubles=tuple(troubles[:MAX_TROUBLES]),
        trouble_count=len(troubles),
    )


def _fate(
    wanted: Wanted,
    now: int,
    fares: Iterable[ModuleFare],
    refused: Mapping[str, str],
    waiting: Mapping[str, str],
) -> tuple[WishFate, str]:
    """Return how wishes fare that are in force at the revision ``now``, and why so."""
    if wanted.why:
        return WishFate.UNREADABLE, wanted.why
    if now != wanted.revision:
        if wanted.name in refused:
            return WishFate.FAILED, refused[wanted.name]
        return WishFate.PENDING, waiting.get(wanted.name, "it is about to be taken over")
    for standing, fate in _FATES.items():
        for each in fares:
            if each.standing == standing:
                return fate, f"{each.module}: {each.why}" if each.why else each.module
    return WishFate.DONE, ""
