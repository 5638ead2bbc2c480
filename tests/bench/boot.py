# SPDX-License-Identifier: Apache-2.0
"""A boot with kmodd as the owner of the loads, and without it, in a guest with systemd and udev.

The guest has one processor, whose clock goes by what it executes: how busy this machine is counts
for little. The seconds are those since systemd began. The last of the three has the boot wait for
kmodd.
"""

import tempfile
from pathlib import Path
from statistics import median

from tests.realkernel.boots import boot_measured
from tests.support.debian import unpacked_tree

WANTED = 1.10
"""Times what it takes without kmodd."""

MOMENTS = ("sysinit.target", "settled", "kmodd.service")
"""When the system is there, when udev has done with all devices, and when kmodd is."""

Times = dict[str, float]


def run(repeat: int) -> None:
    """Boot in turns, and print the table."""
    plain: list[Times] = []
    beside: list[Times] = []
    before: list[Times] = []
    for _ in range(repeat):
        plain.append(_boot(kmodd=False))
        beside.append(_boot(kmodd=True))
        before.append(_boot(kmodd=True, before_udev=True))
    print(f"{'seconds until':16} {'without':>8} {'kmodd':>8} {'/':>5} {'waiting':>8} {'/':>5}")
    for moment in MOMENTS:
        base, *others = (median(each[moment] for each in ways) for ways in (plain, beside, before))
        row = f"{moment:16} {base:8.2f}"
        for other in others:
            row += f" {other:8.2f} {other / base if base else 0:5.2f}"
        print(row)
    print(f"kmodd / without is to be at most {WANTED:.2f}")


def _boot(*, kmodd: bool, before_udev: bool = False) -> Times:
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        outcomes = boot_measured(
            unpacked_tree(), Path(directory), kmodd=kmodd, before_udev=before_udev
        )
    times: Times = outcomes.of("times")
    return times
