# SPDX-License-Identifier: Apache-2.0
"""Loads that found everything in place, and what they were answered.

Most loads are of what is loaded already. Such a load is answered as it was the last time for as
long as everything that the answer came from is the same.
"""

from dataclasses import dataclass

from kmodd.namespace import Basis, Outcome
from kmodd.v1 import module_service_pb2 as pb

MOST = 256
"""Loads that are remembered at a time."""

LONGEST = 1024
"""Bytes of a request that is remembered."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A load of ``names`` that had nothing to do, the modules it stands for, and its answer."""

    names: str
    targets: tuple[str, ...]
    answer: pb.LoadModulesResponse


class SettledLoads:
    """The settled loads of one socket by their requests, all from the same basis.

    May be used by any thread: what is remembered is replaced as a whole when the basis is.
    """

    def __init__(self) -> None:
        self._known: tuple[Basis | None, dict[bytes, Settled]] = (None, {})

    def find(self, request: bytes, basis: Basis) -> Settled | None:
        """Return the load that ``request`` asks for, if it is settled on this basis."""
        known, loads = self._known
        return loads.get(request) if known is not None and known.is_same(basis) else None

    def keep(self, request: bytes, basis: Basis, settled: Settled) -> None:
        """Remember a load."""
        if len(request) > LONGEST:
            return
        known, loads = self._known
        if known is None or not known.is_same(basis) or len(loads) >= MOST:
            loads = {}
            self._known = basis, loads
        loads[request] = settled


def is_settled(outcome: Outcome) -> bool:
    """Tell whether a load found nothing to do, and would not if it were tried again."""
    return (
        outcome.error is None
        and not outcome.others
        and not outcome.ignored
        and all(step.needless for step in outcome.steps)
    )
