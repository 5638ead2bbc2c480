# SPDX-License-Identifier: Apache-2.0
"""coverage: tell by which roads modules get into the kernel, and whether kmodd is on each

A road that kmodd is on has its deny list, its roles and its audit trail; 'kmodd setup' puts it
there.
What the kernel calls is looked up, and what udev, systemd and the initial RAM disk are told; no
daemon is asked.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def is_private(_options: CommandOptions) -> bool:
    """Tell that no daemon is needed."""
    return True


def run_private(_options: CommandOptions, output: Output) -> int:
    """Print the roads, one a line."""
    from kmodd.oneshot.coverage import roads

    found = roads()
    if output.json:
        output.document(
            [{"name": road.name, "covered": road.covered, "why": road.why} for road in found]
        )
        return 0
    for road in found:
        output.data(f"{road.covered + ':':<7} {road.name}: {road.why}")
    return 0
