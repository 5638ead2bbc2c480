# SPDX-License-Identifier: Apache-2.0
"""Which runs there are: one with each call failing, or with each two, within bounds."""

from collections import defaultdict
from collections.abc import Iterator

from kmodd.kernel.trials import Attempt, Observation

RUNS_MAX = 400
"""Runs of one check, where nobody says how many."""

SECONDS_MAX = 180.0
"""Seconds after which no more runs are begun."""

FIRST, LAST = 2, 1
"""How many of the calls from one place fail, the first and the last: a loop makes many."""

DEVICES_MAX = 3
"""Devices that are plugged in, one in each run."""


def singles(base: Observation, device: str = "") -> Iterator[Attempt]:
    """Yield the runs in which one call fails of those that ``base`` has made.

    With a device they are those of its driver's probe; without one all others.
    """
    phases = ("probe",) if device else ("init", "running")
    for number in _picked(base, 0, phases):
        yield Attempt((number,), (device,) if device else ())


def seconds(seen: Observation, attempt: Attempt) -> Iterator[Attempt]:
    """Yield the runs in which a call fails besides the one that did in ``seen``."""
    (first,) = attempt.fail
    for number in _picked(seen, first + 1, ("init", "running", "probe")):
        yield Attempt((first, number), attempt.devices)


def _picked(seen: Observation, start: int, phases: tuple[str, ...]) -> list[int]:
    """Return the numbers of the calls from ``start`` on that are to fail: few of each place."""
    places = defaultdict[object, list[int]](list)
    for number, call in enumerate(seen.calls):
        if number >= start and call.phase in phases:
            places[call.name, call.place].append(number)
    picked = set[int]()
    for numbers in places.values():
        picked.update(numbers[:FIRST], numbers[-LAST:])
    return sorted(picked)
