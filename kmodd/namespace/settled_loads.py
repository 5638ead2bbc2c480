# SPDX-License-Identifier: Apache-2.0
"""Loads that found everything in place, and what they were answered.

Most loads are of what is loaded already. Such a load is answered as it was the last time for as
long as everything that the answer came from is the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kmodd.access.caller import Caller
from kmodd.kernel.base import LoadedModule
from kmodd.namespace.outcome import Outcome
from kmodd.namespace.planning import Policy
from kmodd.records import record
from kmodd.trees import Generation

MOST = 256
"""Loads that are remembered at a time."""

LONGEST = 1024
"""Bytes of a request that is remembered."""

Key = tuple[Caller, bytes]
"""Who asks, and the request as it was sent: the same bytes ask for the same."""


class Basis(NamedTuple):
    """What a load that finds nothing to do has looked at, beside what it was asked.

    Each is replaced as a whole when it changes, so the same objects are the same state.
    """

    generation: Generation | None
    modules: tuple[LoadedModule, ...]
    policy: Policy

    def is_same(self, other: "Basis") -> bool:
        """Tell whether nothing has changed between the two."""
        return (
            self.generation is other.generation
            and self.modules is other.modules
            and self.policy is other.policy
        )


@record
class SettledLoad:
    """A load of ``names`` that had nothing to do, and the modules it stands for.

    ``answer`` is what the caller was told, in whatever form that was. Where it ``is_plan`` nobody
    wanted more than to know.
    """

    names: str
    targets: tuple[str, ...]
    answer: Any
    is_plan: bool = False


class SettledLoads:
    """The settled loads by who asked for what, all from the same basis.

    May be used by any thread: what is remembered is replaced as a whole when the basis is.
    """

    def __init__(self) -> None:
        self._known: tuple[Basis | None, dict[bytes, list[tuple[Caller, SettledLoad]]]] = (None, {})
        self._count = 0

    def find(self, key: Key, basis: Basis) -> SettledLoad | None:
        """Return the load that ``key`` asks for, if it is settled on this basis."""
        known, loads = self._known
        if known is None or not known.is_same(basis):
            return None
        caller, request = key
        for asked_by, settled in loads.get(request, ()):
            if asked_by is caller or asked_by == caller:
                return settled
        return None

    def keep(self, key: Key, basis: Basis, settled: SettledLoad) -> None:
        """Remember a load."""
        if len(key[1]) > LONGEST:
            return
        known, loads = self._known
        if known is None or not known.is_same(basis) or self._count >= MOST:
            loads = {}
            self._known = basis, loads
            self._count = 0
        self._count += 1
        loads.setdefault(key[1], []).append((key[0], settled))


def are_settled(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether loads found nothing to do, and would not if they were tried again."""
    return all(
        outcome.error is None
        and not outcome.others
        and not outcome.ignored
        and all(step.needless for step in outcome.steps)
        for outcome in outcomes
    )
